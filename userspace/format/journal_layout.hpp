// SPDX-License-Identifier: GPL-2.0-or-later
// Where things lie in a journal (docs/journal.md): two superblock slots, a control area (ring of 64-byte
// slots), a data area. Positions are counted without wrap and never run backwards; an area's offset is
// position % size. Pure arithmetic and the superblock's bytes. Paper: seeds/004, Fig. 3.
#pragma once

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "format/group_state.hpp"
#include "format/record.hpp"

namespace rc::format {

inline constexpr std::uint64_t journal_block_bytes = 4096; // unit of every write
inline constexpr std::uint64_t superblock_slot_bytes = 1 << 20;
inline constexpr std::uint64_t superblock_offset[2] = {0, superblock_slot_bytes};
inline constexpr std::uint64_t control_area_offset = 2 * superblock_slot_bytes;
inline constexpr std::uint64_t journal_bytes_min = 8 << 20;
inline constexpr std::uint32_t journal_version = 1;

// data_pos in a stored slot: the place in the data area (of `failed` records: what it always is), and in bit
// 63: this is the first record of its commit, so everything before it was flushed when it was written.
inline constexpr std::uint64_t data_pos_first_of_commit = 1ULL << 63;
inline constexpr std::uint64_t data_pos_mask = data_pos_first_of_commit - 1;

struct JournalGeometry {
  std::uint64_t control_slots = 0; // a multiple of 64 (one block)
  std::uint64_t data_offset = 0;   // in the file, a multiple of the block
  std::uint64_t data_bytes = 0;    // a multiple of the block
  std::uint64_t control_bytes() const { return control_slots * sizeof(Record); }
  std::uint64_t total_bytes() const { return data_offset + data_bytes; }
  bool operator==(const JournalGeometry&) const = default;
};

// One slot for each 2 KiB of the whole (1/32 of the space). Usage: too small.
Result<JournalGeometry> geometry_for(std::uint64_t journal_bytes);
Status check_geometry(const JournalGeometry& geometry);

// The newest valid one of the two slots counts.
struct Superblock {
  std::uint64_t serial = 0;     // 1, 2, 3...: slot serial % 2
  std::uint64_t journal_id = 0; // random, set when formatted
  JournalGeometry geometry;
  std::uint64_t out_slot = 0; // oldest record kept; == in_slot when nothing is kept
  std::uint64_t out_data = 0;
  std::uint64_t checked_slot =
      0;            // all slots below are on stable storage: damage there is corruption, not a torn end
  GroupState state; // its segments are the journal's truth about what it holds
  bool operator==(const Superblock&) const = default;
};

// Full: the state does not fit a slot. The result is a multiple of the block long.
Result<Bytes> encode_superblock(const Superblock& superblock);
// How much of a slot must be read, whole blocks: as its first block says, at most the slot.
std::size_t superblock_stored_bytes(ByteView first_block);
// NotFound: all zeroes (never formatted); Corrupt: anything else that is no superblock.
Result<Superblock> decode_superblock(ByteView slot);

} // namespace rc::format
