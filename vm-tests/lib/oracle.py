# SPDX-License-Identifier: GPL-2.0-or-later
"""rc-causal in the lab: writers in a guest whose completions are logged on the host, and verdicts on copies there."""

import json
import subprocess
from pathlib import Path

from . import paths, sites
from .paths import LabError


class Writers:
    """rc-causal write on one node, in the background. Its log is the node's oracle.log on the host."""

    def __init__(self, lab, node: str, **options):
        self.node = lab[node]
        self.log = self.node.oracle_log
        self.offset = self.log.stat().st_size if self.log.exists() else 0
        options.setdefault("log", sites.ORACLE_PORT)
        options.setdefault("queue_depth", 4)
        options.setdefault("span", "16M")
        self.job = self.node.spawn(sites.oracle_command("write", **options))

    def stop(self, timeout: float = 60) -> None:
        self.node.exec("pkill -TERM -x rc-causal", check=False)
        self.job.wait(timeout=timeout)

    def logged(self) -> dict:
        """What was acknowledged so far: rc-causal read-log."""
        if not self.log.exists() or self.log.stat().st_size <= self.offset:
            return {"acknowledged": 0, "longest_stall_ms": 0}
        done = subprocess.run([rc_causal(), "read-log", str(self.log), "--log-offset", str(self.offset), "--json"],
                              capture_output=True, text=True)
        if done.returncode:
            raise LabError(f"rc-causal read-log: {done.stderr.strip()}")
        lines = done.stdout.strip().splitlines()
        return json.loads(lines[-1]) if lines else {"acknowledged": 0, "longest_stall_ms": 0}

    def verify(self, node, acknowledged_all: bool = False, min_contained: int = 1000, devices=None) -> dict:
        """The verdict on a node's volumes (or on the devices given), judged in that guest with the host's log.
        Raises when the copy is not causal, or lost what was acknowledged when all was promised."""
        report, code, words = self.judge(node, acknowledged_all, min_contained, devices)
        if code:
            raise AssertionError(f"rc-causal verify on {node.name}: exit {code}: {json.dumps(report, indent=1)} {words}")
        return report

    def judge(self, node, acknowledged_all: bool = False, min_contained: int = 1000, devices=None):
        node.put(self.log.read_bytes()[self.offset:], "/tmp/oracle.log")
        command = ["rc-causal", "verify", "--log", "/tmp/oracle.log", "--min-contained", str(min_contained), "--json"]
        for device in devices or [sites.device(volume) for volume in sites.VOLUMES]:
            command += ["--device", device]
        if acknowledged_all:
            command.append("--acknowledged-all")
        done = node.exec(command, check=False, timeout=300)
        lines = done.out.strip().splitlines()
        return (json.loads(lines[-1]) if lines else {}), done.code, done.err


def rc_causal() -> Path:
    """The checker as built for the host."""
    program = paths.REPO / "build/release/userspace/causal/rc-causal"
    if not program.exists():
        raise LabError(f"{program} is not there. Next: make build")
    return program
