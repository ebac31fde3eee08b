# SPDX-License-Identifier: GPL-2.0-or-later
"""What a disk holds after the power was cut: everything up to the last flush, and of the later writes whatever the
drive happened to have put on its medium.

The log is QEMU's blklogwrites (dm-log-writes format: 512-byte super block, then per entry a header sector
{sector, nr_sectors, flags, data_len: u64} and the data). An entry gets its place when its write is done and before
the guest hears of it, so every write that the guest saw completed before it issued a flush lies before that
flush's entry. Virtio disks know no FUA: the guest's kernel sends a flush instead; a FUA entry would be kept always.

QEMU is stopped before it is killed, so no entry is half written. An entry whose write had not started leaves a
hole of zeroes; a header is never zero, so the next entry is the next sector that is not. Such writes were never
reported complete; they are dropped.
Invariant: kept <= all entries; kept >= all entries before the last flush. Same log and seed, same disk."""

import mmap
import os
import random
import struct
from dataclasses import dataclass, field
from pathlib import Path

from .disks import DISCARD_BYTES
from .paths import LabError

SECTOR = 512
ENTRY = struct.Struct("<QQQQ")
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
ZERO = bytes(SECTOR)
TEAR_CHANCE = 0.25


@dataclass
class Write:
    sector: int
    sectors: int
    flags: int
    at: int                     # where its data lies in the log


@dataclass
class Cut:
    """What became of the writes of one disk."""
    disk: str
    flushed: int = 0            # writes before the last flush
    flushes: int = 0
    later: int = 0              # writes after it
    kept: int = 0               # of the later ones, wholly on the disk
    torn: int = 0               # of the later ones, some sectors on the disk
    holes: int = 0              # writes still being logged, never reported complete
    lost: list = field(default_factory=list, repr=False)    # (sector, sectors) of the later ones not wholly kept

    def text(self) -> str:
        dropped = self.later - self.kept - self.torn
        return (f"{self.disk}: {self.flushed} writes before the last of {self.flushes} flushes kept; of {self.later} "
                f"later ones {self.kept} kept, {self.torn} torn, {dropped} lost")


def entries(log: mmap.mmap):
    """Yield (write, number of holes skipped before it) in log order."""
    position, end, holes = SECTOR, len(log), 0
    while position + SECTOR <= end:
        if log[position:position + SECTOR] == ZERO:
            following = _next_data(log, position)
            if following is None:
                return
            position, holes = following, holes + 1
            continue
        sector, sectors, flags, _ = ENTRY.unpack_from(log, position)
        if flags & ~(FLUSH | FUA | DISCARD | MARK) or (sectors == 0) != bool(flags & (FLUSH | MARK)):
            raise LabError(f"the write log is damaged at byte {position} (sector {sector}, {sectors} sectors, flags "
                           f"{flags:#x}); the disk cannot be rebuilt. Next: `lab down`, and report this.")
        if not flags & DISCARD and position + SECTOR * (1 + sectors) > end:
            return              # the last entry, its data not yet logged: never reported complete
        yield Write(sector, sectors, flags, position + SECTOR), holes
        holes = 0
        position += SECTOR if flags & DISCARD else SECTOR * (1 + sectors)


def _next_data(log: mmap.mmap, position: int):
    """First sector at or after position that is not zero."""
    while position + SECTOR <= len(log):
        block = log[position:position + (1 << 20)]
        stripped = block.lstrip(b"\0")
        if stripped:
            return position + (len(block) - len(stripped)) // SECTOR * SECTOR
        position += len(block) // SECTOR * SECTOR or SECTOR
    return None


def unflushed(directory: Path, name: str) -> int:
    """How many writes a cut would find behind the last flush. The VM is frozen."""
    with open(directory / f"{name}.writes", "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as log:
        count = 0
        for write, _ in entries(log):
            count = 0 if write.flags & FLUSH else count + (not write.flags & MARK)
        return count


def settle(directory: Path, name: str, rng: random.Random | None, tear: bool = True,
           keep: float | None = None) -> Cut:
    """Bring NAME.raw up to date from NAME.writes. rng None: an orderly end, every write is kept. keep: the
    probability that a later write is on the disk (None: chosen by the seed, extremes included)."""
    cut = Cut(name)
    path = directory / f"{name}.writes"
    if path.stat().st_size <= SECTOR:
        return cut
    disk = os.open(directory / f"{name}.raw", os.O_WRONLY)
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as log:
            _apply(disk, log, cut, rng, tear, keep)
    finally:
        os.close(disk)
    return cut


def _apply(disk: int, log: mmap.mmap, cut: Cut, rng, tear: bool, keep: float | None) -> None:
    view = memoryview(log)
    try:
        later: list[Write] = []
        last_flush = 0
        for write, holes in entries(log):       # first pass: where the last flush is
            cut.holes += holes
            if write.flags & FLUSH:
                cut.flushes += 1
                last_flush = write.at
        for write, _ in entries(log):
            if write.flags & (FLUSH | MARK):
                continue
            if rng is None or write.at < last_flush:
                cut.flushed += 1
                _put(disk, view, write)
            else:
                later.append(write)
        if rng is None:
            return
        cut.later = len(later)
        chance = rng.choice((0.0, 0.5, 0.9, rng.random())) if keep is None else keep
        for write in later:
            _put_some(disk, view, write, cut, rng, chance, tear)
    finally:
        view.release()


def _put_some(disk: int, view: memoryview, write: Write, cut: Cut, rng: random.Random, chance: float,
              tear: bool) -> None:
    if write.flags & FUA or rng.random() < chance:
        cut.kept += 1
        _put(disk, view, write)
        return
    cut.lost.append((write.sector, write.sectors))
    if tear and 0 < chance < 1 and write.sectors > 1 and not write.flags & DISCARD and rng.random() < TEAR_CHANCE:
        cut.torn += 1
        for index in range(write.sectors):
            if rng.random() < 0.5:
                at = write.at + index * SECTOR
                os.pwrite(disk, view[at:at + SECTOR], (write.sector + index) * SECTOR)


def _put(disk: int, view: memoryview, write: Write) -> None:
    offset, length = write.sector * SECTOR, write.sectors * SECTOR
    if write.flags & DISCARD:
        # The live disk unmaps whole clusters only and leaves the edges alone; so do we.
        start = -(-offset // DISCARD_BYTES) * DISCARD_BYTES
        end = (offset + length) // DISCARD_BYTES * DISCARD_BYTES
        while start < end:
            start += os.pwrite(disk, bytes(min(end - start, 1 << 20)), start)
        return
    at = write.at
    while length:
        done = os.pwrite(disk, view[at:at + length], offset)
        at, offset, length = at + done, offset + done, length - done
