# SPDX-License-Identifier: GPL-2.0-or-later
"""The layer: everything that lies over the base image read-only - the lab's own guest/root and the trees given
by --copy, above all the product as `make install DESTDIR=` made it. It is a small ext4 of its own, so a rebuilt
agent costs a second, not a new image. Module dependencies are recomputed over base and layer together.
Cached by content; files land at the same paths as on a host where the tree was installed."""

import os
import shutil
import tempfile
from pathlib import Path

from . import contenthash, paths
from .image import Image
from .paths import LabError
from .tools import ext4_of_tree, locked, run

MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")    # links into /usr on Debian 12
KEPT = 12                                                       # layers kept in the cache


def ensure(image: Image, copies: tuple[Path, ...]) -> Path:
    """The layer image of these trees (later ones win) over this base image."""
    trees = [paths.GUEST / "root", *copies]
    for tree in trees:
        if not tree.is_dir():
            raise LabError(f"{tree} is not a directory; --copy takes a tree as `make install DESTDIR=` leaves it")
    key = contenthash.of_texts(image.directory.name, Path(__file__).read_text(),
                               *(contenthash.of_tree(t) for t in trees))[:16]
    target = paths.LAYERS / f"{key}.ext4"
    with locked(paths.LAYERS, "build"):
        if not target.exists():
            _build(image, trees, target)
            _forget_old()
        os.utime(target)
    return target


def _build(image: Image, trees: list[Path], target: Path) -> None:
    work = Path(tempfile.mkdtemp(prefix=".building-", dir=paths.LAYERS))
    try:
        merged = work / "tree"
        merged.mkdir()
        os.chmod(merged, 0o755)
        for tree in trees:
            run("cp", "-a", "--no-preserve=ownership", "--remove-destination", f"{tree}/.", merged)
        _merge_usr(merged)
        _add_module_dependencies(image, merged, work)
        ext4_of_tree(merged, work / "layer.ext4", journal=False)
        (work / "layer.ext4").rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _merge_usr(tree: Path) -> None:
    """A real /lib in the layer would hide the link /lib -> usr/lib of the base: move such trees below /usr."""
    for name in MERGED:
        source = tree / name
        if source.is_dir() and not source.is_symlink():
            (tree / "usr" / name).mkdir(parents=True, exist_ok=True)
            run("cp", "-a", "--remove-destination", f"{source}/.", tree / "usr" / name)
            shutil.rmtree(source)


def _add_module_dependencies(image: Image, tree: Path, work: Path) -> None:
    ours = tree / "usr/lib/modules"
    if not ours.is_dir():
        return
    for release in os.listdir(ours):
        if release != image.release:
            raise LabError(
                f"the product has a module for kernel {release}, the guest image runs {image.release}; it would not "
                f"load.\nNext: build the module against the headers of {image.release}, or rebuild the image.")
    root = work / "depmod"
    (root / "lib/modules").mkdir(parents=True)
    run("cp", "-al", image.modules, root / "lib/modules" / image.release)
    run("cp", "-a", "--remove-destination", f"{ours / image.release}/.", root / "lib/modules" / image.release)
    # depmod replaces its files by rename, so the hard links into the image stay whole.
    run("depmod", "-b", root, image.release)
    for made in (root / "lib/modules" / image.release).glob("modules.*"):
        if made.name not in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
            shutil.copy(made, ours / image.release / made.name)


def _forget_old() -> None:
    layers = sorted(paths.LAYERS.glob("*.ext4"), key=lambda p: p.stat().st_mtime)
    for old in layers[:-KEPT]:
        old.unlink()            # a running VM keeps its open file
