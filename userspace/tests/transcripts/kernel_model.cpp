// SPDX-License-Identifier: GPL-2.0-or-later
// A few lines per kernel primitive; the era of an open region's copy is the current one.
#include "transcripts/kernel_model.hpp"

#include <algorithm>

namespace rc::story {

std::vector<format::Extent> dirty(const Volumes& volumes, Era since) {
  std::vector<format::Extent> extents;
  for (const auto& [number, volume] : volumes)
    for (std::size_t i = 0; i < volume.size(); ++i)
      if (volume[i].open || volume[i].era > since)
        extents.push_back(
            {number, i * region_sectors, region_sectors, volume[i].open ? Era::open() : volume[i].era});
  return extents;
}

std::vector<std::uint64_t> sizes(const Volumes& volumes) {
  std::vector<std::uint64_t> all;
  for (const auto& [number, volume] : volumes) {
    all.resize(number + 1, 0);
    all[number] = volume.size() * region_sectors;
  }
  return all;
}

void KernelModel::load(std::uint64_t new_generation) {
  live = true;
  generation = new_generation;
  era = std::max(era, Era::of(new_generation, 1)); // the ceiling is stored ahead: never used twice
}

void KernelModel::power_cut() {
  live = false;
  stream = {};
  ring.clear();
  freed = 0;
  lost_at = 0;
  sync_wait = alone = false;
  waiting.clear();
  acked = 0;
  era = Era{era.value + 1};
}

void KernelModel::start_stream() {
  stream = StreamId{0x100 * generation + ++streams};
  ring.clear();
  freed = acked = 0;
  lost_at = 0;
}

format::Record& KernelModel::append(std::uint8_t type) {
  format::Record record{};
  record.type = type;
  record.stream = static_cast<std::uint32_t>(stream.value);
  record.seq = ring.size() + 1;
  record.era = era.value;
  record.time_ns = real_ns;
  ring.push_back(record);
  return ring.back();
}

void KernelModel::write(VolumeNumber number, std::uint64_t region, std::uint32_t value) {
  Region& target = volumes[number][region];
  target.open = true;
  target.era = era;
  target.value = value;
  if (stream.value == 0 || lost_at != 0)
    return;
  if (ring.size() - freed + 3 >= slots) {
    append(DMRC_LOSS);
    lost_at = ring.size();
    sync_wait = false;
    return;
  }
  format::Record& record = append(DMRC_WRITE);
  record.volume = number;
  record.sector = region * region_sectors;
  record.length = region_sectors * DMRC_SECTOR_BYTES;
  record.data_crc = value;
  waiting.push_back({record.seq, value});
  complete_writes();
}

void KernelModel::close_regions() {
  for (auto& [number, volume] : volumes)
    for (Region& region : volume)
      region.open = false;
}

Era KernelModel::checkpoint(bool held, Seq& marker) {
  marker = append(DMRC_MARKER).seq;
  append(held ? DMRC_HELD : DMRC_VOID);
  const Era ended = era;
  era = Era{era.value + 1};
  return ended;
}

void KernelModel::copy(const core::source::CopyRegion& what) {
  const Region& region = volumes[what.volume][what.sector / region_sectors];
  format::Record& record = append(DMRC_COPY);
  record.volume = what.volume;
  record.sector = what.sector;
  record.length = what.sectors * DMRC_SECTOR_BYTES;
  record.tag = core::tag_of(what.link);
  record.data_crc = region.value;
  record.era = (region.open ? era : region.era).value;
}

void KernelModel::put(std::uint8_t type, std::uint32_t tag) { append(type).tag = tag; }

void KernelModel::complete_writes() {
  std::erase_if(waiting, [&](const Waiting& each) {
    if (sync_wait && !alone && each.seq > acked)
      return false;
    (sync_wait && !alone ? completed_acked : completed_alone).push_back(each.value);
    return true;
  });
}

void KernelModel::clock(std::uint64_t boot_ns) {
  if (sync_wait && !alone && boot_ns >= alone_after_ns) {
    alone = true;
    alone_since = era;
    complete_writes();
  }
}

} // namespace rc::story
