// SPDX-License-Identifier: GPL-2.0-or-later
// What a Target must know about the records in its journal without reading them: where streams begin and end,
// markers, verdicts, ends of copying, and which extents a draft has gathered. Built in the order of the
// journal: by recovery and by the running Target alike. Nothing is kept per ordinary record.
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
  Epoch epoch{}; // of a marker
};

struct JournalSegment {
  StreamId stream{};
  Seq first = 0;
  Seq last = 0;   // first - 1: empty
  Era last_era{}; // highest era of a record seen in it; Era{} without
  std::uint64_t last_time_ns = 0;
  bool ended = false; // a seal or loss record is its last
};

class JournalIndex {
public:
  // A new, empty segment: records of this stream follow, `first` is the next one.
  void begin(StreamId stream, Seq first);
  // Contiguous with the last segment.
  void add(std::span<const format::Record> records);
  // What recovery found of one segment (begin() and add() in one): its records that are not writes, in order,
  // and the extents of its copy records that carry data.
  void recovered(StreamId stream, Seq first, Seq last, std::span<const format::Record> control,
                 std::span<const format::Extent> copies);
  void trim(StreamId stream, Seq through); // through this record, and all segments before
  void clear();

  bool empty() const { return segments_.empty(); } // no segment: nothing was begun
  const std::deque<JournalSegment>& segments() const { return segments_; }
  const JournalSegment* last_segment() const { return segments_.empty() ? nullptr : &segments_.back(); }
  const std::deque<JournalMark>& marks() const { return marks_; }

  // What copy records of the LAST segment up to `through` have brought (a lower bound is allowed, never
  // more).
  ExtentSet copied(Seq through) const;

  // A checkpoint of the last segment whose marker and `held` are there.
  struct Checkpoint {
    Era era{};
    StreamId stream{};
    Seq marker = 0;
    Seq held = 0;
    std::uint64_t time_ns = 0;
    Epoch epoch{};
  };
  // The newest one with marker > after and held <= through.
  std::optional<Checkpoint> last_valid(Seq after, Seq through) const;
  // All of them, ascending; and the one that is named `era`.
  std::vector<Checkpoint> valid(Seq after, Seq through) const;
  std::optional<Checkpoint> find(Era era, Seq after, Seq through) const;
  // Last end of copying with the link's bit in the last segment, 0 without.
  Seq end_of_copying(std::uint32_t tag, Seq through) const;

private:
  struct Copy {
    Seq last = 0; // highest seq that is part of it
    format::Extent extent;
  };
  template <typename Visit> void visit_valid(Seq after, Seq through, Visit&& visit) const;
  void add_mark(const format::Record& record);
  void add_copy(Seq seq, const format::Extent& extent);

  std::deque<JournalSegment> segments_;
  std::deque<JournalMark> marks_; // of all segments
  std::deque<Copy> copies_;       // of the last segment
};

} // namespace rc::core
