# SPDX-License-Identifier: GPL-2.0-or-later
"""The base image: Debian 12 with systemd and Debian's kernel, made once and shared read-only by all VMs.

An image is a directory in the cache: root.ext4, vmlinux, modules/ (for depmod of layers), initrd, manifest.json.
It is named by a hash of everything that shapes it (packages, kernel release, apt sources, these scripts), is
built aside and renamed into place, and never changes after that. The product is not in it: see layer.py."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import contenthash, initramfs, kernel, paths
from .paths import LabError
from .tools import ext4_of_tree, locked, run

PACKAGES = """
    systemd systemd-sysv udev kmod procps iproute2 iputils-ping busybox-static
    python3 sqlite3 openssl fio dmsetup e2fsprogs fdisk
    libboost-program-options1.74.0 libdevmapper1.02.1 libssl3 libzstd1 libsystemd0 libblkid1 libsqlite3-0
""".split()

# Subtrees of the kernel's modules that no test VM can use; leaving them out halves image size and build time.
PRUNED_MODULES = """
    sound drivers/gpu drivers/media drivers/staging drivers/infiniband drivers/iio drivers/hid drivers/usb
    drivers/isdn drivers/mfd drivers/hwmon drivers/video drivers/leds drivers/rtc drivers/platform drivers/mmc
    drivers/memstick drivers/bluetooth drivers/nfc drivers/thunderbolt drivers/pcmcia drivers/comedi drivers/edac
    drivers/crypto drivers/input drivers/net/wireless drivers/net/ethernet drivers/net/usb drivers/net/wwan
    drivers/net/can drivers/cpufreq drivers/block/floppy.ko arch/x86/kvm drivers/net/dsa drivers/net/phy drivers/power drivers/regulator drivers/spi drivers/soundwire
    drivers/w1 drivers/mtd drivers/message drivers/i2c drivers/gpio drivers/extcon drivers/misc drivers/ata
    drivers/firewire drivers/parport drivers/vfio drivers/xen drivers/hv drivers/soc drivers/pinctrl
    drivers/scsi/qla2xxx drivers/scsi/lpfc drivers/scsi/mpt3sas drivers/scsi/mpi3mr drivers/scsi/megaraid
    drivers/scsi/bfa drivers/scsi/qla4xxx drivers/scsi/be2iscsi drivers/scsi/bnx2fc drivers/scsi/bnx2i
    drivers/scsi/csiostor drivers/scsi/cxgbi drivers/scsi/aic7xxx drivers/scsi/aacraid drivers/scsi/smartpqi
    net/wireless net/mac80211 net/bluetooth net/nfc net/atm net/ax25 net/batman-adv net/tipc net/rds net/sctp
    fs/ocfs2 fs/ceph fs/cifs fs/smb fs/ksmbd fs/nfs fs/nfsd fs/afs fs/gfs2 fs/jfs fs/reiserfs fs/ubifs fs/orangefs
    fs/coda fs/9p fs/udf fs/hfs fs/hfsplus fs/nilfs2 fs/f2fs fs/jffs2
