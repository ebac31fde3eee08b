// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/groups.hpp"

#include "agent/group_settings.hpp"
#include "agent/journal_setup.hpp"
#include "base/log.hpp"
#include "core/lineage.hpp"
#include "format/frame.hpp"
#include "format/messages_cbor.hpp"
#include "io/block_device.hpp"

namespace rc::agent {

Groups::Groups(Context& context, Peers& peers, Sessions& sessions, CopysetPort& copysets,
               std::function<void(const std::string&)> changed)
    : context_(context), peers_(peers), sessions_(sessions), copysets_(copysets),
      changed_(std::move(changed)) {}

RuntimeServices Groups::services() {
  return {.context = context_,
          .peers = peers_,
          .sessions = sessions_,
          .copysets = copysets_,
          .become_primary = [this](const std::string& group) { become_primary(group); },
          .changed = changed_};
}

Groups::Group* Groups::find(const std::string& name) {
  const auto found = groups_.find(name);
  return found == groups_.end() ? nullptr : &found->second;
}

SourceRuntime* Groups::source(const std::string& name) {
  Group* group = find(name);
  return group ? group->source.get() : nullptr;
}

TargetRuntime* Groups::target(const std::string& name) {
  Group* group = find(name);
  return group ? group->target.get() : nullptr;
}

const std::shared_ptr<io::Journal>& Groups::journal(const std::string& name) const {
  static const std::shared_ptr<io::Journal> none;
  const auto found = groups_.find(name);
  return found == groups_.end() ? none : found->second.journal;
}

std::vector<format::LineageEntry> Groups::lineage(const std::string& name) const {
  const auto& open = journal(name);
  return open ? open->state().position.lineage : std::vector<format::LineageEntry>{};
}

Result<Groups::Rows> Groups::rows_of(const std::string& name) {
  auto topology = context_.inventory.load();
  if (!topology)
    return topology.error();
  Rows rows;
  bool found = false;
  for (const auto& group : topology->groups)
    if (group.name == name) {
      rows.group = group;
      found = true;
    }
  if (!found)
    return Error{ErrorCode::NotFound, "there is no group " + name, "rcctl list shows what there is"};
  const std::string& self = context_.config.node;
  rows.volumes.group = name;
  rows.volumes.ring_mib = rows.group.ring_mib;
  for (const auto& volume : topology->volumes)
    if (volume.group == name && volume.node == self)
      rows.volumes.volumes.push_back(volume);
  for (const auto& pair : topology->pairs) {
    if (pair.group == name && pair.source == self)
      rows.pairs_from_here.push_back(pair);
    if (pair.group == name && pair.target == self)
      rows.pairs_to_here.push_back(pair);
  }
  for (const auto& node : topology->nodes)
    rows.sites[node.name] = node.site;
  return rows;
}

void Groups::start(std::function<void()> settled) {
  const auto topology = context_.inventory.load();
  settled_ = std::move(settled);
  settling_ = 1;
  if (topology) {
    settling_ += topology->groups.size();
    for (const auto& group : topology->groups)
      begin(group.name);
  } else {
    log::error("cannot read the inventory: " + topology.error().text());
  }
  one_settled();
}

void Groups::one_settled() {
  if (settling_ > 0 && --settling_ == 0 && settled_)
    settled_();
}

void Groups::begin(const std::string& name) {
  const auto rows = rows_of(name);
  if (!rows) {
    failed(name, rows.error());
    one_settled();
    return;
  }
  groups_[name];
  by_channel_[format::channel_of(name)] = name;
  io::JournalEvents events;
  events.durable = [this, name](StreamId stream, Seq durable) {
    Group* group = find(name);
    if (group && group->source)
      group->source->spill_durable(stream, durable);
    else if (group && group->target)
      group->target->journal_durable(stream, durable);
  };
  events.failed = [this, name](const Error& error) {
    Group* group = find(name);
    if (group && group->source)
      group->source->journal_failed(error);
    else if (group && group->target)
      group->target->journal_failed(error);
  };
  context_.in_background(
      [path = rows->group.journal, executor = context_.executor(),
       events]() -> Result<std::shared_ptr<io::Journal>> {
        auto disk = io::open_disk(path);
        if (!disk)
          return disk.error();
        auto journal = io::Journal::open(*disk, executor, events);
        if (!journal)
          return journal.error();
        return std::shared_ptr<io::Journal>(std::move(*journal));
      },
      [this, name](Result<std::shared_ptr<io::Journal>> journal) {
        opened(name, std::move(journal));
        one_settled();
      });
}

void Groups::opened(const std::string& name, Result<std::shared_ptr<io::Journal>> journal) {
  Group* group = find(name);
  if (!group)
    return;
  const auto rows = rows_of(name);
  if (!journal || !rows) {
    failed(name,
           journal ? rows.error() : journal.error().because("cannot open the journal of group " + name));
    return;
  }
  group->journal = std::move(*journal);
  group->failure.clear();
  const auto& recovery = group->journal->recovery();
  if (recovery.checked_records + recovery.dropped_records > 0)
    context_.events.note(6, "group " + name, name,
                         "journal recovered: " + std::to_string(recovery.checked_records) +
                             " records checked, " + std::to_string(recovery.dropped_records) +
                             " torn ones (never reported durable) dropped");
  // Of a takeover of a site the last step may be missing: its entry is stored, the word to write is not
  // there.
  const auto& state = group->journal->state();
  if (state.table && state.role == format::Role::Primary && rows->group.role == control::Role::Secondary) {
    if (const auto corrected = note_takeover(name))
      make_runtime(name, *corrected);
    else
      failed(name, corrected.error());
    return;
  }
  make_runtime(name, *rows);
}

void Groups::make_runtime(const std::string& name, const Rows& rows, bool took_over) {
  Group& group = groups_[name];
  if (group.journal->state().role == format::Role::Primary) {
    if (rows.volumes.volumes.empty())
      return; // begins with its first volume
    group.source = std::make_shared<SourceRuntime>(services(), rows.group, rows.volumes, rows.pairs_from_here,
                                                   rows.sites);
    group.source->start(group.journal, took_over);
    return;
  }
  if (rows.pairs_to_here.empty() || rows.volumes.volumes.empty()) {
    failed(name, Error{ErrorCode::Failed,
                       "group " + name + " is a copy, but the inventory does not say of which node",
                       "repeat rcctl pair create on the primary"});
    return;
  }
  group.target =
      std::make_shared<TargetRuntime>(services(), rows.group, rows.volumes, rows.pairs_to_here.front());
  group.target->start(group.journal);
}

void Groups::failed(const std::string& name, const Error& error) {
  Group& group = groups_[name];
  group.failure = error.what;
  group.failure_next = error.next;
  context_.events.add(control::Severity::Error, control::EventKind::Change, "group " + name, name, error.what,
                      error.next);
  changed_(name);
}

void Groups::rows_changed(const std::string& name) {
  Group* group = find(name);
  const auto rows = rows_of(name);
  if (!group || !rows || !group->journal)
    return;
  if (!group->source && !group->target) {
    make_runtime(name, *rows);
    return;
  }
  if (group->source && rows->volumes.volumes.empty()) {
    group->source->stop(); // begins with its next volume
    group->source.reset();
  } else if (group->source) {
    group->source->volumes_changed(rows->volumes);
    for (const auto& pair : rows->pairs_from_here)
      group->source->add_pair(pair);
  } else if (!rows->pairs_to_here.empty()) {
    if (rows->pairs_to_here.front().source == group->target->source()) {
      group->target->mode_changed(rows->pairs_to_here.front());
      return;
    }
    group->target->stop();
    group->target.reset();
    make_runtime(name, *rows);
  }
}

Result<bool> Groups::take_settings(const control::GroupSetRequest& settings) {
  const auto rows = rows_of(settings.name);
  if (!rows)
    return rows.error();
  const io::GroupRow row = with_settings(rows->group, settings);
  if (row == rows->group)
    return false;
  Group* group = find(settings.name);
  if (group && group->source) // it may refuse; then nothing was changed
    if (const Status taken = group->source->settings_changed(row); !taken)
      return taken.error();
  if (const auto put = context_.inventory.put(row); !put)
    return put.error();
  if (group && group->target)
    group->target->settings_changed(row);
  copysets_.settings_changed(settings.name);
  changed_(settings.name);
  return true;
}

std::weak_ptr<io::Journal> Groups::stop_group(const std::string& name) {
  Group* group = find(name);
  if (!group)
    return {};
  if (GroupRuntime* runtime = group->runtime())
    runtime->stop();
  std::weak_ptr<io::Journal> journal = group->journal;
  by_channel_.erase(format::channel_of(name));
  copysets_.group_begins(name, std::nullopt);
  groups_.erase(name);
  return journal;
}

void Groups::begin_history(const std::string& name, std::function<void(Status)> then) {
  Group* group = find(name);
  if (!group || !group->journal) {
    then(Error{ErrorCode::Failed,
               "the journal of group " + name + " is not open" +
                   (group && !group->failure.empty() ? ": " + group->failure : ""),
               group ? group->failure_next : ""});
    return;
  }
  const auto& before = group->journal->state();
  format::GroupState state = first_primary_state(context_.config.site);
  state.epoch = before.epoch;
  if (!before.position.lineage.empty())
    state.position.lineage.front().generation = core::newest_generation(before.position.lineage);
  if (Status stored = group->journal->store(state, {.empty = true}, [then] { then({}); }); !stored)
    then(stored);
}

void Groups::become_primary(const std::string& name) {
  Group* group = find(name);
  if (!group || !group->target)
    return;
  group->target->stop();
  group->target.reset();
  const auto rows = note_takeover(name);
  if (!rows) {
    failed(name, rows.error());
    return;
  }
  make_runtime(name, *rows, true);
  changed_(name);
}

Result<Groups::Rows> Groups::note_takeover(const std::string& name) {
  const auto& state = journal(name)->state();
  const std::uint64_t generation =
      state.position.lineage.empty() ? 0 : state.position.lineage.back().generation;
  if (const Status stored =
          context_.inventory.set_role(name, control::Role::Primary, context_.config.node, generation);
      !stored)
    log::error("inventory: " + stored.error().text());
  auto rows = rows_of(name);
  if (!rows)
    return rows;
  for (const auto& ended : rows->pairs_to_here) // the old primary feeds this node no more
    if (const auto removed = context_.inventory.remove_pair(ended.group, ended.source, ended.target);
        !removed)
      log::error("inventory: " + removed.error().text());
  return rows;
}

void Groups::fill_status(const std::string& name, control::GroupStatus& status) {
  Group* group = find(name);
  if (!group)
    return;
  if (GroupRuntime* runtime = group->runtime()) {
    runtime->fill_status(status);
    return;
  }
  status.state = group->failure.empty() ? control::GroupState::Inactive : control::GroupState::Failed;
  status.reason =
      group->failure.empty() ? (group->journal ? "the group has no volume" : "starting") : group->failure;
  status.next_action = group->failure.empty() && group->journal
                           ? "rcctl volume create " + name + " NAME --device DEV --meta DEV"
                           : group->failure_next;
}

// ---- sessions and frames

std::string Groups::role_text(const std::string& name) {
  const Group* group = find(name);
  return !group ? "" : group->source ? "primary" : group->target ? "secondary" : "";
}

// Two nodes that both take themselves for the primary: they tell each other their generations. A copy whose
// pair is not (or not yet) known here is told so, and tries again.
bool Groups::accept_session(const std::string& name, const std::string& role) {
  Group* group = find(name);
  return group && group->source && group->source->started() && role == "primary";
}

void Groups::session_up(const std::string& name, const std::string& peer) {
  Group* group = find(name);
  if (!group)
    return;
  if (sessions_.guest(name, peer)) {
    const format::GenerationMessage generation{.lineage = lineage(name), .primary = true};
    if (io::Link* link = peers_.link(peer))
      link->send(format::FrameType::Message, format::channel_of(name), format::encode_message(generation));
    return;
  }
  if (GroupRuntime* runtime = group->runtime())
    runtime->link_up(peer);
}

void Groups::session_down(const std::string& name, const std::string& peer, const std::string& reason) {
  Group* group = find(name);
  if (GroupRuntime* runtime = group ? group->runtime() : nullptr; runtime && !sessions_.guest(name, peer))
    runtime->link_down(peer, reason);
}

void Groups::frame(const std::string& peer, io::ReceivedFrame frame) {
  const auto named = by_channel_.find(frame.channel);
  if (named == by_channel_.end())
    return; // of a session that does not exist (any more)
  Group* group = find(named->second);
  GroupRuntime* runtime = group ? group->runtime() : nullptr;
  if (!runtime || sessions_.guest(named->second, peer) || !sessions_.up(named->second, peer))
    return;
  if (frame.type == format::FrameType::Records) {
    runtime->records(peer, std::move(frame.records));
    return;
  }
  auto message = format::decode_message(frame.body);
  if (message)
    runtime->message(peer, std::move(*message));
  else
    runtime->damaged(peer, message.error().text());
}

void Groups::of_copyset(const std::string& name, const core::copyset::Action& action) {
  Group* group = find(name);
  if (GroupRuntime* runtime = group ? group->runtime() : nullptr)
    runtime->of_copyset(action);
}

void Groups::tick() {
  for (auto& [name, group] : groups_)
    if (GroupRuntime* runtime = group.runtime())
      runtime->tick();
}

} // namespace rc::agent
