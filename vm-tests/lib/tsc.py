# SPDX-License-Identifier: GPL-2.0-or-later
"""The rate of this machine's time stamp counter, for the guests' kernels.

An emulated CPU shows the host's counter. A guest that measures its rate itself, while the host is busy, gets it wrong
(a clock three times too fast was seen, and boots that seemed to hang); then every delay and timeout in the guest is
wrong. So it is measured here, where it is easy, and given to the kernel (tsc_early_khz)."""

import ctypes
import mmap
import time
from functools import lru_cache

CODE = bytes.fromhex("0f31" "48c1e220" "4809d0" "c3")       # rdtsc; shl rdx,32; or rax,rdx; ret
SPAN_S = 0.25


@lru_cache(maxsize=1)
def khz() -> int:
    """Measured against the monotonic clock; good to a few parts in 100,000 on a busy host, too."""
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(CODE)
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    first_ns, first = _sample(read)
    time.sleep(SPAN_S)
    last_ns, last = _sample(read)
    return round((last - first) * 1e6 / (last_ns - first_ns))


def _sample(read) -> tuple[int, int]:
    """Clock and counter at one instant: the tightest of many tries, so that no preemption lies between."""
    best = None
    for _ in range(200):
        before = time.monotonic_ns()
        counter = read()
        width = time.monotonic_ns() - before
        if best is None or width < best[0]:
            best = (width, before + width // 2, counter)
    return best[1], best[2]
