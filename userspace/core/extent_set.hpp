// SPDX-License-Identifier: GPL-2.0-or-later
// A set of sectors of the volumes of a group, as disjoint, sorted, merged stretches. Eras are not kept: a set
// says where, not when. For rare work (resync), never on the path of a record.
#pragma once

#include "format/extent.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace rc::core {

class ExtentSet {
public:
  ExtentSet() = default;
  explicit ExtentSet(const std::vector<format::Extent>& extents);

  void add(VolumeNumber volume, std::uint64_t sector, std::uint64_t sectors);
  void remove(VolumeNumber volume, std::uint64_t sector, std::uint64_t sectors);
  void add(const ExtentSet& other);
  void remove(const ExtentSet& other);

  bool empty() const { return stretches_.empty(); }
  std::uint64_t sectors() const { return sectors_; }
  bool covers(VolumeNumber volume, std::uint64_t sector, std::uint64_t sectors) const;
  std::vector<format::Extent> extents() const; // era 0
  std::size_t stretches() const { return stretches_.size(); }

  // Takes the first stretch off, at most `most` sectors and not across a multiple of `boundary` (0: none).
  std::optional<format::Extent> take(std::uint64_t most, std::uint64_t boundary);

private:
  struct Start {
    VolumeNumber volume;
    std::uint64_t sector;
    auto operator<=>(const Start&) const = default;
  };
  std::map<Start, std::uint64_t> stretches_; // to end
  std::uint64_t sectors_ = 0;
};

} // namespace rc::core
