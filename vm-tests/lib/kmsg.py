# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds kernel warnings in a console log. The console shows all kernel messages of level warning and worse and is
recorded on the host, so a guest that crashed or was cut is judged like any other."""

import re

TROUBLE = re.compile(
    r"BUG:|WARNING: |Oops|kernel BUG|general protection|Kernel panic|Call Trace|soft lockup|hard LOCKUP|"
    r"blocked for more than|rcu.*detected .*stall|self-detected stall|workqueue lockup|possible circular locking|"
    r"possible recursive locking|inconsistent lock state|suspicious RCU|sleeping function called|bad unlock balance|"
    r"refcount_t:|list_(add|del) corruption|use-after-free|slab-out-of-bounds|UBSAN|KASAN|KCSAN|unable to handle|"
    r"page allocation failure|Out of memory|EXT4-fs error|XFS .*Corruption|I/O error|device stuck|"
    r"lab: (cannot|failed|no) ")
LINE = re.compile(r"^\s*(<\d>)?\[ *\d+\.\d+\]")


def trouble(console: str, allowed: list[str] = ()) -> list[str]:
    """Kernel lines that mean trouble, except those matching one of the allowed expressions."""
    found = []
    for line in console.splitlines():
        if LINE.match(line) and TROUBLE.search(line) and not any(re.search(a, line) for a in allowed):
            found.append(line.strip())
    return found
