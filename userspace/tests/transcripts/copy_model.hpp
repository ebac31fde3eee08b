// SPDX-License-Identifier: GPL-2.0-or-later
// A copy's disks as stories need them: journal with group commit, volumes with their region map, update in
// progress. A power cut takes what was not flushed. Applying can be stopped half way.
#pragma once

#include "core/target.hpp"
#include "transcripts/kernel_model.hpp"

#include <deque>

namespace rc::story {

struct JournalModel {
  struct Segment {
    StreamId stream{};
    Seq first = 1;
    std::vector<format::Record> records;
  };
  std::deque<Segment> segments;
  std::size_t unflushed = 0; // records at the end of the last segment that a power cut takes
  std::uint64_t capacity_bytes = 1 << 20;
  std::uint64_t capacity_slots = 4096;

  void change(const core::JournalChange& change);
  void append(const std::vector<format::Record>& records) {
    segments.back().records.insert(segments.back().records.end(), records.begin(), records.end());
    unflushed += records.size();
  }
  void power_cut();
  Seq last() const {
    return segments.empty() ? 0 : segments.back().first + segments.back().records.size() - 1;
  }
  core::JournalSpace space() const;
  core::RecoveredJournal recovered() const;
};

struct CopyModel {
  JournalModel journal;
  format::GroupState stored;
  Volumes volumes;
  bool update_in_progress = false;

  // All records of the journal through (stream, last). half: as if the power failed in the middle.
  void apply(StreamId stream, Seq last, bool half);
};

} // namespace rc::story
