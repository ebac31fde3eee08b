// SPDX-License-Identifier: GPL-2.0-or-later
// Commands on pairs: the primary's side asks the other node to prepare the copy, then attaches the link.
#include "agent/commands.hpp"
#include "agent/forward.hpp"
#include "core/lineage.hpp"

#include <algorithm>

namespace rc::agent {

using namespace rc::control;

namespace {

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
  GroupStatus state;
  groups_.fill_status(request.group, state);
  if (state.state == GroupState::Unconfirmed || state.state == GroupState::LostBranch) {
    reply(Error{ErrorCode::Refused,
                "group " + request.group + " on node " + context_.config.node + " is " +
                    to_token(state.state) + ": " + state.reason,
                state.next_action});
    return;
  }
  if (news_.holds_settings(request.group)) { // the copy would be made with a lease that is about to end
    reply(Error{ErrorCode::Again, "a change of the settings of group " + request.group + " is under way",
                "repeat the command in a moment"});
    return;
  }
  if (Status good = copyset_creation_.check_copy(request.group, request.to); !good) {
    reply(good.error());
    return;
  }
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
  prepare.on_full = group->on_full;
  prepare.fence = group->fence;
  prepare.checkpoint_ms = group->checkpoint_ms;
  prepare.ack_timeout_ms = group->ack_timeout_ms;
  prepare.link_slot = pair.link_slot;
  prepare.generation = core::newest_generation(groups_.lineage(request.group));
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
        if (!at_target) {
          reply(at_target.error().because("answer of node " + request.to));
          return;
        }
        const auto join = [this, request, pair, reply, at_target = *at_target](const Status& joined) {
          if (joined)
            store_pair(request, pair, at_target, reply);
          else
            reply(joined.error());
        };
        if (request.dry_run)
          join({});
        else // before its first record
          copyset_creation_.join_copy(request.group, request.to, join);
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

void Commands::pair_action(const PairActionRequest& request, Reply<ChangeReply> reply) {
  const auto group = group_row(request.group);
  if (!group) {
    reply(group.error());
    return;
  }
  if (group->role == Role::Secondary && request.action == PairAction::Delete) {
    pair_delete_at_copy(request, *group, reply);
    return;
  }
  PairActionRequest of_this_copy = request;
  if (of_this_copy.to.empty())
    of_this_copy.to = context_.config.node; // asked on a copy's node it means that copy
  if (forwarded(*group, of_this_copy, reply))
    return;
  const auto topology = context_.inventory.load();
  std::vector<io::PairRow> pairs;
  for (const auto& row : topology ? topology->pairs : std::vector<io::PairRow>{})
    if (row.group == request.group && row.source == context_.config.node &&
        (request.to.empty() || row.target == request.to))
      pairs.push_back(row);
  if (pairs.empty() && request.action == PairAction::Delete) {
    ChangeReply nothing;
    nothing.object =
        request.to.empty() ? "pairs of group " + request.group : pair_object(request.group, request.to);
    nothing.what = "there is no such pair";
    reply(nothing);
    return;
  }
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
    pair_resync(request, pair, reply);
    return;
  case PairAction::Delete:
    pair_delete(request, std::move(pair), reply);
    return;
  }
}

// Unlike resume, which sends what was missed in order where it is still held, it gives a backlog up: both
// maps are compared, and what may differ is copied as it is now.
void Commands::pair_resync(const PairActionRequest& request, const io::PairRow& pair,
                           Reply<ChangeReply> reply) {
  const std::string object = pair_object(pair.group, pair.target);
  GroupStatus status;
  groups_.fill_status(pair.group, status);
  SourceRuntime* source = groups_.source(pair.group);
  const auto found = std::find_if(status.pairs.begin(), status.pairs.end(),
                                  [&](const PairStatus& each) { return each.target == pair.target; });
  if (!source || status.state != GroupState::Active || found == status.pairs.end()) {
    reply(Error{ErrorCode::Refused,
                object + " can't be resynchronised: the group is " + to_token(status.state) + ": " +
                    status.reason,
                status.next_action});
    return;
  }
  if (pair.suspended) {
    reply(
        Error{ErrorCode::Refused, object + " is suspended by command",
              "rcctl pair resume " + pair.group + " --to " + pair.target + " goes on, by delta if need be"});
    return;
  }
  ChangeReply answer;
  answer.object = object;
  answer.next_action = "rcctl watch " + pair.group + " shows its progress";
  const bool no_matter =
      request.in_place && found->state != PairState::InitialCopy; // it may be refused in a moment
  if ((found->state == PairState::InitialCopy || found->progress) && !no_matter) {
    answer.what = "is being copied already";
    reply(answer);
    return;
  }
  if (found->sync == SyncState::Current && !request.force) {
    reply(Error{ErrorCode::Refused,
                object + " is current: it lacks nothing, and during a resync a takeover there could lose "
                         "acknowledged writes",
                "nothing needs to be done; --force does it nevertheless"});
    return;
  }
  if (request.in_place && !request.force) {
    reply(Error{
        ErrorCode::Refused,
        object + ": while it is resynchronised in place its copy has no image and no takeover is possible "
                 "there; an interruption makes it copy everything",
        "a larger journal there avoids it (delete the pair, create it with that); --force does it in place"});
    return;
  }
  source->resync_pair(pair.target, request.in_place);
  answer.outcome = Outcome::Changed;
  answer.what = found->link == LinkState::Up
                    ? "a resync begins: the maps are compared, what may differ is copied"
                    : "a resync begins when the link is back";
  if (request.in_place)
    answer.warnings.push_back(
        "if it does not fit the copy's journal it is applied in place: no takeover is possible "
        "at " +
        pair.target + " until it is complete");
  context_.events.add(Severity::Notice, EventKind::Call, object, pair.group,
                      request.in_place ? "resync by command, in place where it has to be"
                                       : "resync by command");
  board_.changed();
  reply(answer);
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
