# SPDX-License-Identifier: GPL-2.0-or-later
"""The rig: two virtual machines with RAM disks and one cable between them. Every competitor gets a RAM disk of the
same kind and size on both nodes; nobody's disk is shared with another:

    data + meta-data + journal   remotecopy
    log                          DRBD (its metadata inside)
    spare                        the bare limits: dm-linear at the primary, the far end of the TLS pipe at the copy
"""

import re

from ..disks import Sizes
from ..lab import Lab, Options

PRIMARY, COPY = "primary1", "copy1"
DATA, DRBD, SPARE = (f"/dev/mapper/disk-{name}" for name in ("data", "log", "spare"))
PACKAGES = ("drbd-utils", "socat")


def options(size_mib: int, product, include: str = "") -> Options:
    """The journal is twice the volume. Memory: all that, and what a small system needs besides."""
    return Options(nodes={"primary": 1, "copy": 1}, include=PACKAGES + tuple(filter(None, include.split(","))),
                   copies=(str(product),), ram_disks=True,
                   mem_mib=5 * size_mib + 768,
                   sizes=Sizes(data_mib=size_mib, log_mib=size_mib, journal_mib=2 * size_mib))


def cut_to_size(lab: Lab, size_mib: int) -> None:
    """RAM disks are born with one size, the journal's; a volume is the first part of its disk, as LVM would make it."""
    for node in lab.nodes.values():
        for name in ("data", "log", "spare"):
            node.exec(f"dmsetup create disk-{name} --table '0 {size_mib * 2048} linear /dev/lab/{name} 0'")


def fill(lab: Lab, node: str, path: str) -> None:
    """Incompressible, nothing of it zero."""
    lab[node].exec(["fio", "--name=fill", f"--filename={path}", "--ioengine=psync", "--direct=1", "--rw=write",
                    "--bs=1M", "--refill_buffers", "--randrepeat=0", "--output=/dev/null"], timeout=900)


def describe(lab: Lab) -> str:
    host = open("/proc/cpuinfo", encoding="utf-8").read()
    model = re.search(r"model name\s*:\s*(.+)", host)
    cores = len(re.findall(r"(?m)^processor\s*:", host))
    return (f"two VMs of {lab.smp} emulated CPUs (QEMU TCG, no KVM) on {cores} cores "
            f"({model.group(1).strip() if model else 'unknown'}), RAM disks, one cable with an MTU of {lab.mtu}, "
            f"kernel {lab[PRIMARY].sh('uname -r')}")
