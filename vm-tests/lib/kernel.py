# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernel a guest runs, and how QEMU starts it.

Invariant: the guest's kernel release is one whose headers are installed on this machine, because the
module is built here and loaded there. The kernel is started as the uncompressed ELF image found inside
Debian's vmlinuz (PVH entry): unpacking xz in an emulated CPU would cost seconds of every boot."""

import lzma
import re
import subprocess
import zlib
from pathlib import Path

from .paths import LabError

# name -> (meta package of the image, extra suite)
FLAVOURS = {
    "debian": ("linux-image-amd64", None),
    "bpo": ("linux-image-amd64", "bookworm-backports"),
}


def headers_installed() -> list[str]:
    """Kernel releases for which this machine can build modules."""
    found = []
    for build in Path("/lib/modules").glob("*/build"):
        if (build / "Makefile").exists():
            found.append(build.parent.name)
    for headers in Path("/usr/src").glob("linux-headers-*-amd64"):
        found.append(headers.name.removeprefix("linux-headers-"))
    return sorted(set(found))


def check_headers(release: str, flavour: str) -> None:
    """Fail when the image's kernel is not one that modules are built for here."""
    have = headers_installed()
    if release in have:
        return
    suite = " -t bookworm-backports" if flavour == "bpo" else ""
    raise LabError(
        f"the newest {flavour} kernel for the guest is {release}, but headers are installed here only for "
        f"{', '.join(have) or 'no kernel'}; a module built here would not load there.\n"
        f"Next: apt-get update && apt-get install{suite} linux-headers-{release}, then build again.")


def newest_image_package(apt_show: str) -> str:
    """From `apt-cache depends linux-image-amd64`: the package with the kernel itself."""
    match = re.search(r"Depends:\s+(linux-image-\d\S*)", apt_show)
    if not match:
        raise LabError(f"apt knows no kernel package behind linux-image-amd64:\n{apt_show}")
    return match.group(1)


def extract_elf(vmlinuz: Path, elf: Path) -> None:
    """Write the ELF kernel contained in a bzImage, for a direct start by QEMU."""
    data = vmlinuz.read_bytes()
    for magic, unpack in ((b"\xfd7zXZ\x00", _unxz), (b"\x28\xb5\x2f\xfd", _unzstd), (b"\x1f\x8b\x08", _gunzip)):
        at = data.find(magic)
        while at >= 0:
            out = unpack(data[at:])
            if out[:4] == b"\x7fELF":
                elf.write_bytes(out)
                return
            at = data.find(magic, at + 1)
    raise LabError(f"{vmlinuz}: no xz, zstd or gzip compressed ELF kernel inside; cannot start it directly")


def _unxz(data: bytes) -> bytes:
    try:
        return lzma.LZMADecompressor().decompress(data)
    except lzma.LZMAError:
        return b""


def _gunzip(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(data)
    except zlib.error:
        return b""


def _unzstd(data: bytes) -> bytes:
    # zstd complains about the bytes behind the frame, after it has written the whole frame.
    return subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          check=False).stdout
