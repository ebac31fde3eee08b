// SPDX-License-Identifier: GPL-2.0-or-later
// Device-mapper devices by name (libdevmapper). Every change waits for udev (cookie), so that the node below
// /dev/mapper is there (or gone) when a call returns. Calls block: not for the owner's thread while I/O goes
// on. Only one thread at a time (libdevmapper is not thread-safe): the functions take a lock of their own.
#pragma once

#include "base/result.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rc::io::dm {

inline constexpr const char* uuid_prefix = "RCOPY-";

struct Target {
  std::uint64_t start = 0; // sectors
  std::uint64_t sectors = 0;
  std::string type;
  std::string params;
};

struct Info {
  std::string name;
  std::string uuid;
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  bool suspended = false;
  bool live_table = false;
  bool inactive_table = false;
  std::int32_t open_count = 0;
};

// Create, load, resume. `uuid` gets the prefix. On failure nothing is left behind. hidden: udev rules do not
// look at the contents (a secondary must not be scanned).
Status create(const std::string& name, const std::string& uuid, const std::vector<Target>& table,
              bool hidden);
// New table for an existing device: load, suspend (flush I/O), resume.
Status reload(const std::string& name, const std::vector<Target>& table, bool hidden);
Status suspend(const std::string& name, bool no_flush);
Status resume(const std::string& name);
// Refused: open by somebody. NotFound.
Status remove(const std::string& name);

Result<std::optional<Info>> info(const std::string& name);
Result<std::vector<Target>> table(const std::string& name);
Result<std::vector<Target>> status(const std::string& name); // params: the status line
Result<std::string> message(const std::string& name, std::uint64_t sector, const std::string& text);
// All devices whose uuid begins with the prefix.
Result<std::vector<Info>> list();
// Is the target type known to the kernel (module loaded)? Its version.
Result<std::optional<std::string>> target_version(const std::string& type);

} // namespace rc::io::dm
