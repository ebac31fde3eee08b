// SPDX-License-Identifier: GPL-2.0-or-later
// Index of the journal's deciding records. The path of an ordinary record is one comparison of its type;
// neighbouring copy records are merged into one entry (up to a size), so that a long initial copy stays
// small.
#include "core/journal_index.hpp"

#include "base/assert.hpp"
#include "core/mutation.hpp"

#include <algorithm>

namespace rc::core {
namespace {
constexpr std::uint64_t merged_sectors_max = 64 << 11; // 64 MiB
}

void JournalIndex::begin(StreamId stream, Seq first) {
  segments_.push_back({stream, first, first - 1, Era{}, 0, false});
  copies_.clear();
}

void JournalIndex::add(std::span<const format::Record> records) {
  if (records.empty())
    return;
  RC_ASSERT(!segments_.empty());
  JournalSegment& segment = segments_.back();
  RC_ASSERT(records.front().seq == segment.last + 1);
  Era highest = segment.last_era;
  for (const format::Record& record : records) {
    highest = std::max(highest, format::era_of(record));
    switch (record.type) {
    case DMRC_WRITE:
    case DMRC_DISCARD:
    case DMRC_ZEROES:
    case DMRC_FAILED:
      break;
    case DMRC_COPY:
      if (format::brings_copy(record))
        add_copy(record.seq, {record.volume, record.sector, record.length / DMRC_SECTOR_BYTES, Era{}});
      break;
    default:
      add_mark(record);
    }
  }
  segment.last_era = highest;
  segment.last = records.back().seq;
  segment.last_time_ns = records.back().time_ns;
}

void JournalIndex::recovered(StreamId stream, Seq first, Seq last, std::span<const format::Record> control,
                             std::span<const format::Extent> copies) {
  begin(stream, first);
  JournalSegment& segment = segments_.back();
  for (const format::Record& record : control) {
    segment.last_era = std::max(segment.last_era, format::era_of(record));
    segment.last_time_ns = std::max<std::uint64_t>(segment.last_time_ns, record.time_ns);
    if (record.type != DMRC_FAILED)
      add_mark(record);
  }
  segment.last = last;
  for (const format::Extent& extent : copies)
    add_copy(last, extent); // which record brought it is not known: counted when all of the segment is
}

void JournalIndex::add_mark(const format::Record& record) {
  JournalSegment& segment = segments_.back();
  marks_.push_back({format::type_of(record), segment.stream, record.seq, format::era_of(record),
                    record.time_ns, record.tag, Epoch{record.type == DMRC_MARKER ? record.sector : 0}});
  if (record.type == DMRC_SEAL || record.type == DMRC_LOSS)
    segment.ended = true;
}

void JournalIndex::add_copy(Seq seq, const format::Extent& extent) {
  if (!copies_.empty()) {
    Copy& before = copies_.back();
    if (before.extent.volume == extent.volume &&
        before.extent.sector + before.extent.sectors == extent.sector &&
        before.extent.sectors + extent.sectors <= merged_sectors_max) {
      before.extent.sectors += extent.sectors;
      before.last = seq;
      return;
    }
  }
  copies_.push_back({seq, extent});
}

void JournalIndex::trim(StreamId stream, Seq through) {
  // Segments before the one that holds (stream, through) go whole. The same stream may have two stretches.
  while (!segments_.empty()) {
    JournalSegment& oldest = segments_.front();
    const bool here = oldest.stream == stream && through <= oldest.last;
    const bool whole_stretch = oldest.stream == stream && through == oldest.last && segments_.size() > 1 &&
                               segments_[1].stream == stream;
    if (here && !whole_stretch) {
      oldest.first = std::max(oldest.first, through + 1);
      break;
    }
    if (segments_.size() == 1) {
      RC_ASSERT(oldest.stream == stream); // trimmed beyond the end: a programmer's error
      RC_ASSERT(through <= oldest.last);
      break;
    }
    while (!marks_.empty() && marks_.front().stream == oldest.stream && marks_.front().seq <= oldest.last)
      marks_.pop_front();
    segments_.pop_front();
  }
  while (!marks_.empty() && marks_.front().stream == stream && marks_.front().seq <= through)
    marks_.pop_front();
  if (segments_.size() == 1)
    while (!copies_.empty() && copies_.front().last <= through)
      copies_.pop_front();
}

void JournalIndex::clear() {
  segments_.clear();
  marks_.clear();
  copies_.clear();
}

ExtentSet JournalIndex::copied(Seq through) const {
  ExtentSet set;
  for (const Copy& copy : copies_)
    if (copy.last <= through)
      set.add(copy.extent.volume, copy.extent.sector, copy.extent.sectors);
  return set;
}

// Newest first, until the visitor returns false.
template <typename Visit> void JournalIndex::visit_valid(Seq after, Seq through, Visit&& visit) const {
  if (segments_.empty())
    return;
  const JournalSegment& segment = segments_.back();
  const JournalMark* held = nullptr;
  for (auto mark = marks_.rbegin(); mark != marks_.rend(); ++mark) {
    if (mark->stream != segment.stream || mark->seq < segment.first || mark->seq <= after)
      return;
    const bool valid = mark->type == format::RecordType::Held ||
                       (mark->type == format::RecordType::Void && mutated(Mutation::VoidUsed));
    if (valid && mark->seq <= through)
      held = &*mark;
    else if (mark->type == format::RecordType::Marker && held && held->era == mark->era &&
             !visit(Checkpoint{mark->era, mark->stream, mark->seq, held->seq, mark->time_ns, mark->epoch}))
      return;
  }
}

std::optional<JournalIndex::Checkpoint> JournalIndex::last_valid(Seq after, Seq through) const {
  std::optional<Checkpoint> newest;
  visit_valid(after, through, [&](const Checkpoint& checkpoint) {
    newest = checkpoint;
    return false;
  });
  return newest;
}

std::vector<JournalIndex::Checkpoint> JournalIndex::valid(Seq after, Seq through) const {
  std::vector<Checkpoint> all;
  visit_valid(after, through, [&](const Checkpoint& checkpoint) {
    all.push_back(checkpoint);
    return true;
  });
  std::reverse(all.begin(), all.end());
  return all;
}

std::optional<JournalIndex::Checkpoint> JournalIndex::find(Era era, Seq after, Seq through) const {
  std::optional<Checkpoint> found;
  visit_valid(after, through, [&](const Checkpoint& checkpoint) {
    if (checkpoint.era == era)
      found = checkpoint;
    return checkpoint.era > era;
  });
  return found;
}

Seq JournalIndex::end_of_copying(std::uint32_t tag, Seq through) const {
  if (segments_.empty())
    return 0;
  const JournalSegment& segment = segments_.back();
  for (auto mark = marks_.rbegin(); mark != marks_.rend(); ++mark) {
    if (mark->stream != segment.stream || mark->seq < segment.first)
      break;
    if (mark->type == format::RecordType::EndOfCopying && mark->seq <= through && (mark->tag & tag) != 0)
      return mark->seq;
  }
  return 0;
}

} // namespace rc::core
