# SPDX-License-Identifier: GPL-2.0-or-later
"""Several primary hosts whose groups are one copyset, set up as an administrator does it; writers on all of them that
depend on each other; the verdict over the volumes of a whole site."""

import io
import json
import subprocess
import time

from . import sites
from .oracle import rc_causal
from .paths import LabError

NAME = "money"
SPAN_MIB = 4


def group_of(number: int) -> str:
    return f"g{number}"


def devices_of(number: int) -> list:
    return [f"/dev/mapper/{group_of(number)}-{volume}" for volume in sites.VOLUMES]


class Copyset:
    """Groups g1..gN: gI's primary is primaryI, its copy asyncI (or syncI; `mode` is both the site and the pairs' mode).
    `holders`: site -> nodes, in the order of groups."""

    def __init__(self, lab, groups: int, mode: str = "async"):
        self.lab = lab
        self.mode = mode
        self.numbers = range(1, groups + 1)
        self.holders = {site: [f"{site}{number}" for number in self.numbers] for site in ("primary", mode)}

    def rcctl(self, node: str, *words: str, check=True, timeout=120):
        return self.lab[node].exec(["rcctl", *words], check=check, timeout=timeout)

    def status(self, node: str, number: int) -> dict:
        return json.loads(self.rcctl(node, "status", group_of(number), "--json").out)["groups"][0]

    def statuses(self, site: str) -> list:
        return [self.status(self.holders[site][number - 1], number) for number in self.numbers]

    def wait(self, what: str, ready, timeout: float):
        deadline = time.monotonic() + timeout
        while True:
            value = ready()
            if value:
                return value
            if time.monotonic() > deadline:
                raise LabError(f"{what}: not within {timeout:g} s: {json.dumps(self.all_statuses(), indent=1)}")
            time.sleep(0.5)

    def all_statuses(self) -> dict:
        told = {}
        for nodes in self.holders.values():
            for number, node in zip(self.numbers, nodes):
                done = self.rcctl(node, "status", group_of(number), check=False)
                told[f"{group_of(number)} on {node}"] = (done.out + done.err).splitlines()
        return told

    def wait_duplex(self, source: str = "primary", timeout: float = 300) -> None:
        self.wait("all pairs in duplex",
                  lambda: all(group["pairs"] and group["pairs"][0]["state"] == "duplex" for group in self.statuses(source)),
                  timeout)

    def images(self, site: str | None = None) -> list:
        """The checkpoint that each copy would show, as a pair of numbers; None: it has none."""
        return [(group["image"]["generation"], group["image"]["n"]) if group["restartable"] and group["image"] else None
                for group in self.statuses(site or self.mode)]

    def sync_states(self) -> list:
        """Of the pair of each group, as its primary tells it."""
        return [group["pairs"][0]["sync"] if group["pairs"] else None for group in self.statuses("primary")]

    def wait_current(self, timeout: float = 180) -> None:
        self.wait("all pairs are current", lambda: set(self.sync_states()) == {"current"}, timeout)

    def common_checkpoints(self) -> int:
        """How many the leading primary has seen all members hold."""
        return max(group["copyset"]["checkpoints"] for group in self.statuses("primary"))

    def create(self) -> str:
        """From bare nodes: groups, pairs, the copyset. Returns what the command said."""
        sites.install_settings(self.lab)
        for number in self.numbers:
            primary, copy, group = f"primary{number}", f"{self.mode}{number}", group_of(number)
            for other in self.lab.names:
                if other != primary:
                    self.rcctl(primary, "node", "add", other, "--address", f"{other}:{sites.PORT}", "--site",
                               sites.site_of(other))
            self.rcctl(primary, "group", "create", group, "--journal", sites.JOURNAL)
            for volume, (data, meta) in sites.VOLUMES.items():
                self.rcctl(primary, "volume", "create", group, volume, "--device", data, "--meta", meta)
            self.pair(primary, number, copy)
        self.wait_duplex()
        return self.again()

    def pair(self, node: str, number: int, to: str, *flags: str, check=True):
        words = ["pair", "create", group_of(number), "--to", to, "--mode", self.mode, "--journal", sites.JOURNAL]
        for volume, (data, meta) in sites.VOLUMES.items():
            words += ["--volume", f"{volume}={data},{meta}"]
        return self.rcctl(node, *words, *flags, check=check)

    def give_up(self, node: str, number: int) -> None:
        """A lost branch is cleared on its node."""
        self.rcctl(node, "pair", "delete", group_of(number), "--force")
        for volume in sites.VOLUMES:
            self.rcctl(node, "volume", "delete", group_of(number), volume)
        self.rcctl(node, "group", "delete", group_of(number))

    def again(self, node: str = "primary1") -> str:
        return self.rcctl(node, "copyset", "create", NAME, *[group_of(number) for number in self.numbers]).out

    def writers(self, rate: int) -> "Writers":
        return Writers(self, rate)


