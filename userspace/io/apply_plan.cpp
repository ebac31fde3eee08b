// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/apply_plan.hpp"

#include <algorithm>
#include <tuple>

namespace rc::io {
namespace {

constexpr std::uint64_t sector_bytes = 512;

Error corrupt(const format::Record& record, const std::string& why) {
  return Error{ErrorCode::Corrupt, "record " + format::to_string(record) + " " + why,
               "the copy is not changed by it; resynchronise the pair"};
}

} // namespace

std::pair<std::uint64_t, std::uint64_t> SectorSet::first_in(std::uint64_t start, std::uint64_t end) const {
  auto at = stretches_.upper_bound(start);
  if (at != stretches_.begin() && std::prev(at)->second > start)
    --at;
  RC_ASSERT(at != stretches_.end() && at->first < end);
  return {std::max(at->first, start), std::min(at->second, end)};
}

std::vector<format::Extent> settle_extents(VolumeNumber volume, const AppliedVolume& applied,
                                           std::uint32_t region_sectors, std::uint64_t volume_sectors) {
  std::vector<format::Extent> extents;
  bool last_whole = false;
  for (const auto& [region, era] : applied.regions) {
    std::uint64_t start = region * region_sectors;
    std::uint64_t end = std::min<std::uint64_t>(start + region_sectors, volume_sectors);
    const bool whole = applied.sectors.covers(start, end);
    if (!whole)
      std::tie(start, end) = applied.sectors.first_in(start, end);
    if (whole && last_whole && extents.back().era == era &&
        extents.back().sector + extents.back().sectors == start)
      extents.back().sectors += end - start;
    else
      extents.push_back({.volume = volume, .sector = start, .sectors = end - start, .era = era});
    last_whole = whole;
  }
  return extents;
}

Result<ApplyPlan> plan_apply(const format::RecordsMessage& window, std::uint32_t region_sectors,
                             const std::map<VolumeNumber, std::uint64_t>& volume_sectors) {
  ApplyPlan plan;
  std::size_t data_end = window.data ? window.data->size() : 0;
  std::map<VolumeNumber, SectorSet> claimed; // by newer records
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
    claimed[record.volume].add(record.sector, end, [&](std::uint64_t from, std::uint64_t to) {
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
