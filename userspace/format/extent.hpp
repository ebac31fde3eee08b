// SPDX-License-Identifier: GPL-2.0-or-later
// A stretch of a volume and the era of its last write, as region maps report it.
#pragma once

#include "base/ids.hpp"

namespace rc::format {

struct Extent { // of whole regions
  VolumeNumber volume = 0;
  std::uint64_t sector = 0;
  std::uint64_t sectors = 0;
  Era era{}; // highest in it; Era::open() when open
  bool operator==(const Extent&) const = default;
};

} // namespace rc::format
