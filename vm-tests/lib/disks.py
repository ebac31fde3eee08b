# SPDX-License-Identifier: GPL-2.0-or-later
"""The disks of a VM: what is kept of them on the host, and how QEMU gets them.

A disk NAME is NAME.raw, its content when the VM was last started. While the VM runs, its writes go to
NAME.live (qcow2 over NAME.raw) and, in order and with the flushes, to NAME.writes (QEMU's blklogwrites).
NAME.raw is not touched until the VM has ended; then powercut.py brings it up to date from NAME.writes.
Host caches are never flushed: what survives a power cut is decided by the log alone, so it costs nothing."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from . import paths
from .tools import ext4_of_tree, locked, run

MIB = 1 << 20
DISCARD_BYTES = 65536           # granularity offered to the guest: the cluster of NAME.live


@dataclass(frozen=True)
class Sizes:
    data_mib: int = 256
    log_mib: int = 128
    journal_mib: int = 512      # the journal partition; two meta partitions come on top
    meta_mib: int = 16
    state_mib: int = 2048


def create(directory: Path, sizes: Sizes, ram_disks: bool) -> list[str]:
    """Make fresh disks for one node; returns their names. Existing ones are replaced."""
    _state_disk(directory / "state.raw", sizes.state_mib)
    if ram_disks:
        return ["state"]
    _sparse(directory / "data.raw", sizes.data_mib)
    _sparse(directory / "log.raw", sizes.log_mib)
    _journal_disk(directory / "journal.raw", sizes)
    return ["state", "data", "log", "journal"]


def _sparse(path: Path, mib: int) -> None:
    path.unlink(missing_ok=True)
    with open(path, "wb") as disk:
        disk.truncate(mib * MIB)


def _journal_disk(path: Path, sizes: Sizes) -> None:
    """GPT with one partition for the journal and one meta area per volume."""
    _sparse(path, sizes.journal_mib + 2 * sizes.meta_mib + 2)
    table = "label: gpt\nfirst-lba: 2048\n"
    for name, mib in (("journal", sizes.journal_mib), ("meta-data", sizes.meta_mib), ("meta-log", sizes.meta_mib)):
        table += f"size={mib}MiB, name={name}\n"
    run("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", path, stdin=table)


def _state_disk(path: Path, mib: int) -> None:
    """Empty ext4 for the writable part of the root file system; made once, copied sparse."""
    paths.IMAGES.mkdir(parents=True, exist_ok=True)
    template = paths.IMAGES / f"state-{mib}.ext4"
    with locked(paths.IMAGES, "state"):
        if not template.exists():
            empty = paths.IMAGES / ".empty"
            empty.mkdir(exist_ok=True)
            aside = template.with_suffix(".new")
            aside.unlink(missing_ok=True)
            ext4_of_tree(empty, aside, journal=True, size_mib=mib)
            aside.rename(template)
            empty.rmdir()
    path.unlink(missing_ok=True)
    run("cp", "--sparse=always", "--reflink=auto", template, path)


def open_for_run(directory: Path, names: list[str]) -> None:
    """Before QEMU starts: fresh live overlays and logs."""
    for name in names:
        raw = directory / f"{name}.raw"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", f"{name}.raw", directory / f"{name}.live",
            str(raw.stat().st_size))
        (directory / f"{name}.writes").write_bytes(b"")


def is_open(directory: Path, names: list[str]) -> bool:
    """True if a VM has run since the raw disks were last brought up to date."""
    return any((directory / f"{name}.live").exists() for name in names)


def close(directory: Path, names: list[str]) -> None:
    """After the raw disks were brought up to date."""
    for name in names:
        (directory / f"{name}.live").unlink(missing_ok=True)
        (directory / f"{name}.writes").unlink(missing_ok=True)


def shared_drive(name: str, path: Path) -> list[str]:
    """QEMU arguments of a read-only disk that several VMs use."""
    node = {"driver": "raw", "node-name": name, "read-only": True,
            "file": {"driver": "file", "filename": str(path), "locking": "off", "read-only": True}}
    return ["-blockdev", json.dumps(node), "-device", f"virtio-blk-pci,drive={name},serial={name},num-queues=1"]


def recorded_drive(name: str, discard: bool) -> list[str]:
    """QEMU arguments of a disk with a volatile write cache, whose writes and flushes are recorded.
    Paths are relative to the node's directory, QEMU's working directory."""
    unsafe = {"no-flush": True}
    unmap = "unmap" if discard else "ignore"
    live = {"driver": "qcow2", "node-name": f"{name}-live", "cache": unsafe, "discard": unmap,
            "file": {"driver": "file", "filename": f"{name}.live", "cache": unsafe, "discard": unmap},
            "backing": {"driver": "raw", "read-only": True,
                        "file": {"driver": "file", "filename": f"{name}.raw", "read-only": True}}}
    log = {"driver": "file", "node-name": f"{name}-log", "filename": f"{name}.writes", "cache": unsafe}
    recorder = {"driver": "blklogwrites", "node-name": name, "file": f"{name}-live", "log": f"{name}-log",
                "log-sector-size": 512, "log-super-update-interval": 65536, "discard": unmap}
    device = (f"virtio-blk-pci,drive={name},serial={name},write-cache=on,num-queues=1,"
              f"discard={'on' if discard else 'off'},discard_granularity={DISCARD_BYTES},write-zeroes=off")
    return ["-blockdev", json.dumps(live), "-blockdev", json.dumps(log), "-blockdev", json.dumps(recorder),
            "-device", device]


def copy_out(directory: Path, name: str, target: Path) -> None:
    """The content of a disk of a VM that is off, for tools that look at it on the host."""
    shutil.copyfile(directory / f"{name}.raw", target)
