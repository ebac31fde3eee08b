// SPDX-License-Identifier: GPL-2.0-or-later
// mark, write, settle: like the agent's applier, without its speed.
#include "transcripts/copy_model.hpp"

#include <algorithm>

namespace rc::story {

void JournalModel::change(const core::JournalChange& change) {
  unflushed = 0; // a stored state flushes what came before it
  if (change.trim) {
    while (!segments.empty()) {
      Segment& oldest = segments.front();
      const bool here =
          oldest.stream == change.trim->stream && oldest.first + oldest.records.size() > change.trim->through;
      if (here || segments.size() == 1) {
        const auto count =
            std::min<std::size_t>(oldest.records.size(), change.trim->through + 1 - oldest.first);
        oldest.records.erase(oldest.records.begin(),
                             oldest.records.begin() + static_cast<std::ptrdiff_t>(count));
        oldest.first += count;
        break;
      }
      segments.pop_front();
    }
  }
  if (change.empty)
    segments.clear();
  if (change.begin)
    segments.push_back({change.begin->stream, change.begin->first, {}});
}

void JournalModel::power_cut() {
  if (!segments.empty())
    segments.back().records.resize(segments.back().records.size() - unflushed);
  unflushed = 0;
}

core::JournalSpace JournalModel::space() const {
  core::JournalSpace space{0, capacity_bytes, 0, capacity_slots};
  for (const Segment& segment : segments) {
    space.used_slots += segment.records.size();
    for (const format::Record& record : segment.records)
      space.used_bytes += format::data_bytes(record);
  }
  return space;
}

core::RecoveredJournal JournalModel::recovered() const {
  core::RecoveredJournal found;
  for (const Segment& segment : segments) {
    std::vector<format::Record> control;
    std::vector<format::Extent> copies;
    for (const format::Record& record : segment.records) {
      if (record.type >= DMRC_FAILED)
        control.push_back(record);
      if (record.type == DMRC_COPY && format::has_data(record))
        copies.push_back({record.volume, record.sector, record.length / DMRC_SECTOR_BYTES, Era{}});
    }
    found.index.recovered(segment.stream, segment.first, segment.first + segment.records.size() - 1, control,
                          copies);
  }
  found.space = space();
  return found;
}

void CopyModel::apply(StreamId stream, Seq last, bool half) {
  std::vector<format::Record> records;
  for (const auto& segment : journal.segments) {
    for (const format::Record& record : segment.records)
      if (format::changes_volume(record))
        if (segment.stream != stream || &segment != &journal.segments.back() || record.seq <= last)
          records.push_back(record);
    if (&segment == &journal.segments.back())
      break;
  }
  std::map<Region*, Era> settle;
  for (const format::Record& record : records) {
    Region& region = volumes[record.volume][record.sector / region_sectors];
    region.open = true;
    settle[&region] = std::max(settle[&region], format::era_of(record));
  }
  const std::size_t count = half ? records.size() / 2 : records.size();
  for (std::size_t i = 0; i < count; ++i)
    volumes[records[i].volume][records[i].sector / region_sectors].value =
        records[i].type == DMRC_ZEROES || records[i].type == DMRC_DISCARD ? 0 : records[i].data_crc;
  if (half)
    return;
  for (const auto& [region, era] : settle) {
    region->open = false;
    region->era = era;
  }
}

} // namespace rc::story
