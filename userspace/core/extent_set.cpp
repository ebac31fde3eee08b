// SPDX-License-Identifier: GPL-2.0-or-later
// Stretches are disjoint and never touch (touching ones are one). sectors_ is their sum.
#include "core/extent_set.hpp"

#include <algorithm>

namespace rc::core {

ExtentSet::ExtentSet(const std::vector<format::Extent>& extents) {
  for (const auto& extent : extents)
    add(extent.volume, extent.sector, extent.sectors);
}

void ExtentSet::add(VolumeNumber volume, std::uint64_t sector, std::uint64_t sectors) {
  if (sectors == 0)
    return;
  std::uint64_t from = sector;
  std::uint64_t to = sector + sectors;
  auto next = stretches_.upper_bound({volume, sector});
  if (next != stretches_.begin()) {
    const auto before = std::prev(next);
    if (before->first.volume == volume && before->second >= from)
      next = before;
  }
  while (next != stretches_.end() && next->first.volume == volume && next->first.sector <= to) {
    from = std::min(from, next->first.sector);
    to = std::max(to, next->second);
    sectors_ -= next->second - next->first.sector;
    next = stretches_.erase(next);
  }
  stretches_.emplace_hint(next, Start{volume, from}, to);
  sectors_ += to - from;
}

void ExtentSet::remove(VolumeNumber volume, std::uint64_t sector, std::uint64_t sectors) {
  if (sectors == 0)
    return;
  const std::uint64_t end = sector + sectors;
  auto next = stretches_.upper_bound({volume, sector});
  if (next != stretches_.begin()) {
    const auto before = std::prev(next);
    if (before->first.volume == volume && before->second > sector)
      next = before;
  }
  while (next != stretches_.end() && next->first.volume == volume && next->first.sector < end) {
    const std::uint64_t from = next->first.sector;
    const std::uint64_t to = next->second;
    sectors_ -= to - from;
    next = stretches_.erase(next);
    if (from < sector) {
      stretches_.emplace(Start{volume, from}, sector);
      sectors_ += sector - from;
    }
    if (to > end) {
      next = stretches_.emplace(Start{volume, end}, to).first;
      sectors_ += to - end;
      break;
    }
  }
}

void ExtentSet::add(const ExtentSet& other) {
  for (const auto& [start, end] : other.stretches_)
    add(start.volume, start.sector, end - start.sector);
}

void ExtentSet::remove(const ExtentSet& other) {
  for (const auto& [start, end] : other.stretches_)
    remove(start.volume, start.sector, end - start.sector);
}

bool ExtentSet::covers(VolumeNumber volume, std::uint64_t sector, std::uint64_t sectors) const {
  auto next = stretches_.upper_bound({volume, sector});
  if (next == stretches_.begin())
    return false;
  --next;
  return next->first.volume == volume && next->second >= sector + sectors;
}

std::vector<format::Extent> ExtentSet::extents() const {
  std::vector<format::Extent> all;
  all.reserve(stretches_.size());
  for (const auto& [start, end] : stretches_)
    all.push_back({start.volume, start.sector, end - start.sector, Era{}});
  return all;
}

std::optional<format::Extent> ExtentSet::take(std::uint64_t most, std::uint64_t boundary) {
  if (stretches_.empty())
    return std::nullopt;
  const auto first = stretches_.begin();
  const Start start = first->first;
  std::uint64_t sectors = std::min(most, first->second - start.sector);
  if (boundary != 0)
    sectors = std::min(sectors, boundary - start.sector % boundary);
  remove(start.volume, start.sector, sectors);
  return format::Extent{start.volume, start.sector, sectors, Era{}};
}

} // namespace rc::core
