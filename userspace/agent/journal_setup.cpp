// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/journal_setup.hpp"

#include "agent/clock.hpp"
#include "format/journal_layout.hpp"
#include "io/block_device.hpp"
#include "io/journal.hpp"

#include <algorithm>
#include <filesystem>

namespace rc::agent {
namespace {

constexpr std::uint64_t default_file_bytes = 1ULL << 30;

} // namespace

Result<JournalMade> set_up_journal(const JournalOrder& order) {
  JournalMade made;
  std::error_code failed;
  const bool exists = std::filesystem::exists(order.path, failed);
  io::OpenOptions options;
  if (exists) {
    const auto probed = io::probe(order.path);
    if (!probed)
      return probed.error().because("journal");
    if (!probed->in_use.empty())
      return Error{ErrorCode::Refused, "journal " + order.path + " is in use: " + probed->in_use,
                   "unmount it or choose another place"};
    if (!probed->blank && !order.force)
      return Error{
          ErrorCode::Refused,
          "journal " + order.path + " is not blank: it holds " +
              (probed->content.empty() ? "data of an unknown kind (perhaps a journal)" : probed->content),
          "if it may be overwritten, repeat with --force"};
    if (!probed->blank)
      made.overwritten = probed->content.empty() ? "data of an unknown kind" : probed->content;
    made.bytes = probed->bytes;
    if (order.bytes != 0 && order.bytes < made.bytes)
      made.bytes = order.bytes;
    else if (order.bytes > made.bytes)
      return Error{ErrorCode::Usage,
                   "journal " + order.path + " has only " + std::to_string(made.bytes) + " bytes, not " +
                       std::to_string(order.bytes),
                   "ask for less, or choose another place"};
  } else {
    if (order.path.starts_with("/dev/"))
      return Error{ErrorCode::NotFound, "journal: there is no device " + order.path, "check the name"};
    made.bytes = order.bytes != 0 ? order.bytes : default_file_bytes;
    options.create_bytes = made.bytes;
  }
  if (const auto geometry = format::geometry_for(made.bytes); !geometry)
    return geometry.error().because("journal " + order.path);
  if (order.dry_run)
    return made;
  const auto disk = io::open_disk(order.path, options);
  if (!disk)
    return disk.error().because("journal");
  if (Status formatted = io::Journal::format(**disk, order.state, random_id()); !formatted)
    return formatted.error().because("journal " + order.path);
  return made;
}

Status release_journal(const std::string& path) {
  const auto probed = io::probe(path);
  if (!probed)
    return probed.error();
  if (probed->content.find("remotecopy journal") == std::string::npos)
    return {};
  if (!probed->block_device) {
    std::error_code failed;
    std::filesystem::remove(path, failed);
    return failed ? Status(Error{ErrorCode::Failed, "cannot remove " + path + ": " + failed.message(), ""})
                  : Status();
  }
  const auto disk = io::open_disk(path, {.exclusive = true});
  if (!disk)
    return disk.error();
  // Superblocks, and the end, which blkid and we look at to call a device blank.
  constexpr std::uint64_t end_bytes = 64 << 10;
  const std::uint64_t bytes = (*disk)->bytes() / format::journal_block_bytes * format::journal_block_bytes;
  const std::uint64_t head = std::min(bytes, format::control_area_offset);
  if (Status zeroed = (*disk)->zero(0, head, false); !zeroed)
    return zeroed;
  if (bytes > head + end_bytes)
    if (Status zeroed = (*disk)->zero(bytes - end_bytes, end_bytes, false); !zeroed)
      return zeroed;
  return (*disk)->flush();
}

format::GroupState first_primary_state(const std::string& site) {
  format::GroupState state;
  state.role = format::Role::Primary;
  state.position.lineage = {{.generation = 1, .site = site, .id = random_id(), .base = Era{}}};
  state.position.applied = Era::open();
  state.confirmed = true;
  return state;
}

format::GroupState first_secondary_state() { return {}; }

} // namespace rc::agent
