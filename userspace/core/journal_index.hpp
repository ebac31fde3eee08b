// SPDX-License-Identifier: GPL-2.0-or-later
// What a Target must know about the records in its journal without reading them: where streams begin and end,
// markers, verdicts, ends of copying, and which extents a draft has gathered. Built by add() in the order of
// the journal: by recovery (the agent feeds every durable header) and by the running Target alike. Nothing is
// kept per ordinary record.
#pragma once

#include "core/extent_set.hpp"
#include "format/record.hpp"

#include <deque>
#include <span>

namespace rc::core {

struct JournalSpace {
  std::uint64_t used_bytes = 0;     // of the data area
  std::uint64_t capacity_bytes = 0; // net of what can't be used
  std::uint64_t used_slots = 0;     // of the control area
  std::uint64_t capacity_slots = 0;
};

struct JournalMark { // a record that decides something
  format::RecordType type{};
  StreamId stream{};
  Seq seq = 0;
  Era era{};
  std::uint64_t time_ns = 0;
  std::uint32_t tag = 0;
};

struct JournalSegment {
  StreamId stream{};
  Seq first = 0;
  Seq last = 0;   // first - 1: empty
  Era last_era{}; // highest era of a record in it
  std::uint64_t last_time_ns = 0;
};

class JournalIndex {
public:
  // Contiguous with the segment's last record, or the first of a new segment.
  void add(StreamId stream, std::span<const format::Record> records);
  void trim(StreamId stream, Seq through); // and all segments before
  void clear();

  bool empty() const { return segments_.empty(); }
  const std::deque<JournalSegment>& segments() const { return segments_; }
  const JournalSegment* last_segment() const { return segments_.empty() ? nullptr : &segments_.back(); }
  const std::deque<JournalMark>& marks() const { return marks_; }
  const ExtentSet& copied() const { return copied_; } // by copy records with data, whole index
  void forget_copied() { copied_ = {}; }

  // Newest checkpoint whose marker and `held` lie in [.., through] of the last segment, marker after `after`.
  struct Checkpoint {
    Era era{};
    StreamId stream{};
    Seq marker = 0;
    Seq held = 0;
    std::uint64_t time_ns = 0;
  };
  std::optional<Checkpoint> last_valid(StreamId stream, Seq after, Seq through) const;
  // Last end of copying in that stream's last segment, 0 without.
  Seq end_of_copying(StreamId stream, Seq from) const;

private:
  std::deque<JournalSegment> segments_;
  std::deque<JournalMark> marks_;
  ExtentSet copied_;
};

} // namespace rc::core
