// SPDX-License-Identifier: GPL-2.0-or-later
// Inside of the applier, pure: what a window of records leaves to be written when the newest bytes win, as
// stretches that do not overlap, so that they may be written in any order; and the regions that the records
// touch with their eras.
#pragma once

#include "format/messages.hpp"

#include <algorithm>
#include <map>
#include <vector>

namespace rc::io {

struct ApplyPiece { // bytes of one record, or zeroes
  std::uint64_t sector = 0;
  std::uint64_t sectors = 0;
  const std::byte* data = nullptr; // null: zeroes
  bool may_unmap = false;
};

// Disjoint stretches of sectors [first, second).
class SectorSet {
public:
  // Adds [start, end); calls `fresh` with each part of it that was not in the set.
  template <typename Fresh> void add(std::uint64_t start, std::uint64_t end, Fresh fresh) {
    auto next = stretches_.upper_bound(start);
    if (next != stretches_.begin() && std::prev(next)->second >= start)
      --next;
    std::uint64_t from = start;
    std::uint64_t whole_start = start;
    std::uint64_t whole_end = end;
    while (next != stretches_.end() && next->first <= end) {
      if (next->first > from)
        fresh(from, next->first);
      from = std::max(from, next->second);
      whole_start = std::min(whole_start, next->first);
      whole_end = std::max(whole_end, next->second);
      next = stretches_.erase(next);
    }
    if (from < end)
      fresh(from, end);
    stretches_.emplace(whole_start, whole_end);
  }
  bool covers(std::uint64_t start, std::uint64_t end) const {
    const auto next = stretches_.upper_bound(start);
    return next != stretches_.begin() && std::prev(next)->second >= end;
  }
  // The first part of [start, end) that is in the set, which must not be empty.
  std::pair<std::uint64_t, std::uint64_t> first_in(std::uint64_t start, std::uint64_t end) const;

private:
  std::map<std::uint64_t, std::uint64_t> stretches_;
};

// What was applied of one volume, over all windows of a job.
struct AppliedVolume {
  std::map<std::uint64_t, Era> regions; // by index: highest era of the records
  SectorSet sectors;
};
// To close the regions with: a region that was not written whole is named by a part of it, so that the kernel
// knows.
std::vector<format::Extent> settle_extents(VolumeNumber volume, const AppliedVolume& applied,
                                           std::uint32_t region_sectors, std::uint64_t volume_sectors);

struct ApplyPlan {
  // By volume, ascending, disjoint.
  std::map<VolumeNumber, std::vector<ApplyPiece>> pieces;
  // Regions touched, by (volume, index), with the highest era of their records.
  std::map<VolumeNumber, std::map<std::uint64_t, Era>> regions;
  std::uint64_t data_bytes = 0; // in the records
};

// `volume_sectors`: Corrupt when a record lies beyond its volume, or its volume is not known.
Result<ApplyPlan> plan_apply(const format::RecordsMessage& window, std::uint32_t region_sectors,
                             const std::map<VolumeNumber, std::uint64_t>& volume_sectors);

} // namespace rc::io
