// SPDX-License-Identifier: GPL-2.0-or-later
// What the kernel target does for the copies of a group (kmod/include/uapi/linux/dm_remotecopy.h): region
// map, update in progress. Interface, so that tests use a fake; the real one is Ring. May be called from any
// thread; calls block for as long as the disks take (settle: a flush).
#pragma once

#include "format/messages.hpp"

#include <span>

namespace rc::io {

struct VolumeInfo {
  VolumeNumber volume = 0;
  std::uint32_t flags = 0; // DMRC_VOLUME_*
  std::uint32_t major = 0; // of the dm device
  std::uint32_t minor = 0;
  std::uint64_t sectors = 0;
  std::uint64_t generation = 0;
  Era alone_since{};
};

class VolumeControl {
public:
  virtual ~VolumeControl() = default;

  // Opens the regions that the extents touch, on stable storage, before anything is written to them. All
  // extents are of `volume`; their `volume` field is not looked at.
  virtual Status mark(VolumeNumber volume, std::span<const format::Extent> extents) = 0;
  // Flushes the backing device, then closes the regions with the extents' eras. A region that a crash left
  // open is closed only by extents that cover it whole, or when `redone`: the interrupted apply was done
  // again from its start.
  virtual Status settle(VolumeNumber volume, std::span<const format::Extent> extents, bool redone) = 0;
  virtual Status set_update(VolumeNumber volume, bool in_progress, Era release) = 0;
  // Regions that are open or have an era > since, merged where eras are equal, ascending.
  virtual Result<std::vector<format::Extent>> dirty(VolumeNumber volume, Era since) = 0;
  virtual Result<std::vector<VolumeInfo>> volumes() = 0;
};

} // namespace rc::io
