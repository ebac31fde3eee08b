// SPDX-License-Identifier: GPL-2.0-or-later
// Where a copy comes from: the list of lives (generations) of a group's history, and the point of it that the
// copy holds. Two copies are compared through their entries, never by bare numbers (docs/design.md section
// 6).
#pragma once

#include "base/ids.hpp"

#include <string>
#include <vector>

namespace rc::format {

// A site became primary. `base`: last whole checkpoint of the generation before that is in its image.
struct LineageEntry {
  std::uint64_t generation = 0;
  std::string site;
  std::uint64_t id = 0; // random: two takeovers never share an entry
  Era base{};
  bool operator==(const LineageEntry&) const = default;
};

struct Position {
  std::vector<LineageEntry> lineage; // oldest first; empty: a blank copy
  Era applied{}; // last whole checkpoint in the image; of a primary: Era::open(), no limit
  bool operator==(const Position&) const = default;
};

} // namespace rc::format
