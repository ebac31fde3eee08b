// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/volumes.hpp"

#include "base/log.hpp"
#include "io/block_device.hpp"
#include "io/dm.hpp"

#include <algorithm>

namespace rc::agent {
namespace {

constexpr const char* target_type = "remotecopy";
constexpr std::uint64_t sector_bytes = 512;

std::string dm_uuid(const std::string& group, const std::string& volume) { return group + "-" + volume; }

io::dm::Target table_line(const VolumeSet& set, const io::VolumeRow& volume, const std::string& role,
                          std::uint64_t generation) {
  std::vector<std::string> options = {"role", role};
  if (role == "primary") {
    options.insert(options.end(), {"generation", std::to_string(generation)});
    options.insert(options.end(), {"ring_mib", std::to_string(set.ring_mib)});
  }
  std::string params = volume.device + " " + volume.meta + " " + set.group + " " +
                       std::to_string(volume.number) + " " + std::to_string(options.size());
  for (const auto& option : options)
    params += " " + option;
  return {.start = 0, .sectors = volume.bytes / sector_bytes, .type = target_type, .params = params};
}

bool is_primary(const std::string& params) { return params.find("role secondary") == std::string::npos; }

Status load(const VolumeSet& set, const std::string& role, std::uint64_t generation) {
  const auto version = io::dm::target_version(target_type);
  if (!version)
    return version.error();
  if (!*version)
    return Error{ErrorCode::Failed, "the kernel does not know the device-mapper target remotecopy",
                 "load it: modprobe dm-remotecopy"};
  for (const auto& volume : set.volumes) {
    const std::string name = dm_name(set.group, volume.name);
    const auto line = table_line(set, volume, role, generation);
    const bool hidden = role != "primary";
    const auto info = io::dm::info(name);
    if (!info)
      return info.error();
    if (*info && (*info)->live_table) {
      const auto table = io::dm::table(name);
      if (!table)
        return table.error();
      if (table->size() == 1 && table->front().type == target_type &&
          table->front().sectors == line.sectors && is_primary(table->front().params) == (role == "primary"))
        continue; // is what it shall be
    }
    const Status done = *info ? io::dm::reload(name, {line}, hidden)
                              : io::dm::create(name, dm_uuid(set.group, volume.name), {line}, hidden);
    if (!done)
      return done.error().because("cannot load volume " + set.group + "/" + volume.name + " as " + role);
  }
  return {};
}

} // namespace

std::vector<std::uint64_t> sectors_by_number(const VolumeSet& set) {
  std::vector<std::uint64_t> sectors;
  for (const auto& volume : set.volumes) {
    if (sectors.size() <= volume.number)
      sectors.resize(volume.number + 1);
    sectors[volume.number] = volume.bytes / sector_bytes;
  }
  return sectors;
}

Result<std::vector<format::Extent>> dirty_extents(io::VolumeControl& control, const VolumeSet& set,
                                                  Era since) {
  std::vector<format::Extent> all;
  for (const auto& volume : set.volumes) {
    const auto number = static_cast<VolumeNumber>(volume.number);
    auto dirty = control.dirty(number, since);
    if (!dirty)
      return dirty.error();
    for (auto& extent : *dirty) {
      extent.volume = number;
      all.push_back(extent);
    }
  }
  return all;
}

std::string dm_name(const std::string& group, const std::string& volume) { return group + "-" + volume; }

Result<Loaded> loaded(const VolumeSet& set) {
  Loaded result;
  std::size_t there = 0;
  bool primary = true;
  for (const auto& volume : set.volumes) {
    const auto info = io::dm::info(dm_name(set.group, volume.name));
    if (!info)
      return info.error();
    if (!*info || !(*info)->live_table)
      continue;
    const auto table = io::dm::table(dm_name(set.group, volume.name));
    if (!table)
      return table.error();
    if (table->size() != 1 || table->front().type != target_type)
      return Error{ErrorCode::Refused,
                   "device " + dm_name(set.group, volume.name) + " exists, but its target is not remotecopy",
                   "remove or rename that device"};
    there++;
    primary = primary && is_primary(table->front().params);
  }
  result.any = there > 0;
  result.all = there == set.volumes.size() && there > 0;
  result.primary = result.any && primary;
  return result;
}

Status load_primary(const VolumeSet& set, std::uint64_t generation) {
  return load(set, "primary", generation);
}

Status load_secondary(const VolumeSet& set) { return load(set, "secondary", 0); }

Status unload(const VolumeSet& set) {
  for (const auto& volume : set.volumes) {
    const Status done = io::dm::remove(dm_name(set.group, volume.name));
    if (!done && done.error().code != ErrorCode::NotFound)
      return done;
  }
  return {};
}

// Superblocks and map, see docs/meta-device.md.
std::uint64_t meta_bytes_needed(std::uint64_t volume_bytes) {
  constexpr std::uint64_t region_bytes = 1 << 20;
  constexpr std::uint64_t regions_in_block = 496;
  const std::uint64_t regions = (volume_bytes + region_bytes - 1) / region_bytes;
  return 16384 + (regions + regions_in_block - 1) / regions_in_block * 4096;
}

Result<DeviceCheck> check_device(const std::string& what, const std::string& path, DeviceUse use,
                                 bool force) {
  const auto probed = io::probe(path);
  if (!probed)
    return probed.error().because(what);
  if (!probed->block_device)
    return Error{ErrorCode::Usage, what + ": " + path + " is not a block device",
                 "a file can be made one with losetup"};
  if (!probed->in_use.empty())
    return Error{ErrorCode::Refused, what + ": " + path + " is in use: " + probed->in_use,
                 "unmount it or choose another device"};
  if (probed->read_only)
    return Error{ErrorCode::Refused, what + ": " + path + " is read-only",
                 "make it writable: blockdev --setrw " + path};
  const std::string content = probed->content.empty() ? "data of an unknown kind" : probed->content;
  if (!probed->blank && use == DeviceUse::Overwrite && !force)
    return Error{ErrorCode::Refused, what + ": " + path + " is not blank: it holds " + content,
                 "if it may be overwritten, repeat with --force (or blank it: wipefs -a, blkdiscard -z)"};
  return DeviceCheck{.bytes = probed->bytes, .remark = probed->blank ? "" : content};
}

Status blank_meta(const std::string& path, std::uint64_t volume_bytes) {
  auto disk = io::open_disk(path);
  if (!disk)
    return disk.error();
  const std::uint64_t size = std::min(meta_bytes_needed(volume_bytes), (*disk)->bytes()) / 4096 * 4096;
  if (Status zeroed = (*disk)->zero(0, size, false); !zeroed)
    return zeroed;
  return (*disk)->flush();
}

} // namespace rc::agent
