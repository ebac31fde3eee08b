// SPDX-License-Identifier: GPL-2.0-or-later
// The device-mapper side of a group's volumes at this node: names, table lines, loading them in a role. The
// functions block (udev): call them on the worker thread.
#pragma once

#include "io/inventory.hpp"
#include "io/volume_control.hpp"

#include <string>
#include <vector>

namespace rc::agent {

// What is loaded, and how, of one group.
struct VolumeSet {
  std::string group;
  std::uint32_t ring_mib = 0;
  std::vector<io::VolumeRow> volumes; // of this node
};

std::vector<std::uint64_t> sectors_by_number(const VolumeSet& set); // 0: no volume of that number

// All volumes' extents that are open or newer than `since`. Blocks.
Result<std::vector<format::Extent>> dirty_extents(io::VolumeControl& control, const VolumeSet& set,
                                                  Era since);

std::string dm_name(const std::string& group, const std::string& volume); // "GROUP-VOLUME"

// Are all volumes loaded? Live: with role primary.
struct Loaded {
  bool all = false;
  bool any = false;
  bool primary = false; // those that are loaded are primary
};
Result<Loaded> loaded(const VolumeSet& set);

// Creates or reloads every volume with role primary in that generation.
Status load_primary(const VolumeSet& set, std::uint64_t generation);
// ... with role secondary: no host may read or write them. Live primaries are reloaded: their hosts get
// errors.
Status load_secondary(const VolumeSet& set);
// Removes what is loaded. Refused when a volume is open.
Status unload(const VolumeSet& set);

// Bytes of a meta device that a volume of that size needs (docs/meta-device.md).
std::uint64_t meta_bytes_needed(std::uint64_t volume_bytes);

// What an administrator would look at before giving a device away.
enum class DeviceUse {
  KeepData,  // holds data that shall be protected
  Overwrite, // will be overwritten: must be blank or forced
};
struct DeviceCheck {
  std::uint64_t bytes = 0;
  std::string remark; // what was found; empty: blank
};
// Refused: mounted or held by somebody; not blank (Overwrite) without force. Usage: the device is one of
// ours.
Result<DeviceCheck> check_device(const std::string& what, const std::string& path, DeviceUse use, bool force);
// Makes the kernel format it at the next load.
Status blank_meta(const std::string& path, std::uint64_t volume_bytes);

} // namespace rc::agent
