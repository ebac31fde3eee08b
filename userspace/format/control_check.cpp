// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/control_check.hpp"

#include <set>

namespace rc::control {
namespace {

constexpr std::uint64_t journal_bytes_min = 16 << 20;
constexpr std::uint32_t ring_mib_min = 4; // the kernel's limits (docs/target.md)
constexpr std::uint32_t ring_mib_max = 4096;
constexpr std::uint32_t checkpoint_ms_min = 100;
constexpr std::uint32_t checkpoint_ms_max = 60000;
constexpr std::uint32_t ack_timeout_ms_min = 1000;   // a lease fits in
constexpr std::uint32_t ack_timeout_ms_max = 300000; // the kernel's limit
constexpr std::uint32_t link_slots = 31;
constexpr std::uint32_t volumes_max = 65535;

Error usage(std::string what, std::string next) {
  return {ErrorCode::Usage, std::move(what), std::move(next)};
}

template <typename... More> Status first_wrong(Status status, More... more) {
  if constexpr (sizeof...(more) > 0)
    if (status)
      return first_wrong(std::move(more)...);
  return status;
}

Status check_journal(const std::string& journal, std::uint64_t bytes) {
  if (Status status = check_path("the journal", journal); !status)
    return status;
  if (bytes != 0 && bytes < journal_bytes_min)
    return usage("a journal of " + std::to_string(bytes) + " bytes is too small", "give at least 16M");
  return {};
}

Status check_ring(std::uint32_t mib) {
  if (mib != 0 && (mib < ring_mib_min || mib > ring_mib_max || (mib & (mib - 1)) != 0))
    return usage("a ring of " + std::to_string(mib) + " MiB is not possible",
                 "give a power of two, 4 to 4096");
  return {};
}

// 0: the default
Status check_times(std::uint32_t checkpoint_ms, std::uint32_t ack_timeout_ms) {
  if (checkpoint_ms != 0 && (checkpoint_ms < checkpoint_ms_min || checkpoint_ms > checkpoint_ms_max))
    return usage("a checkpoint every " + std::to_string(checkpoint_ms) + " ms is not possible",
                 "give 0.1 to 60 seconds");
  if (ack_timeout_ms != 0 && (ack_timeout_ms < ack_timeout_ms_min || ack_timeout_ms > ack_timeout_ms_max))
    return usage("an acknowledgement timeout of " + std::to_string(ack_timeout_ms) + " ms is not possible",
                 "give 1 to 300 seconds");
  return {};
}

// Names once, devices once, and no device that is also a meta device or the journal.
template <typename Volume>
Status check_volumes(const std::vector<Volume>& volumes, const std::string& journal) {
  if (volumes.empty())
    return usage("no volume is given", "name each volume of the group: --volume NAME=DEVICE,META");
  if (volumes.size() > volumes_max)
    return usage("too many volumes", "a group has at most 65535");
  std::set<std::string> names, paths{journal};
  for (const Volume& volume : volumes) {
    if (Status status = first_wrong(check_volume_name(volume.name), check_path("the device", volume.device),
                                    check_path("the meta device", volume.meta));
        !status)
      return status;
    if (!names.insert(volume.name).second)
      return usage("volume \"" + volume.name + "\" is given twice", "name each volume once");
    for (const std::string& path : {volume.device, volume.meta})
      if (!paths.insert(path).second)
        return usage(path + " is given twice", "each volume needs its own device and its own meta device");
  }
  return {};
}

} // namespace

Status check(const VersionRequest&) { return {}; }
Status check(const ListRequest&) { return {}; }

Status check(const NodeAddRequest& request) {
  if (Status status = check_name("node", request.name); !status)
    return status;
  if (const auto address = parse_address(request.address); !address)
    return address.error();
  return request.site.empty() ? Status{} : check_name("site", request.site);
}

Status check(const GroupCreateRequest& request) {
  return first_wrong(check_group_name(request.name), check_journal(request.journal, request.journal_bytes),
                     check_ring(request.ring_mib),
                     check_times(request.checkpoint_ms, request.ack_timeout_ms));
}

Status check(const GroupSetRequest& request) {
  if (!request.on_full && !request.fence && request.checkpoint_ms == 0 && request.ack_timeout_ms == 0)
    return usage("no setting is given", "--on-full, --fence, --checkpoint-interval or --ack-timeout");
  return first_wrong(check_group_name(request.name),
                     check_times(request.checkpoint_ms, request.ack_timeout_ms));
}

Status check(const NodeRemoveRequest& request) { return check_name("node", request.name); }
Status check(const GroupDeleteRequest& request) { return check_group_name(request.name); }

Status check(const VolumeDeleteRequest& request) {
  return first_wrong(check_group_name(request.group), check_volume_name(request.name));
}

Status check(const VolumeCreateRequest& request) {
  if (Status status =
          first_wrong(check_group_name(request.group), check_volume_name(request.name),
                      check_path("the device", request.device), check_path("the meta device", request.meta));
      !status)
    return status;
  if (request.device == request.meta)
    return usage("device and meta device are the same: " + request.device,
                 "the meta device is a small device of its own, for example a logical volume");
  return {};
}

Status check(const PairCreateRequest& request) {
  return first_wrong(check_group_name(request.group), check_name("node", request.to),
                     check_journal(request.journal, request.journal_bytes),
                     check_volumes(request.volumes, request.journal));
}

Status check(const PairActionRequest& request) {
  if (request.in_place && request.action != PairAction::Resync)
    return usage("only a resync can be in place", "leave it out");
  return first_wrong(check_group_name(request.group),
                     request.to.empty() ? Status{} : check_name("node", request.to));
}

Status check(const CopysetCreateRequest& request) {
  if (Status status = check_group_name(request.name); !status)
    return status;
  std::set<std::string> groups;
  for (const std::string& group : request.groups) {
    if (Status status = check_group_name(group); !status)
      return status;
    if (!groups.insert(group).second)
      return usage("group \"" + group + "\" is given twice", "name each group once");
  }
  if (groups.size() < 2)
    return usage(
        "a copyset needs two groups or more",
        "a group on its own has consistent checkpoints already; name all groups: rcctl copyset create " +
            request.name + " GROUP GROUP");
  return {};
}

Status check(const StatusRequest& request) {
  if (!request.group.empty())
    if (Status status = check_group_name(request.group); !status)
      return status;
  if (!(request.interval_seconds >= 0.1 && request.interval_seconds <= 3600))
    return usage("the interval is not possible", "give 0.1 to 3600 seconds");
  return {};
}

Status check(const EventsRequest& request) {
  if (!request.group.empty())
    if (Status status = check_group_name(request.group); !status)
      return status;
  if (request.limit == 0 || request.limit > 100000)
    return usage("the limit is not possible", "give 1 to 100000");
  return {};
}

Status check(const TakeoverRequest& request) {
  if (Status status = check_group_name(request.group); !status)
    return status;
  for (const std::string& node : request.accept_loss_of)
    if (Status status = check_name("node", node); !status)
      return status;
  return {};
}

Status check(const ConfirmRequest& request) { return check_group_name(request.group); }

Status check(const CopyPrepareRequest& request) {
  if (Status status =
          first_wrong(check_group_name(request.group), check_name("node", request.source),
                      request.source_site.empty() ? Status{} : check_name("site", request.source_site),
                      check_journal(request.journal, request.journal_bytes), check_ring(request.ring_mib),
                      check_times(request.checkpoint_ms, request.ack_timeout_ms),
                      check_volumes(request.volumes, request.journal));
      !status)
    return status;
  if (!request.source_address.empty())
    if (const auto address = parse_address(request.source_address); !address)
      return address.error();
  if (request.link_slot >= link_slots)
    return usage("link slot " + std::to_string(request.link_slot) + " is not possible", "0 to 30");
  std::set<std::uint32_t> numbers;
  for (const CopyPrepareVolume& volume : request.volumes) {
    if (volume.number > volumes_max || !numbers.insert(volume.number).second)
      return usage("volume number " + std::to_string(volume.number) + " is not possible",
                   "each once, up to 65535");
    if (volume.bytes == 0 || volume.bytes % 512 != 0)
      return usage("volume \"" + volume.name + "\" has no possible size", "a multiple of 512 bytes");
  }
  return {};
}

} // namespace rc::control
