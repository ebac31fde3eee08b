# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the lab keeps things. Everything generated lies below one cache directory
(build/vm, or RC_VM_CACHE), so deleting that directory forgets the lab completely."""

import os
from pathlib import Path

VM_TESTS = Path(__file__).resolve().parents[1]
REPO = VM_TESTS.parent
GUEST = VM_TESTS / "guest"
CACHE = Path(os.environ.get("RC_VM_CACHE") or REPO / "build" / "vm").absolute()
IMAGES = CACHE / "images"
LAYERS = CACHE / "layers"
LABS = CACHE / "labs"
LOGS = CACHE / "logs"


class LabError(Exception):
    """Anything the lab could not do; the text says what, why, and what to do next."""
