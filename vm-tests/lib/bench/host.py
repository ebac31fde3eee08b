# SPDX-License-Identifier: GPL-2.0-or-later
"""Is the host ours? What other processes take of its CPUs decides every rate on an emulated rig, and takes it from one
competitor only: a measurement that was disturbed judges nothing."""

import os
from pathlib import Path

DISTURBED = 0.10        # of the host's CPU time, spent by others than the lab's VMs and this program


class Watch:
    """From its making to others(): which part of the host's CPU time did others use?"""

    def __init__(self, lab):
        self.pids = [node.process.pid() for node in lab.nodes.values()] + [os.getpid()]
        self.began = self._read()

    def others(self) -> float:
        busy, whole, own = (now - then for now, then in zip(self._read(), self.began))
        return max(0, busy - own) / whole if whole else 0.0

    def _read(self) -> tuple[int, int, int]:
        """Clock ticks: all CPUs busy (time stolen by a hypervisor, too), all CPUs in all, ours."""
        fields = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        idle = fields[3] + fields[4]
        own = 0
        for pid in self.pids:
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            own += int(stat[11]) + int(stat[12])
        return sum(fields) - idle, sum(fields), own
