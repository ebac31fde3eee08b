# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent of one node as its service manager sees it: kill -9, and wait until the next one is ready. systemd has a
process long before that process answers, so a new pid alone says nothing."""

import time

from .paths import LabError

SERVICE = "rcagent"


def main_pid(node) -> str:
    """"0" while there is none."""
    return node.sh(f"systemctl show -p MainPID --value {SERVICE}")


def restarts(node) -> int:
    """How often the service manager started it again by itself since boot: once for each kill, or it died of itself."""
    return int(node.sh(f"systemctl show -p NRestarts --value {SERVICE}"))


def kill(node) -> str:
    """Returns the pid that was killed, for wait_back."""
    pid = main_pid(node)
    if pid == "0":
        raise LabError(f"{SERVICE} on {node.name} does not run, so it can't be killed")
    node.exec(f"kill -9 {pid}")
    return pid


def wait_back(node, killed: str, timeout: float = 60) -> None:
    """Until another process than the killed one has reported that it is ready: it answers from then on."""
    deadline = time.monotonic() + timeout
    while True:
        said = node.sh(f"systemctl show -p MainPID -p ActiveState {SERVICE}")
        shown = dict(line.split("=", 1) for line in said.splitlines())
        if shown["ActiveState"] == "active" and shown["MainPID"] not in ("0", killed):
            return
        if time.monotonic() > deadline:
            raise LabError(f"{SERVICE} on {node.name} is not back after {timeout:g} s: {shown}")
        time.sleep(0.1)