class Writers:
    """One rc-causal on each primary host; they tell each other their clocks, so writes depend on those of the others."""
    RUN = 4711
    PORT = 9000

    def __init__(self, copyset: Copyset, rate: int):
        self.copyset = copyset
        self.jobs, self.logs = [], []
        hosts = len(copyset.numbers)
        for number in copyset.numbers:
            node = copyset.lab[f"primary{number}"]
            offset = node.oracle_log.stat().st_size if node.oracle_log.exists() else 0
            self.logs.append((node.oracle_log, offset))
            peers = [f"tcp:primary{other}:{self.PORT}" for other in copyset.numbers if other != number]
            command = sites.oracle_command("write", devices_of(number), log=sites.ORACLE_PORT, queue_depth=2, writers=2,
                                           span=f"{SPAN_MIB}M", rate=rate, run=self.RUN, seed=7, hosts=hosts,
                                           host=number - 1, listen=f"tcp:0.0.0.0:{self.PORT}")
            self.jobs.append(node.spawn(command + "".join(f" --peer {peer}" for peer in peers)))

    def acknowledged(self) -> list:
        """Writes so far, of each host."""
        counts = []
        for log, offset in self.logs:
            if not log.exists() or log.stat().st_size <= offset:
                counts.append(0)
                continue
            done = subprocess.run([rc_causal(), "read-log", str(log), "--log-offset", str(offset), "--json"],
                                  capture_output=True, text=True)
            if done.returncode:
                raise LabError(f"rc-causal read-log: {done.stderr.strip()}")
            lines = done.stdout.strip().splitlines()
            counts.append(json.loads(lines[-1])["acknowledged"] if lines else 0)
        return counts

    def wait_each(self, count: int, timeout: float = 300) -> None:
        deadline = time.monotonic() + timeout
        while min(self.acknowledged()) < count:
            for job in self.jobs:
                if not job.is_running():
                    raise LabError(f"a writer ended: {job.wait(check=False).err}")
            if time.monotonic() > deadline:
                raise LabError(f"only {self.acknowledged()} writes in {timeout:g} s")
            time.sleep(1)

    def verify(self, site: str, directory, min_contained: int, acknowledged_all: bool = False) -> dict:
        """The verdict over all volumes of the site: their contents, and all logs, are judged on the host."""
        words = [str(rc_causal()), "verify", "--json", "--min-contained", str(min_contained)]
        words += ["--acknowledged-all"] if acknowledged_all else []
        for number, name in zip(self.copyset.numbers, self.copyset.holders[site]):
            for index, device in enumerate(devices_of(number)):
                image = directory / f"{name}-{index}.img"
                with open(image, "wb") as out:
                    self.copyset.lab[name].stream(f"dd if={device} bs=1M count={SPAN_MIB} iflag=direct status=none", out,
                                                  io.BytesIO(), timeout=300)
                assert image.stat().st_size == SPAN_MIB << 20, (image, image.stat().st_size)
                words += ["--device", str(image)]
        for index, (log, offset) in enumerate(self.logs):
            part = directory / f"host-{index}.log"
            part.write_bytes(log.read_bytes()[offset:])
            words += ["--log", str(part)]
        done = subprocess.run(words, capture_output=True, text=True)
        lines = done.stdout.strip().splitlines()
        report = json.loads(lines[-1]) if lines else {}
        if done.returncode:
            raise AssertionError(f"rc-causal verify: exit {done.returncode}: {json.dumps(report, indent=1)} {done.stderr}")
        return report
