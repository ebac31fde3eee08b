# SPDX-License-Identifier: GPL-2.0-or-later
"""Running the host's tools, locks between processes, and file systems made from trees."""

import fcntl
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

from .paths import LabError


@contextmanager
def locked(where: Path, name: str):
    """Only one process builds the thing of this name; the others wait and find it built."""
    where.mkdir(parents=True, exist_ok=True)
    with open(where / f".{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ext4_of_tree(tree: Path, target: Path, journal: bool, size_mib: int | None = None) -> None:
    """Make an ext4 image holding the tree (owners and modes as they are). Without a size: as small as is safe."""
    if size_mib is None:
        used = int(subprocess.run(["du", "-s", "--block-size=1M", tree], capture_output=True, text=True,
                                  check=True).stdout.split()[0])
        size_mib = used + used // 8 + 16
    options = ["-E", "lazy_itable_init=0,nodiscard", "-m", "0"] + ([] if journal else ["-O", "^has_journal"])
    run("mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, *options, target, f"{size_mib}M")


def run(*command, stdin: str = "") -> str:
    if not shutil.which(command[0]):
        raise LabError(f"{command[0]} is not installed. Next: scripts/install-deps")
    done = subprocess.run([str(c) for c in command], input=stdin, capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"{' '.join(str(c) for c in command[:6])} ... failed: {done.stderr.strip()[-2000:]}")
    return done.stdout
