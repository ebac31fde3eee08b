// SPDX-License-Identifier: GPL-2.0-or-later
// The primary's kernel as stories need it: capture in order, region map with eras, checkpoints, copies, sync
// acknowledgements with their deadline. Content is one number per region, carried in the records' data_crc.
// Nothing here decides anything that the core should decide.
#pragma once

#include "core/source_events.hpp"

#include <map>
#include <vector>

namespace rc::story {

constexpr std::uint32_t region_sectors = 8;

struct Region {
  std::uint32_t value = 0;
  Era era{}; // of the last write; what the map says when closed
  bool open = false;
};
using Volume = std::vector<Region>;
using Volumes = std::map<VolumeNumber, Volume>;

std::vector<format::Extent> dirty(const Volumes& volumes, Era since);
std::vector<std::uint64_t> sizes(const Volumes& volumes);

struct KernelModel {
  Volumes volumes;
  std::uint64_t generation = 0;
  bool live = false; // volumes are loaded as primary
  Era era{};
  StreamId stream{};
  std::vector<format::Record> ring; // seq 1 is ring[0]
  Seq freed = 0;
  std::uint64_t slots = 1024;
  Seq lost_at = 0;
  std::uint64_t streams = 0; // for ids
  bool sync_wait = false;
  Seq sync_since = 0; // of the wait that goes on
  Seq acked = 0;
  std::uint64_t alone_after_ns = 0;
  bool alone = false;
  Era alone_since{};
  std::uint64_t copies_left = ~0ULL; // 0: copies are refused as if no slot were free
  std::uint64_t real_ns = 0;

  struct Waiting {
    Seq seq = 0;
    std::uint32_t value = 0;
  };
  std::vector<Waiting> waiting;               // writes whose completion waits for an acknowledgement
  std::vector<std::uint32_t> completed_acked; // values in order of completion, by acknowledgement
  std::vector<std::uint32_t> completed_alone; // ... without

  void load(std::uint64_t generation);
  void power_cut(); // ring, stream and memory are gone; map and volumes stay
  void start_stream();
  void write(VolumeNumber volume, std::uint64_t region, std::uint32_t value);
  void close_regions();
  Era checkpoint(bool held, Seq& marker);
  void copy(const core::source::CopyRegion& what);
  void put(std::uint8_t type, std::uint32_t tag);
  void complete_writes();
  void clock(std::uint64_t boot_ns);

private:
  format::Record& append(std::uint8_t type);
};

} // namespace rc::story
