// SPDX-License-Identifier: GPL-2.0-or-later
// Commands that make nodes, groups and volumes.
#include "agent/change_reply.hpp"
#include "agent/clock.hpp"
#include "agent/commands.hpp"
#include "agent/forward.hpp"
#include "agent/group_settings.hpp"
#include "agent/journal_setup.hpp"
#include "base/log.hpp"

namespace rc::agent {

using namespace rc::control;

namespace {

std::vector<io::PairRow> pairs_of(const io::Topology& topology, const std::string& group) {
  std::vector<io::PairRow> pairs;
  for (const auto& pair : topology.pairs)
    if (pair.group == group)
      pairs.push_back(pair);
  return pairs;
}

std::string nodes_text(const std::vector<io::PairRow>& pairs) {
  std::string text;
  for (const auto& pair : pairs)
    text += (text.empty() ? "" : " and ") + pair.target;
  return text;
}

// The commands that get a new volume into a group with pairs, ready to be pasted but for the new devices.
std::string how_to_add(const io::Topology& topology, const std::vector<io::PairRow>& pairs,
                       const VolumeCreateRequest& wanted) {
  std::string first, last;
  for (const auto& pair : pairs) {
    first += "rcctl pair delete " + pair.group + " --to " + pair.target + "; ";
    last += "; rcctl pair create " + pair.group + " --to " + pair.target + " --mode " + to_token(pair.mode) +
            " --journal " + pair.journal + " --force";
    for (const auto& volume : topology.volumes)
      if (volume.group == pair.group && volume.node == pair.target)
        last += " --volume " + volume.name + "=" + volume.device + "," + volume.meta;
    last += " --volume " + wanted.name + "=DEVICE,META";
  }
  return "either put it into a group of its own (no common order with these volumes), or, with an initial "
         "copy of everything and no copy until it ends: " +
         first + "rcctl volume create " + wanted.group + " " + wanted.name + " --device " + wanted.device +
         " --meta " + wanted.meta + (wanted.keep_data ? " --keep-data" : "") + last;
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::uint64_t mib = 1 << 20;
  return bytes >= 10 * mib ? std::to_string(bytes / mib) + " MiB" : std::to_string(bytes) + " bytes";
}

} // namespace

void Commands::node_add(const NodeAddRequest& request, Reply<ChangeReply> reply) {
  const std::string object = "node " + request.name;
  if (request.name == context_.config.node) {
    reply(Error{ErrorCode::Usage, "node " + request.name + " is this node",
                "its settings are in the configuration file"});
    return;
  }
  const io::NodeRow row{.name = request.name,
                        .site = request.site.empty() ? request.name : request.site,
                        .address = request.address};
  const auto outcome = context_.inventory.put(row);
  if (!outcome) {
    reply(outcome.error());
    return;
  }
  if (const auto topology = context_.inventory.load())
    peers_.set_nodes(topology->nodes);
  if (*outcome != Outcome::Unchanged)
    context_.events.add(Severity::Notice, EventKind::Create, object, "",
                        "site " + row.site + ", address " + row.address);
  // A wrong address or certificate shows in a moment; the command tells it instead of leaving it to be found.
  wait_until([this, name = request.name] { return peers_.link(name) != nullptr; }, std::chrono::seconds(3),
             [this, object, row, outcome = *outcome, reply](bool up) {
               auto answer = change(outcome, object, "site " + row.site + ", address " + row.address);
               if (up) {
                 answer.details.push_back("link is up, " + peers_.link(row.name)->cipher());
               } else {
                 const auto link = peers_.status(row.name);
                 answer.warnings.push_back("no link yet: " + link.reason);
                 answer.next_action = link.next_action;
               }
               reply(answer);
             });
}

namespace {

// What the command names is not what the group has; 0 names nothing.
bool differs(const GroupCreateRequest& request, const io::GroupRow& row) {
  const auto other = [](std::uint32_t asked, std::uint32_t has) { return asked != 0 && asked != has; };
  return request.on_full != row.on_full || request.fence != row.fence ||
         other(request.ring_mib, row.ring_mib) || other(request.checkpoint_ms, row.checkpoint_ms) ||
         other(request.ack_timeout_ms, row.ack_timeout_ms);
}

} // namespace

void Commands::group_create(const GroupCreateRequest& request, Reply<ChangeReply> reply) {
  const std::string object = "group " + request.name;
  if (const auto existing = group_row(request.name); existing) {
    if (existing->journal != request.journal) {
      reply(Error{ErrorCode::Refused,
                  "group " + request.name + " exists with another journal: " + existing->journal,
                  "choose another name, or name that journal"});
      return;
    }
    auto answer = change(Outcome::Unchanged, object, "exists already with this journal");
    if (differs(request, *existing)) {
      answer.warnings.push_back("its settings stay as they are: ring " + std::to_string(existing->ring_mib) +
                                " MiB, " + settings_text(*existing));
      answer.next_action = "rcctl group set " + request.name + " changes them (but for the ring)";
    }
    reply(answer);
    return;
  }
  io::GroupRow row;
  row.name = request.name;
  row.role = Role::Primary;
  row.primary_node = context_.config.node;
  row.generation = 1;
  row.journal = request.journal;
  if (request.ring_mib != 0)
    row.ring_mib = request.ring_mib;
  row.on_full = request.on_full;
  row.fence = request.fence;
  if (request.checkpoint_ms != 0)
    row.checkpoint_ms = request.checkpoint_ms;
  if (request.ack_timeout_ms != 0)
    row.ack_timeout_ms = request.ack_timeout_ms;
  const JournalOrder order{.path = request.journal,
                           .bytes = request.journal_bytes,
                           .force = request.force,
                           .dry_run = request.dry_run,
                           .state = first_primary_state(context_.config.site)};
  context_.in_background(
      [order] { return set_up_journal(order); },
      [this, row, object, request, reply](const Result<JournalMade>& made) mutable {
        if (!made) {
          reply(made.error());
          return;
        }
        row.journal_bytes = made->bytes;
        auto answer = change(request.dry_run ? Outcome::Planned : Outcome::Created, object,
                             "journal " + row.journal + ", " + size_text(made->bytes));
        answer.next_action = "rcctl volume create " + row.name + " NAME --device DEV --meta DEV";
        if (!made->overwritten.empty())
          answer.warnings.push_back("overwritten: " + made->overwritten);
        if (!request.dry_run) {
          if (const auto put = context_.inventory.put(row); !put) {
            reply(put.error());
            return;
          }
          context_.events.add(Severity::Notice, EventKind::Create, object, row.name, answer.what);
          groups_.begin(row.name);
        }
        reply(answer);
      });
}

void Commands::volume_create(const VolumeCreateRequest& request, Reply<ChangeReply> reply) {
  const auto group = group_row(request.group);
  if (!group) {
    reply(group.error());
    return;
  }
  if (forwarded(*group, request, reply))
    return;
  const std::string object = "volume " + request.group + "/" + request.name;
  const auto set = volume_set(*group);
  for (const auto& volume : set.volumes)
    if (volume.name == request.name) {
      if (volume.device != request.device || volume.meta != request.meta) {
        reply(Error{ErrorCode::Refused,
                    object + " exists on other devices: " + volume.device + ", meta " + volume.meta,
                    "choose another name, or name those devices"});
        return;
      }
      auto answer = change(Outcome::Unchanged, object, "exists already on these devices");
      answer.device = device_path(request.group, request.name);
      answer.meta_bytes = meta_bytes_needed(volume.bytes);
      reply(answer);
      return;
    }
  const auto topology = context_.inventory.load();
  if (!topology) {
    reply(topology.error());
    return;
  }
  if (const auto pairs = pairs_of(*topology, request.group); !pairs.empty()) {
    reply(Error{ErrorCode::Refused,
                "group " + request.group + " is copied to " + nodes_text(pairs) +
                    ": its copies have no device for a new volume, and a running copy takes none up",
                how_to_add(*topology, pairs, request)});
    return;
  }

  struct Checked {
    DeviceCheck device;
    DeviceCheck meta;
  };
  const auto number = context_.inventory.next_volume_number(request.group);
  if (!number) {
    reply(number.error());
    return;
  }
  context_.in_background(
      [request]() -> Result<Checked> {
        const auto device =
            check_device("volume device", request.device,
                         request.keep_data ? DeviceUse::KeepData : DeviceUse::Overwrite, request.force);
        if (!device)
          return request.keep_data || device.error().code != ErrorCode::Refused
                     ? device.error()
                     : Error{device.error().code, device.error().what,
                             "if its data is what you want to protect, repeat with --keep-data"};
        const auto meta = check_device("meta device", request.meta, DeviceUse::Overwrite, request.force);
        if (!meta)
          return meta.error();
        const auto needed = meta_bytes_needed(device->bytes);
        if (meta->bytes < needed)
          return Error{ErrorCode::Usage,
                       "meta device " + request.meta + " has " + std::to_string(meta->bytes) +
                           " bytes; a volume of " + size_text(device->bytes) + " needs " +
                           std::to_string(needed),
                       "give it a larger one"};
        if (!request.dry_run)
          if (Status blanked = blank_meta(request.meta, device->bytes); !blanked)
            return blanked.error().because("meta device");
        return Checked{*device, *meta};
      },
      [this, request, reply, object, set, number = *number](const Result<Checked>& checked) {
        if (!checked) {
          reply(checked.error());
          return;
        }
        const io::VolumeRow row{.group = request.group,
                                .node = context_.config.node,
                                .name = request.name,
                                .number = number,
                                .bytes = checked->device.bytes,
                                .device = request.device,
                                .meta = request.meta};
        auto answer = change(request.dry_run ? Outcome::Planned : Outcome::Created, object,
                             size_text(row.bytes) + " on " + row.device + ", meta " + row.meta + " (needs " +
                                 std::to_string(meta_bytes_needed(row.bytes)) + " bytes, has " +
                                 std::to_string(checked->meta.bytes) + ")");
        answer.device = device_path(request.group, request.name);
        answer.meta_bytes = meta_bytes_needed(row.bytes);
        if (!checked->device.remark.empty())
          answer.details.push_back(request.keep_data
                                       ? "keeps what is on the device: " + checked->device.remark
                                       : "the device held: " + checked->device.remark);
        if (request.dry_run) {
          reply(answer);
          return;
        }
        if (const auto put = context_.inventory.put(row); !put) {
          reply(put.error());
          return;
        }
        VolumeSet with_it = set;
        with_it.volumes.push_back(row);
        const auto end = [this, row, object, answer, reply](const Status& loaded) {
          if (!loaded) {
            // Not created: what can't be loaded must not stand in the way at the next boot.
            if (const auto removed = context_.inventory.remove_volume(row.group, row.node, row.name);
                !removed)
              log::error("inventory: " + removed.error().text());
            reply(loaded.error());
            return;
          }
          context_.events.add(Severity::Notice, EventKind::Create, object, row.group, answer.what);
          groups_.rows_changed(row.group);
          board_.changed();
          reply(answer);
        };
        const auto load = [this, with_it, end](const Status& begun) {
          if (!begun) {
            end(begun);
            return;
          }
          const auto lineage = groups_.lineage(with_it.group);
          const std::uint64_t generation = lineage.empty() ? 1 : lineage.back().generation;
          context_.in_background([with_it, generation] { return load_primary(with_it, generation); }, end);
        };
        if (set.volumes.empty())
          groups_.begin_history(request.group, load);
        else
          load(Status());
      });
}

} // namespace rc::agent
