// SPDX-License-Identifier: GPL-2.0-or-later
// What a journal holds after a power cut (docs/journal.md, recovery): read superblocks, walk the slots from
// the out pointer, decide where the records end. Only reads. Invariant: a record is returned only if it was
// appended whole; what was reported durable is returned or the whole is an Error.
#pragma once

#include "format/journal_layout.hpp"
#include "io/disk.hpp"

namespace rc::io {

// Most slots that one commit writes: so far behind a damaged record the beginning of the next commit must
// show, if there was one.
inline constexpr std::uint64_t commit_slots_max = 65536;

struct RecoveredJournal {
  format::Superblock superblock; // newest valid one
  std::uint64_t in_slot = 0;     // one behind the last good record
  std::uint64_t in_data = 0;
  std::uint64_t checked_records = 0;
  std::uint64_t checked_bytes = 0;
  std::uint64_t dropped_records = 0;
};

// NotFound: never formatted. Corrupt: no journal, or damage below what is known to be durable.
Result<RecoveredJournal> recover_journal(Disk& disk);

// The newest valid one of the two superblocks.
Result<format::Superblock> read_superblock(Disk& disk);

// Reads slots [slot, slot + count) of one segment; each header verified against stream, seq and data
// position. The returned records have data_pos as given to append. `first_data`: of the first one.
struct SlotExpectation {
  StreamId stream{};
  Seq seq = 0;
};
// Is this stored slot the expected record (with a valid header)?
Status check_slot(const format::Record& stored, const SlotExpectation& expected);
// data_pos as it was before it was stored.
void restore_data_pos(format::Record& stored);

} // namespace rc::io
