// SPDX-License-Identifier: GPL-2.0-or-later
// The copy's side of a pair, asked for by the primary's agent: look at the devices, make the journal, format
// the meta devices, load the volumes as secondary. An existing copy changes its source; its image stays.
#include "agent/commands.hpp"
#include "agent/journal_setup.hpp"

#include <algorithm>

namespace rc::agent {

using namespace rc::control;

void Commands::copy_prepare(const CopyPrepareRequest& request, Reply<ChangeReply> reply) {
  const auto existing = group_row(request.group);
  if (existing && existing->role == Role::Primary) {
    reply(Error{ErrorCode::Refused,
                "node " + context_.config.node + " is itself the primary of group " + request.group,
                "a former primary becomes a copy only by command: delete the group there first"});
    return;
  }
  if (existing && request.generation != 0 && request.generation < existing->generation) {
    reply(Error{ErrorCode::Refused,
                "node " + context_.config.node + " knows generation " + std::to_string(existing->generation) +
                    " of group " + request.group + ", whose primary is node " + existing->primary_node +
                    "; that of node " + request.source + " is " + std::to_string(request.generation),
                "node " + request.source + " is not the primary any more: rcctl status " + request.group});
    return;
  }
  if (existing && existing->journal != request.journal) {
    reply(Error{ErrorCode::Refused,
                "node " + context_.config.node + " already holds a copy of group " + request.group +
                    ", with its journal at " + existing->journal + ", not " + request.journal,
                "name that journal, or delete that copy first: rcctl pair delete " + request.group +
                    " --to " + context_.config.node});
    return;
  }
  if (existing) {
    const auto set = volume_set(*existing);
    for (const auto& wanted : request.volumes) {
      const auto same = std::any_of(set.volumes.begin(), set.volumes.end(), [&](const auto& volume) {
        return volume.name == wanted.name && volume.device == wanted.device && volume.meta == wanted.meta &&
               volume.number == wanted.number && volume.bytes == wanted.bytes;
      });
      if (!same) {
        reply(Error{ErrorCode::Refused,
                    "node " + context_.config.node + " already holds a copy of group " + request.group +
                        " on other devices or of another size",
                    "delete that pair first: rcctl pair delete " + request.group + " --to " +
                        context_.config.node});
        return;
      }
    }
    copy_prepared(request, reply);
    return;
  }
  struct Checked {
    JournalMade journal;
    std::vector<std::string> remarks;
  };
  context_.in_background(
      [request]() -> Result<Checked> {
        Checked checked;
        for (const auto& volume : request.volumes) {
          const auto device =
              check_device("volume " + volume.name, volume.device, DeviceUse::Overwrite, request.force);
          if (!device)
            return device.error();
          if (device->bytes < volume.bytes)
            return Error{ErrorCode::Usage,
                         "volume " + volume.name + ": " + volume.device + " has " +
                             std::to_string(device->bytes) + " bytes, the primary's has " +
                             std::to_string(volume.bytes),
                         "give the copy a device that is at least as large"};
          const auto meta =
              check_device("meta of " + volume.name, volume.meta, DeviceUse::Overwrite, request.force);
          if (!meta)
            return meta.error();
          if (meta->bytes < meta_bytes_needed(volume.bytes))
            return Error{ErrorCode::Usage,
                         "meta of " + volume.name + ": " + volume.meta + " has " +
                             std::to_string(meta->bytes) + " bytes; " +
                             std::to_string(meta_bytes_needed(volume.bytes)) + " are needed",
                         "give it a larger one"};
          if (!device->remark.empty())
            checked.remarks.push_back(volume.device + " held " + device->remark);
        }
        const auto journal = set_up_journal({.path = request.journal,
                                             .bytes = request.journal_bytes,
                                             .force = request.force,
                                             .dry_run = request.dry_run,
                                             .state = first_secondary_state()});
        if (!journal)
          return journal.error();
        checked.journal = *journal;
        if (!request.dry_run)
          for (const auto& volume : request.volumes)
            if (Status blanked = blank_meta(volume.meta, volume.bytes); !blanked)
              return blanked.error().because("meta of " + volume.name);
        return checked;
      },
      [this, request, reply](const Result<Checked>& checked) {
        if (!checked) {
          reply(checked.error());
          return;
        }
        if (request.dry_run) {
          ChangeReply answer;
          answer.outcome = Outcome::Planned;
          answer.object = pair_object(request.group, context_.config.node);
          answer.what = "the copy can be made";
          answer.details = checked->remarks;
          reply(answer);
          return;
        }
        io::GroupRow group{.name = request.group,
                           .role = Role::Secondary,
                           .primary_node = request.source,
                           .journal = request.journal,
                           .journal_bytes = checked->journal.bytes,
                           .ring_mib = request.ring_mib,
                           .on_full = request.on_full,
                           .fence = request.fence};
        if (request.checkpoint_ms != 0)
          group.checkpoint_ms = request.checkpoint_ms;
        if (request.ack_timeout_ms != 0)
          group.ack_timeout_ms = request.ack_timeout_ms;
        const io::NodeRow source{
            .name = request.source, .site = request.source_site, .address = request.source_address};
        // The source may be known already, with an address that this request lacks.
        auto put = Result<Outcome>(Outcome::Unchanged);
        if (!source.address.empty() || !peers_.has_address(request.source))
          put = context_.inventory.put(source);
        if (put)
          put = context_.inventory.put(group);
        for (const auto& volume : request.volumes)
          if (put)
            put = context_.inventory.put(io::VolumeRow{.group = request.group,
                                                       .node = context_.config.node,
                                                       .name = volume.name,
                                                       .number = volume.number,
                                                       .bytes = volume.bytes,
                                                       .device = volume.device,
                                                       .meta = volume.meta});
        if (!put) {
          reply(put.error());
          return;
        }
        copy_prepared(request, reply);
      });
}

void Commands::copy_prepared(const CopyPrepareRequest& request, Reply<ChangeReply> reply) {
  ChangeReply answer;
  answer.object = pair_object(request.group, context_.config.node);
  if (request.dry_run) {
    answer.outcome = Outcome::Planned;
    reply(answer);
    return;
  }
  const io::PairRow pair{.group = request.group,
                         .source = request.source,
                         .target = context_.config.node,
                         .mode = request.mode,
                         .link_slot = request.link_slot,
                         .journal = request.journal,
                         .journal_bytes = request.journal_bytes};
  // One source at a time: a pair with an earlier primary ends when a later one asks for the copy.
  if (const auto topology = context_.inventory.load())
    for (const auto& old : topology->pairs)
      if (old.group == request.group && old.target == pair.target && old.source != pair.source)
        if (const auto removed = context_.inventory.remove_pair(old.group, old.source, old.target);
            !removed) {
          reply(removed.error());
          return;
        }
  const auto outcome = context_.inventory.put(pair);
  if (!outcome) {
    reply(outcome.error());
    return;
  }
  const auto before = group_row(request.group);
  if (const Status stored = context_.inventory.set_role(
          request.group, Role::Secondary, request.source,
          std::max(request.generation, before ? before->generation : std::uint64_t{0}));
      !stored) {
    reply(stored.error());
    return;
  }
  answer.outcome = *outcome;
  if (const auto settings = groups_.take_settings({.name = request.group,
                                                   .on_full = request.on_full,
                                                   .fence = request.fence,
                                                   .checkpoint_ms = request.checkpoint_ms,
                                                   .ack_timeout_ms = request.ack_timeout_ms});
      !settings) {
    reply(settings.error());
    return;
  }
  if (groups_.runs(request.group))
    groups_.rows_changed(request.group);
  else
    groups_.begin(request.group);
  if (*outcome != Outcome::Unchanged)
    context_.events.add(Severity::Notice, EventKind::Create, answer.object, request.group,
                        "this node holds the copy of node " + request.source);
  const auto ready = [this, name = request.group] {
    TargetRuntime* target = groups_.target(name);
    return target && target->started();
  };
  wait_until(ready, std::chrono::seconds(30), [this, answer, reply, name = request.group](bool up) {
    if (up) {
      reply(answer);
      return;
    }
    GroupStatus status;
    groups_.fill_status(name, status);
    reply(Error{ErrorCode::Failed, "the copy of group " + name + " does not start: " + status.reason,
                status.next_action});
  });
}

} // namespace rc::agent
