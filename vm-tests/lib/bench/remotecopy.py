# SPDX-License-Identifier: GPL-2.0-or-later
"""remotecopy on the rig: one group of one volume, one pair, set up with rcctl as an administrator would."""

import json
import re
import time

from .. import sites
from ..paths import LabError
from . import load, rig

GROUP = "bench"
VOLUME = f"/dev/mapper/{GROUP}-data"
POLL_S = 0.1


class Remotecopy:
    def __init__(self, lab):
        self.lab = lab
        self.primary = lab[rig.PRIMARY]
        self._paired = False

    def set_up(self) -> str:
        """A group of one volume, linked to the copy's node, not yet copied. Returns the link's cipher."""
        sites.install_settings(self.lab)
        cipher = self._connect()
        self._rcctl("group", "create", GROUP, "--journal", "/dev/lab/journal", "--on-full", "throttle")
        self._rcctl("volume", "create", GROUP, "data", "--device", rig.DATA, "--meta", "/dev/lab/meta-data",
                    "--keep-data")
        self._wait("active", 60)
        return cipher

    def _connect(self) -> str:
        deadline = time.monotonic() + 60
        add = ["node", "add", rig.COPY, "--address", f"{rig.COPY}:{sites.PORT}", "--site", "copy"]
        while not (found := re.search(r"link is up, \S+ (TLS_\w+)", said := self._rcctl(*add).out)):
            if time.monotonic() > deadline:
                raise LabError(f"no link to {rig.COPY} after 60 s: {said}")
            time.sleep(POLL_S)
        return found.group(1)

    def initial_copy(self, size: int) -> load.Sample:
        """From the command that makes the pair until the copy has an image of everything. The pair is async."""
        if self._paired:
            self._rcctl("pair", "delete", GROUP, "--to", rig.COPY)
        began = time.monotonic()
        self._pair("async")
        made = time.monotonic()
        self._wait("synced", 900)
        ended = time.monotonic()
        return load.Sample("initial copy, remotecopy", size, ended - began,
                           {"command_s": round(made - began, 2)})

    def random_write(self, mode: str, seconds: float) -> load.Sample:
        """An async pair that can't keep up loses its order and comes back with the newest bytes of each region;
        then no more is counted than went over the link. Time until the copy shows it all: extra["applied_s"]."""
        self._pair(mode)
        self._wait("synced", 120)
        self._wait("drained", 120)
        before, alone_before = self._status()["sent_bytes"], self._times_alone()
        sample = load.counted(f"4 KiB random write, remotecopy {mode}", self.primary, VOLUME, seconds,
                              lambda written: self._drain())
        ended = time.monotonic()
        sent = self._status()["sent_bytes"] - before
        sample.extra["kept_order"] = sent >= sample.bytes
        sample.bytes = min(sample.bytes, sent)
        if mode == "sync" and self._times_alone() != alone_before:
            sample.bytes = 0        # writes completed without the copy: not what was to be measured
            sample.extra["stayed_current"] = False
        self._wait_applied()
        sample.extra["applied_s"] = round(sample.seconds + time.monotonic() - ended, 2)
        return sample

    def _times_alone(self) -> int:
        return self._rcctl("events", "--limit", "100000").out.count("alone since")

    def _drain(self) -> dict:
        """Durable in the copy's journal."""
        lag = self._status()["lag_bytes"]
        self._wait("drained", 600)
        return {"lag_bytes_at_end_of_load": lag}

    def _wait_applied(self) -> None:
        """Until the copy's image is of a moment after now; both moments are of the primary's clock."""
        asked = self._report()["time"]
        deadline = time.monotonic() + 120
        while not (image := self._status()["complete"]) or image["time"] <= asked:
            if time.monotonic() > deadline:
                raise LabError("the copy applies nothing; see rcctl status on copy1")
            time.sleep(POLL_S)

    def _pair(self, mode: str) -> None:
        self._rcctl("pair", "create", GROUP, "--to", rig.COPY, "--mode", mode, "--journal", "/dev/lab/journal",
                    "--volume", f"data={rig.DATA},/dev/lab/meta-data", "--force")
        self._paired = True

    def _report(self) -> dict:
        return json.loads(self._rcctl("status", GROUP, "--json").out)

    def _status(self) -> dict:
        return self._report()["groups"][0]["pairs"][0]

    def _wait(self, condition: str, timeout: int) -> None:
        self._rcctl("wait", GROUP, "--for", condition, "--timeout", f"{timeout}s", timeout=timeout + 30)

    def _rcctl(self, *words: str, timeout: float = 120):
        return self.primary.exec(["rcctl", *words], timeout=timeout)
