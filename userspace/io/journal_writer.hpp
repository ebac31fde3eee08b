// SPDX-License-Identifier: GPL-2.0-or-later
// The side of a journal that touches the disk: appends records, writes superblocks, flushes. Used by one
// thread (the journal's commit thread). Invariant: between two superblock writes there is a flush, so one of
// the two slots is always whole; a superblock claims nothing that was not flushed before it was written.
#pragma once

#include "io/journal.hpp"
#include "io/journal_area.hpp"
#include "io/journal_recovery.hpp"

namespace rc::io {

class JournalWriter {
public:
  // Goes on where recovery ended. Flushes first (what was found may only be in the disk's cache), then stores
  // a superblock that says so.
  static Result<std::unique_ptr<JournalWriter>> open(std::shared_ptr<Disk> disk, RecoveredJournal recovered);

  // Of the last segment, contiguous; the caller has checked that it fits.
  Status append(const format::RecordsMessage& records);
  // Everything appended is on stable storage afterwards. Also stores a superblock when much was appended
  // since the last.
  Status commit();
  bool uncommitted() const { return uncommitted_; }

  // Changes what the next superblock says.
  Status trim(const JournalTrim& trim);
  void empty();
  void begin(const JournalSegmentStart& start);
  void set_state(format::GroupState state);
  // commit() and the superblock, on stable storage.
  Status store();

  struct Marks {
    std::uint64_t in_slot = 0;
    std::uint64_t in_data = 0;
    std::uint64_t out_slot = 0; // as stored in the newest durable superblock
    std::uint64_t out_data = 0;
    std::uint64_t flushed_slot = 0;
  };
  const Marks& marks() const { return marks_; }
  const std::vector<format::Segment>& segments() const { return superblock_.state.segments; }
  std::uint64_t untrimmed_bytes() const { return superblock_.out_data - marks_.out_data; }
  std::uint64_t untrimmed_slots() const { return superblock_.out_slot - marks_.out_slot; }

private:
  JournalWriter(std::shared_ptr<Disk> disk, format::Superblock superblock, AreaWriter control,
                AreaWriter data);
  Status write_superblock();
  Status flush();
  Result<std::uint64_t> data_position(std::uint64_t slot);

  std::shared_ptr<Disk> disk_;
  format::Superblock superblock_; // as it would be written now; serial: of the last one written
  JournalArea control_area_;
  AreaWriter control_;
  AreaWriter data_;
  Marks marks_;
  AlignedBuffer superblock_memory_;
  bool uncommitted_ = false;
  std::uint64_t flushed_data_ = 0;
  std::uint64_t superblock_data_ = 0; // in_data when the last superblock was written
};

} // namespace rc::io
