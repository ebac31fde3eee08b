# SPDX-License-Identifier: GPL-2.0-or-later
"""Content hashes of directory trees, the keys of the image and layer caches.
Equal key means equal content: names, types, modes, link targets and bytes; times and owners do not count."""

import hashlib
import os
import stat
from pathlib import Path


def of_tree(root: Path) -> str:
    """Hash of everything below root. Special files are refused: nothing we install has any."""
    digest = hashlib.sha256()
    for directory, names, files in os.walk(root):
        names.sort()
        for name in sorted(files + [n for n in names if os.path.islink(os.path.join(directory, n))]):
            path = Path(directory) / name
            info = path.lstat()
            digest.update(f"{path.relative_to(root)}\0{info.st_mode:o}\0".encode())
            if stat.S_ISLNK(info.st_mode):
                digest.update(os.readlink(path).encode())
            elif stat.S_ISREG(info.st_mode):
                digest.update(hashlib.sha256(path.read_bytes()).digest())
            else:
                raise ValueError(f"{path}: neither a file, a directory nor a link")
        for name in names:
            digest.update(f"{(Path(directory) / name).relative_to(root)}/\0".encode())
    return digest.hexdigest()


def of_texts(*texts: str) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(len(text).to_bytes(8, "little") + text.encode())
    return digest.hexdigest()