""".split()


@dataclass(frozen=True)
class Image:
    directory: Path
    release: str

    @property
    def root(self) -> Path:
        return self.directory / "root.ext4"

    @property
    def vmlinux(self) -> Path:
        return self.directory / "vmlinux"

    @property
    def modules(self) -> Path:
        return self.directory / "modules"

    def initrd(self) -> Path:
        return initramfs.ensure(self.directory, self.release)


def ensure(include: tuple[str, ...] = (), flavour: str = "debian", log=print) -> Image:
    """Return the image of these packages, building it when the cache has none. Needs root."""
    packages = sorted(set(PACKAGES) | set(include))
    if flavour not in kernel.FLAVOURS:
        raise LabError(f"unknown kernel {flavour!r}; choose one of {', '.join(kernel.FLAVOURS)}")
    sources = _sources(kernel.FLAVOURS[flavour][1])
    key = contenthash.of_texts(*packages, flavour, sources, *kernel.headers_installed(), " ".join(PRUNED_MODULES),
                               *(Path(m.__file__).read_text() for m in (kernel,)), Path(__file__).read_text())[:16]
    directory = paths.IMAGES / key
    with locked(paths.IMAGES, key):
        if not (directory / "manifest.json").exists():
            log(f"image {key}: building ({len(packages)} packages, kernel {flavour}) ...")
            _build(directory, packages, flavour, sources)
        os.utime(directory)
    return Image(directory, json.loads((directory / "manifest.json").read_text())["release"])


def _sources(extra_suite: str | None) -> str:
    """The Debian stanzas of this machine's own apt configuration (deb822), so that the image comes from the
    same archive as everything else here; a further suite is added to the stanza of the main archive."""
    stanzas = []
    for file in sorted(Path("/etc/apt/sources.list.d").glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", re.sub(r"(?m)^#.*\n", "", file.read_text())):
            suites = re.search(r"(?mi)^Suites:\s*(.+)$", stanza)
            if not suites or not re.match(r"bookworm\b", suites.group(1)):
                continue
            if extra_suite and "bookworm" in suites.group(1).split():
                stanza = stanza.replace(suites.group(0), f"{suites.group(0)} {extra_suite}")
            stanzas.append(stanza.strip())
    one_line = [line for file in [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*.list")]
                if file.exists() for line in file.read_text().splitlines()
                if re.match(r"deb\s+(\[[^]]*\]\s+)?\S+\s+bookworm", line)]
    if not stanzas and one_line:
        if extra_suite:
            main = next((line for line in one_line if re.search(r"\sbookworm\s", line)), None)
            if main:
                one_line.append(re.sub(r"\sbookworm\s", f" {extra_suite} ", main))
        return "\n".join(one_line) + "\n"
    if not stanzas:
        raise LabError("no Debian bookworm source in this machine's /etc/apt; the guest image is built from it. "
                       "Next: add Debian 12 to apt's sources.")
    return "\n\n".join(stanzas) + "\n"


def _build(directory: Path, packages: list[str], flavour: str, sources: str) -> None:
    if os.geteuid() != 0:
        raise LabError("building the guest image needs root (mmdebstrap in root mode); run it as root")
    for tool in ("mmdebstrap", "mke2fs", "depmod", "qemu-system-x86_64", "zstd"):
        if not shutil.which(tool):
            raise LabError(f"{tool} is not installed; run scripts/install-deps first")
    work = Path(tempfile.mkdtemp(prefix=".building-", dir=paths.IMAGES))
    try:
        os.chmod(work, 0o755)
        release = _bootstrap(work, packages, flavour, sources)
        (work / "manifest.json").write_text(json.dumps(
            {"release": release, "kernel": flavour, "packages": packages}, indent=1) + "\n")
        shutil.rmtree(directory, ignore_errors=True)
        work.rename(directory)
    finally:
        _remove(work)


def _remove(work: Path) -> None:
    """What a bootstrap left. One that was killed leaves mounts of this host's own file systems below: never delete
    through them."""
    below = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()
             if line.split()[1].startswith(f"{work}/")]
    for mount in sorted(below, reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False)
    subprocess.run(["rm", "-rf", "--one-file-system", str(work)], check=False)


def _bootstrap(work: Path, packages: list[str], flavour: str, sources: str) -> str:
    tree = work / "tree"
    apt_sources = work / "debian.sources" if "URIs:" in sources else work / "debian.list"
    apt_sources.write_text(sources)
    suite = kernel.FLAVOURS[flavour][1]
    pin = f"-t {suite}" if suite else ""
    # The kernel package is only unpacked: installing it would build an initramfs that no VM ever uses.
    fetch = (f'chroot "$1" sh -ec \'apt-cache {pin} depends linux-image-amd64 >/kernel.depends; '
             "package=$(sed -n \"s/.*Depends: \\(linux-image-[0-9][^ ]*\\)/\\1/p\" /kernel.depends | head -n1); "
             f"cd / && apt-get {pin} -o APT::Sandbox::User=root download \"$package\"'")
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", "--quiet",
               "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
               "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright",
               f"--include={','.join(packages)}", f"--customize-hook={fetch}", "bookworm", str(tree), str(apt_sources)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"mmdebstrap failed:\n{done.stderr[-4000:]}")
    package = kernel.newest_image_package((tree / "kernel.depends").read_text())
    release = package.removeprefix("linux-image-")
    kernel.check_headers(release, flavour)
    (deb,) = tree.glob("linux-image-*.deb")
    unpacked = work / "kernel"
    run("dpkg-deb", "-x", deb, unpacked)
    deb.unlink()
    (tree / "kernel.depends").unlink()
    kernel.extract_elf(unpacked / "boot" / f"vmlinuz-{release}", work / "vmlinux")
    modules = next(unpacked.glob(f"*lib/modules/{release}"), None) or unpacked / "usr/lib/modules" / release
    for subtree in PRUNED_MODULES:
        run("rm", "-rf", modules / "kernel" / subtree)
    (tree / "usr/lib/modules").mkdir(exist_ok=True)
    modules.rename(tree / "usr/lib/modules" / release)
    shutil.copy(unpacked / "boot" / f"config-{release}", tree / "boot")
    run("depmod", "-b", tree, release)
    shutil.copy(tree / "bin/busybox", work / "busybox")
    run("cp", "-a", tree / "usr/lib/modules" / release, work / "modules")
    ext4_of_tree(tree, work / "root.ext4", journal=False)
    shutil.rmtree(tree)
    shutil.rmtree(unpacked)
    return release
