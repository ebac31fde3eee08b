// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/apply_plan.hpp"

#include <algorithm>

namespace rc::io {
namespace {

constexpr std::uint64_t sector_bytes = 512;

// Sectors that newer records have claimed: disjoint stretches [start, end).
class Claimed {
public:
  // Calls `free` with each part of [start, end) that nobody has claimed, and claims all of it.
  template <typename Free> void claim(std::uint64_t start, std::uint64_t end, Free free) {
    auto next = stretches_.upper_bound(start);
    if (next != stretches_.begin() && std::prev(next)->second >= start)
      --next;
    std::uint64_t from = start;
    std::uint64_t whole_start = start;
    std::uint64_t whole_end = end;
    while (next != stretches_.end() && next->first <= end) {
      if (next->first > from)
        free(from, next->first);
      from = std::max(from, next->second);
      whole_start = std::min(whole_start, next->first);
      whole_end = std::max(whole_end, next->second);
      next = stretches_.erase(next);
    }
    if (from < end)
      free(from, end);
    stretches_.emplace(whole_start, whole_end);
  }

private:
  std::map<std::uint64_t, std::uint64_t> stretches_;
};

Error corrupt(const format::Record& record, const std::string& why) {
  return Error{ErrorCode::Corrupt, "record " + format::to_string(record) + " " + why,
               "the copy is not changed by it; resynchronise the pair"};
}

} // namespace

Result<ApplyPlan> plan_apply(const format::RecordsMessage& window, std::uint32_t region_sectors,
                             const std::map<VolumeNumber, std::uint64_t>& volume_sectors) {
  ApplyPlan plan;
  std::size_t data_end = window.data ? window.data->size() : 0;
  std::map<VolumeNumber, Claimed> claimed;
  for (auto at = window.records.rbegin(); at != window.records.rend(); ++at) {
    const format::Record& record = *at;
    const std::uint32_t bytes = format::data_bytes(record);
    if (bytes > data_end)
      return corrupt(record, "has less data than it says");
    data_end -= bytes;
    if (!format::changes_volume(record))
      continue;
    const auto volume = volume_sectors.find(record.volume);
    if (volume == volume_sectors.end())
      return corrupt(record, "is of a volume that this copy lacks");
    const std::uint64_t sectors = record.length / sector_bytes;
    if (record.sector > volume->second || sectors > volume->second - record.sector)
      return corrupt(record, "lies beyond the end of its volume");
    if (sectors == 0)
      continue;
    plan.data_bytes += bytes;
    const std::uint64_t end = record.sector + sectors;
    const std::byte* data = bytes ? window.data->data() + data_end : nullptr;
    auto& pieces = plan.pieces[record.volume];
    claimed[record.volume].claim(record.sector, end, [&](std::uint64_t from, std::uint64_t to) {
      pieces.push_back({.sector = from,
                        .sectors = to - from,
                        .data = data ? data + (from - record.sector) * sector_bytes : nullptr,
                        .may_unmap = record.type == DMRC_DISCARD || (record.flags & DMRC_F_UNMAP) != 0});
    });
    auto& regions = plan.regions[record.volume];
    for (std::uint64_t region = record.sector / region_sectors; region * region_sectors < end; region++) {
      Era& era = regions[region];
      era = std::max(era, format::era_of(record));
    }
  }
  for (auto& [number, pieces] : plan.pieces)
    std::sort(pieces.begin(), pieces.end(), [](const auto& a, const auto& b) { return a.sector < b.sector; });
  return plan;
}

} // namespace rc::io
