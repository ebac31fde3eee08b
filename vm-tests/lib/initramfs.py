# SPDX-License-Identifier: GPL-2.0-or-later
"""The initramfs of the lab: busybox, a dozen modules in load order, and guest/init. It mounts the layers of the
root file system and sets up the node's cables; Debian's own initramfs would take most of the boot time."""

import lzma
import os
import stat
from pathlib import Path

from . import contenthash, paths
from .paths import LabError

# What must work before the root file system is there; dependencies are added from modules.dep.
MODULES = ["virtio_pci", "virtio_blk", "virtio_console", "virtio_net", "crc32c_generic", "crc32c_intel", "ext4",
           "overlay", "qemu_fw_cfg", "sch_netem"]

# The commands of busybox that guest/init uses.
APPLETS = ["sh", "mount", "umount", "insmod", "cat", "ip", "tar", "chroot", "mkdir", "switch_root", "setsid", "ls"]


def ensure(image_dir: Path, release: str) -> Path:
    """The initrd for this image and today's guest/init (cached beside the image)."""
    init = paths.GUEST / "init"
    key = contenthash.of_texts(release, init.read_text(), Path(__file__).read_text())[:12]
    target = image_dir / f"initrd-{key}"
    if not target.exists():
        aside = target.with_suffix(f".{os.getpid()}")
        _write(aside, image_dir, init)
        aside.rename(target)
    return target


def _write(target: Path, image_dir: Path, init: Path) -> None:
    modules = image_dir / "modules"
    order = load_order((modules / "modules.dep").read_text(), MODULES)
    with open(target, "wb") as out:
        archive = Cpio(out)
        for directory in ("bin", "dev", "proc", "sys", "run", "layers", "newroot", "modules"):
            archive.add(directory, stat.S_IFDIR | 0o755, b"")
        archive.add("bin/busybox", stat.S_IFREG | 0o755, (image_dir / "busybox").read_bytes())
        for applet in APPLETS:
            archive.add(f"bin/{applet}", stat.S_IFLNK | 0o777, b"busybox")
        archive.add("init", stat.S_IFREG | 0o755, init.read_bytes())
        for path in order:
            archive.add(f"modules/{_ko(path)}", stat.S_IFREG | 0o644, read_module(modules / path))
        archive.add("modules/order", stat.S_IFREG | 0o644, "\n".join(_ko(p) for p in order).encode() + b"\n")
        archive.close()


def _ko(path: str) -> str:
    return Path(path).name.removesuffix(".xz")


def read_module(path: Path) -> bytes:
    """A module as insmod of busybox takes it; newer Debian kernels have theirs compressed."""
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    if path.suffix != ".ko":
        raise LabError(f"{path}: the lab's initramfs knows modules as .ko and .ko.xz only")
    return path.read_bytes()


def load_order(modules_dep: str, wanted: list[str]) -> list[str]:
    """Paths of the wanted modules and all they need, in an order in which insmod succeeds."""
    depends, paths_by_name = {}, {}
    for line in modules_dep.splitlines():
        path, _, rest = line.partition(":")
        name = Path(path).name.split(".")[0].replace("-", "_")
        paths_by_name[name] = path
        depends[path] = rest.split()
    order: list[str] = []

    def add(path: str) -> None:
        for needed in reversed(depends[path]):
            add(needed)
        if path not in order:
            order.append(path)

    for name in wanted:
        if name in paths_by_name:
            add(paths_by_name[name])
        elif name not in ("crc32c_intel", "crc32c_generic"):    # built in, in some kernels
            raise LabError(f"the guest kernel has no module {name}; the lab cannot boot with it")
    return order


class Cpio:
    """Writes the `newc` format of the kernel's initramfs."""

    def __init__(self, out):
        self.out, self.inode = out, 0

    def add(self, name: str, mode: int, data: bytes) -> None:
        self.inode += 1
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        self._padded(b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0")
        self._padded(data)

    def close(self) -> None:
        self.add("TRAILER!!!", 0, b"")

    def _padded(self, data: bytes) -> None:
        self.out.write(data + bytes(-len(data) % 4))
