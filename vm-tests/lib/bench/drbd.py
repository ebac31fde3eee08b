# SPDX-License-Identifier: GPL-2.0-or-later
"""DRBD 8.4 of Debian's kernel on the rig, tuned as its manual tells for fast disks and a fast network. It sends in
the clear: what remotecopy pays for TLS, DRBD does not."""

import re
import time

from ..paths import LabError
from . import load, rig

RESOURCE = "bench"
DEVICE = "/dev/drbd0"
PORT = 7788
POLL_S = 0.05

CONFIG = """
global {{ usage-count no; }}
resource {resource} {{
  net {{
    protocol {protocol};
    max-buffers 32768; max-epoch-size 16384;
    sndbuf-size 10M; rcvbuf-size 10M;
  }}
  disk {{
    disk-barrier no; disk-flushes no; md-flushes no;
    al-extents 6433;
    c-plan-ahead 0; resync-rate 1G;
  }}
  device {device};
  disk {disk};
  meta-disk internal;
  on {primary} {{ address {primary_address}:{port}; }}
  on {copy} {{ address {copy_address}:{port}; }}
}}
"""


class Drbd:
    def __init__(self, lab):
        self.lab = lab
        self.primary, self.copy = lab[rig.PRIMARY], lab[rig.COPY]

    def set_up(self) -> None:
        """Both disks are blank, so they are alike: no first synchronisation."""
        self._configure("C")
        for node in (self.primary, self.copy):
            node.exec("modprobe drbd")
            node.exec(f"drbdadm create-md --force {RESOURCE}")
            node.exec(f"drbdadm up {RESOURCE}")
        self._wait("connected", self.primary, lambda s: s["cs"] == "Connected")
        self.primary.exec(f"drbdadm new-current-uuid --clear-bitmap {RESOURCE}/0")
        self._wait("in sync", self.primary, lambda s: s["ds"] == "UpToDate/UpToDate")
        self.primary.exec(f"drbdadm primary {RESOURCE}")

    def version(self) -> str:
        return re.search(r"version: (\S+)", self.primary.sh("cat /proc/drbd")).group(1)

    def random_write(self, protocol: str, seconds: float) -> load.Sample:
        self._configure(protocol)
        for node in (self.primary, self.copy):
            node.exec(f"drbdadm adjust {RESOURCE}")
        self._wait(f"connected with protocol {protocol}", self.primary,
                   lambda s: s["cs"] == "Connected" and s["protocol"] == protocol)
        before = self._state(self.copy)["dw"]

        def on_the_copys_disk(written: int) -> None:
            # dw counts what the copy's disk has completed, in KiB
            self._wait("done with the load", self.copy,
                       lambda s: s["dw"] - before >= written // 1024 and s["lo"] == s["pe"] == s["ua"] == 0)

        sample = load.counted(f"4 KiB random write, DRBD {protocol}", self.primary, DEVICE, seconds, on_the_copys_disk)
        state = self._state(self.primary)
        if state["oos"] or state["cs"] != "Connected":
            raise LabError(f"DRBD lost its connection during the measurement: {state}")
        return sample

    def _configure(self, protocol: str) -> None:
        text = CONFIG.format(resource=RESOURCE, protocol=protocol, device=DEVICE, disk=rig.DRBD, port=PORT,
                             primary=rig.PRIMARY, primary_address=self.lab.address(rig.PRIMARY, rig.COPY),
                             copy=rig.COPY, copy_address=self.lab.address(rig.COPY, rig.PRIMARY))
        for node in (self.primary, self.copy):
            node.put(text.encode(), "/etc/drbd.conf")

    def _state(self, node) -> dict:
        """The device's lines of /proc/drbd: states as text, counters as numbers."""
        text = node.sh("cat /proc/drbd")
        state = dict(re.findall(r"\b(cs|ro|ds|wo):(\S+)", text))
        state.update({k: int(v) for k, v in re.findall(r"\b(ns|nr|dw|dr|al|bm|lo|pe|ua|ap|ep|oos):(\d+)", text)})
        protocol = re.search(r"ds:\S+ ([ABC]) ", text)
        state["protocol"] = protocol.group(1) if protocol else None
        return state

    def _wait(self, what: str, node, condition, timeout: float = 300) -> None:
        deadline = time.monotonic() + timeout
        while not condition(state := self._state(node)):
            if time.monotonic() > deadline:
                raise LabError(f"DRBD on {node.name} is not {what} after {timeout:g} s: {state}")
            time.sleep(POLL_S)
