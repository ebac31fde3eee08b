// SPDX-License-Identifier: GPL-2.0-or-later
// Inside of the applier, pure: what a window of records leaves to be written when the newest bytes win, as
// stretches that do not overlap, so that they may be written in any order; and the regions that the records
// touch with their eras.
#pragma once

#include "format/messages.hpp"

#include <map>
#include <vector>

namespace rc::io {

struct ApplyPiece { // bytes of one record, or zeroes
  std::uint64_t sector = 0;
  std::uint64_t sectors = 0;
  const std::byte* data = nullptr; // null: zeroes
  bool may_unmap = false;
};

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
