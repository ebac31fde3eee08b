# SPDX-License-Identifier: GPL-2.0-or-later
"""The product as tests get it: the tree that `make install DESTDIR=` leaves, made once per run of the tests."""

import os
import shutil
import subprocess
from pathlib import Path

from . import paths
from .paths import LabError

_staged: Path | None = None


def tree() -> Path:
    """RC_VM_PRODUCT if it is set (an installed tree of somebody's choice), else built and installed now."""
    global _staged
    if _staged is None:
        chosen = os.environ.get("RC_VM_PRODUCT")
        if chosen and not Path(chosen).is_dir():
            raise LabError(f"RC_VM_PRODUCT={chosen} is not a directory. Next: make install DESTDIR={chosen}")
        _staged = Path(chosen).absolute() if chosen else _install()
    return _staged


def _install() -> Path:
    target = paths.CACHE / "product"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    done = subprocess.run(["make", "-C", str(paths.REPO), "install", f"DESTDIR={target}"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"`make install DESTDIR={target}` failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return target
