// SPDX-License-Identifier: GPL-2.0-or-later
// Commands on pairs: the primary's side asks the other node to prepare the copy, then attaches the link.
#include "agent/commands.hpp"
#include "agent/forward.hpp"
#include "agent/journal_setup.hpp"
#include "base/log.hpp"

#include <algorithm>

namespace rc::agent {

using namespace rc::control;

namespace {

std::string pair_object(const std::string& group, const std::string& node) {
  return "pair " + group + "@" + node;
}

Result<std::vector<CopyPrepareVolume>> match_volumes(const VolumeSet& set, const PairCreateRequest& request) {
  std::vector<CopyPrepareVolume> result;
  for (const auto& volume : set.volumes) {
    const auto named = std::find_if(request.volumes.begin(), request.volumes.end(),
                                    [&](const auto& one) { return one.name == volume.name; });
    if (named == request.volumes.end())
      return Error{ErrorCode::Usage,
                   "volume " + volume.name + " of group " + set.group + " has no device at " + request.to,
                   "name every volume: --volume " + volume.name + "=DEV,META"};
    result.push_back({.name = volume.name,
                      .number = volume.number,
                      .bytes = volume.bytes,
                      .device = named->device,
                      .meta = named->meta});
  }
  for (const auto& named : request.volumes)
    if (std::none_of(set.volumes.begin(), set.volumes.end(),
                     [&](const auto& one) { return one.name == named.name; }))
      return Error{ErrorCode::Usage, "group " + set.group + " has no volume " + named.name,
                   "rcctl show group " + set.group};
  if (result.empty())
    return Error{ErrorCode::Refused, "group " + set.group + " has no volumes yet",
                 "rcctl volume create " + set.group + " NAME --device DEV --meta DEV"};
  return result;
}

} // namespace

void Commands::pair_create(const PairCreateRequest& request, Reply<ChangeReply> reply) {
  const auto group = group_row(request.group);
  if (!group) {
    reply(group.error());
    return;
  }
  if (forwarded(*group, request, reply))
    return;
  const auto set = volume_set(*group);
  const auto volumes = match_volumes(set, request);
  if (!volumes) {
    reply(volumes.error());
    return;
  }
  const auto topology = context_.inventory.load();
  io::PairRow pair{.group = request.group,
                   .source = context_.config.node,
                   .target = request.to,
                   .mode = request.mode,
                   .journal = request.journal,
                   .journal_bytes = request.journal_bytes};
  bool known = false;
  for (const auto& row : topology ? topology->pairs : std::vector<io::PairRow>{})
    if (row.group == request.group && row.source == pair.source && row.target == request.to) {
      pair.link_slot = row.link_slot;
      pair.suspended = row.suspended;
      known = true;
    }
  if (!known) {
    const auto slot = context_.inventory.free_link_slot(request.group, pair.source);
    if (!slot) {
      reply(slot.error());
      return;
    }
    pair.link_slot = *slot;
  }
  CopyPrepareRequest prepare;
  prepare.group = request.group;
  prepare.source = context_.config.node;
  prepare.source_site = context_.config.site;
  prepare.mode = request.mode;
  prepare.journal = request.journal;
  prepare.journal_bytes = request.journal_bytes;
  prepare.ring_mib = group->ring_mib;
  prepare.link_slot = pair.link_slot;
  prepare.volumes = *volumes;
  prepare.force = request.force;
  prepare.dry_run = request.dry_run;
  calls_.call(
      request.to, CopyPrepareRequest::method, to_json(prepare),
      [this, request, pair, reply](Result<Json> answer) {
        if (!answer) {
          reply(answer.error().because("node " + request.to));
          return;
        }
        auto at_target = from_json<ChangeReply>(*answer);
        if (!at_target)
          reply(at_target.error().because("answer of node " + request.to));
        else
          store_pair(request, pair, std::move(*at_target), reply);
      },
      std::chrono::seconds(120));
}

void Commands::store_pair(const PairCreateRequest& request, const io::PairRow& pair, ChangeReply at_target,
                          Reply<ChangeReply> reply) {
  ChangeReply answer = std::move(at_target);
  answer.object = pair_object(pair.group, pair.target);
  if (request.dry_run) {
    answer.outcome = Outcome::Planned;
    reply(answer);
    return;
  }
  const auto set_row = group_row(pair.group);
  if (!set_row) {
    reply(set_row.error());
    return;
  }
  for (const auto& volume : volume_set(*set_row).volumes)
    for (const auto& named : request.volumes)
      if (named.name == volume.name) {
        const io::VolumeRow remote{.group = pair.group,
                                   .node = pair.target,
                                   .name = volume.name,
                                   .number = volume.number,
                                   .bytes = volume.bytes,
                                   .device = named.device,
                                   .meta = named.meta};
        if (const auto put = context_.inventory.put(remote); !put) {
          reply(put.error());
          return;
        }
      }
  const auto outcome = context_.inventory.put(pair);
  if (!outcome) {
    reply(outcome.error());
    return;
  }
  answer.outcome = *outcome == Outcome::Unchanged && answer.outcome == Outcome::Unchanged ? Outcome::Unchanged
                   : *outcome == Outcome::Created                                         ? Outcome::Created
                                                                                          : Outcome::Changed;
  answer.what = std::string(to_token(pair.mode)) + " copy at node " + pair.target +
                (answer.outcome == Outcome::Unchanged ? " exists already" : "");
  answer.next_action = "rcctl watch " + pair.group + " shows the initial copy";
  if (*outcome != Outcome::Unchanged)
    context_.events.add(Severity::Notice, EventKind::Create, answer.object, pair.group, answer.what);
  groups_.rows_changed(pair.group);
  board_.changed();
  reply(answer);
}

// ---- at the target

void Commands::copy_prepare(const CopyPrepareRequest& request, Reply<ChangeReply> reply) {
  const auto existing = group_row(request.group);
  if (existing && existing->role == Role::Primary) {
    reply(Error{ErrorCode::Refused,
                "node " + context_.config.node + " is itself the primary of group " + request.group,
                "a former primary becomes a copy only by command: delete the group there first"});
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
        const io::GroupRow group{.name = request.group,
                                 .role = Role::Secondary,
                                 .primary_node = request.source,
                                 .journal = request.journal,
                                 .journal_bytes = checked->journal.bytes,
                                 .ring_mib = request.ring_mib};
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
  if (const Status stored = context_.inventory.set_role(request.group, Role::Secondary, request.source, 0);
      !stored) {
    reply(stored.error());
    return;
  }
  answer.outcome = *outcome;
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

void Commands::forget_copy(const std::string& peer, const std::string& group, NodeCalls::Answer answer) {
  const auto row = group_row(group);
  if (!row) {
    answer(Json::object());
    return;
  }
  if (row->role == Role::Primary || row->primary_node != peer) {
    answer(Error{
        ErrorCode::Refused,
        "node " + context_.config.node + " does not hold a copy of node " + peer + "'s group " + group, ""});
    return;
  }
  const auto set = volume_set(*row);
  groups_.stop_group(group);
  context_.in_background([set] { return unload(set); },
                         [this, group, answer](const Status& done) {
                           if (!done) {
                             groups_.begin(group);
                             answer(done.error());
                             return;
                           }
                           if (const auto removed = context_.inventory.remove_group(group); !removed) {
                             answer(removed.error());
                             return;
                           }
                           context_.events.add(Severity::Notice, EventKind::Destroy, "group " + group, group,
                                               "the pair was deleted; the devices of the copy are free");
                           board_.changed();
                           answer(Json::object());
                         });
}

void Commands::pair_action(const PairActionRequest& request, Reply<ChangeReply> reply) {
  const auto group = group_row(request.group);
  if (!group) {
    reply(group.error());
    return;
  }
  if (forwarded(*group, request, reply))
    return;
  const auto topology = context_.inventory.load();
  std::vector<io::PairRow> pairs;
  for (const auto& row : topology ? topology->pairs : std::vector<io::PairRow>{})
    if (row.group == request.group && row.source == context_.config.node &&
        (request.to.empty() || row.target == request.to))
      pairs.push_back(row);
  if (pairs.size() != 1) {
    reply(pairs.empty() ? Error{ErrorCode::NotFound,
                                "group " + request.group + " has no pair" +
                                    (request.to.empty() ? "" : " with node " + request.to),
                                "rcctl list shows what there is"}
                        : Error{ErrorCode::Usage, "group " + request.group + " has several pairs",
                                "name one: --to NODE"});
    return;
  }
  io::PairRow pair = pairs.front();
  SourceRuntime* source = groups_.source(request.group);
  ChangeReply answer;
  answer.object = pair_object(pair.group, pair.target);
  answer.outcome = Outcome::Changed;
  const auto finish = [this, answer, pair, reply](const std::string& what) {
    ChangeReply done = answer;
    done.what = what;
    context_.events.add(Severity::Notice, EventKind::Call, done.object, pair.group, what);
    board_.changed();
    reply(done);
  };
  switch (request.action) {
  case PairAction::Suspend:
  case PairAction::Resume: {
    const bool suspend = request.action == PairAction::Suspend;
    if (pair.suspended == suspend) {
      answer.outcome = Outcome::Unchanged;
      answer.what = suspend ? "is suspended already" : "is not suspended";
      if (!suspend && source)
        source->resume_pair(pair.target); // a failed pair is told to try again
      reply(answer);
      return;
    }
    pair.suspended = suspend;
    if (const auto put = context_.inventory.put(pair); !put) {
      reply(put.error());
      return;
    }
    if (source && suspend)
      source->suspend_pair(pair.target, "suspended by command");
    else if (source)
      source->resume_pair(pair.target);
    finish(suspend ? "suspended by command" : "resumed by command");
    return;
  }
  case PairAction::Resync:
    if (source) {
      source->suspend_pair(pair.target, "resync by command");
      source->resume_pair(pair.target);
    }
    finish("resynchronised by command");
    return;
  case PairAction::Delete:
    calls_.call(pair.target, "copy.forget", {{"group", pair.group}},
                [this, request, pair, finish, reply](const Result<Json>& told) mutable {
                  if (!told && !request.force) {
                    reply(told.error()
                              .because("node " + pair.target + " can't be told")
                              .then("repeat with --force to delete this side alone"));
                    return;
                  }
                  if (SourceRuntime* running = groups_.source(pair.group))
                    running->remove_pair(pair.target);
                  if (const auto removed =
                          context_.inventory.remove_pair(pair.group, pair.source, pair.target);
                      !removed) {
                    reply(removed.error());
                    return;
                  }
                  if (const auto rows = context_.inventory.load())
                    for (const auto& volume : rows->volumes)
                      if (volume.group == pair.group && volume.node == pair.target)
                        if (const auto removed =
                                context_.inventory.remove_volume(volume.group, volume.node, volume.name);
                            !removed)
                          log::error("inventory: " + removed.error().text());
                  finish(told ? "deleted" : "deleted here only: node " + pair.target + " was not told");
                });
    return;
  }
}

void Commands::confirm(const ConfirmRequest& request, Reply<ChangeReply> reply) {
  const auto group = group_row(request.group);
  if (!group) {
    reply(group.error());
    return;
  }
  ChangeReply answer;
  answer.object = "group " + request.group;
  GroupStatus status;
  groups_.fill_status(request.group, status);
  SourceRuntime* source = groups_.source(request.group);
  if (!source || status.state != GroupState::Unconfirmed) {
    answer.outcome = Outcome::Unchanged;
    answer.what = std::string("does not wait for a confirmation (state ") + to_token(status.state) + ")";
    reply(answer);
    return;
  }
  if (!request.force) {
    reply(Error{ErrorCode::Refused,
                "the generation of group " + request.group + " is not confirmed: " + status.reason,
                "if no other site took over (or the one that did is fenced), repeat with --force"});
    return;
  }
  source->force_confirm();
  answer.outcome = Outcome::Changed;
  answer.what = "confirmed by command: the volumes are being loaded";
  context_.events.add(Severity::Warning, EventKind::Call, answer.object, request.group, answer.what);
  reply(answer);
}

} // namespace rc::agent
