# SPDX-License-Identifier: GPL-2.0-or-later
"""Booted labs shared by tests. One lab lives at a time; tests of the same shape get the same one, after its cables
were made plain and its nodes started. A lab in which a test failed is not used again.

VMs of a pool die with the process that made them; what it leaves on disk is removed by the next run."""

import json
import os
from dataclasses import asdict, replace

from . import paths, product
from .disks import Sizes
from .lab import Lab, Options, remove_stale

OPTIONS = {"include", "copies", "kernel", "mem_mib", "smp", "mtu", "ram_disks", "discard"}
SIZES = set(Sizes.__dataclass_fields__)


def options_of(**words) -> Options:
    """From the words of `@pytest.mark.lab(...)`: node kinds and their counts (async_ for async), fields of Options,
    sizes of disks, product=False for a lab without the product."""
    words = dict(words)
    with_product = words.pop("product", True)
    words.pop("fresh", None)
    sizes = Sizes(**{k: words.pop(k) for k in list(words) if k in SIZES})
    chosen = {k: words.pop(k) for k in list(words) if k in OPTIONS}
    copies = tuple(str(c) for c in chosen.pop("copies", ()))
    nodes = {kind.rstrip("_"): count for kind, count in words.items()} or Options().nodes
    options = replace(Options(nodes=nodes, sizes=sizes), **chosen)
    return replace(options, copies=((str(product.tree()),) if with_product else ()) + copies)


def shape(**words) -> str:
    """Tests whose words give the same text can share a lab; for ordering, before anything is built."""
    return json.dumps({k: v for k, v in words.items() if k != "fresh"}, sort_keys=True, default=str)


class Pool:
    def __init__(self):
        self.lab: Lab | None = None
        self.key = None
        self.made = 0
        paths.LABS.mkdir(parents=True, exist_ok=True)
        remove_stale()

    def get(self, fresh: bool = False, **words) -> Lab:
        options = options_of(**words)
        key = json.dumps(asdict(options), sort_keys=True)
        if self.lab and (fresh or key != self.key):
            self.drop()
        if self.lab is None:
            self.made += 1
            self.lab = Lab.up(f"run-{os.getpid()}-{self.made}", options, die_with_parent=True)
            self.key = key
        else:
            self.lab.plain()
        return self.lab

    def drop(self) -> None:
        if self.lab:
            self.lab.down()
            self.lab = None
