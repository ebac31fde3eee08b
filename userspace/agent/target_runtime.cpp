// SPDX-License-Identifier: GPL-2.0-or-later
// Life of a TargetRuntime: start, events in, status out. The actions are in target_actions.cpp.
#include "agent/target_runtime.hpp"

#include "agent/clock.hpp"
#include "agent/status_report.hpp"
#include "core/lineage.hpp"
#include "format/frame.hpp"
#include "format/messages_cbor.hpp"
#include "io/block_device.hpp"

namespace rc::agent {
TargetRuntime::TargetRuntime(RuntimeServices services, io::GroupRow row, VolumeSet volumes, io::PairRow pair)
    : services_(std::move(services)), row_(std::move(row)), volumes_(std::move(volumes)),
      pair_(std::move(pair)), actions_([this](core::target::Action& action) { return execute(action); }),
      channel_(format::channel_of(row_.name)), since_(io::utc_now()) {
  if (!row_.primary_node.empty() && row_.primary_node != pair_.source)
    moved_.emplace();
}

// Blocks: worker thread.
Result<TargetRuntime::Prepared> TargetRuntime::prepare(const VolumeSet& set, io::Journal& journal) {
  const auto state = loaded(set);
  if (!state)
    return state.error();
  if (state->any && state->primary)
    return Error{ErrorCode::Refused,
                 "the volumes of group " + set.group + " are loaded as primary, but this node holds a copy",
                 "unmount them, remove them with dmsetup remove, then restart rcagent"};
  if (!state->all)
    if (Status done = load_secondary(set); !done)
      return done.error();
  Prepared prepared;
  auto ring = io::attach_ring(set.group);
  if (!ring)
    return ring.error();
  prepared.ring = std::move(*ring);
  for (const auto& volume : set.volumes) {
    auto disk = io::open_disk(volume.device);
    if (!disk)
      return disk.error();
    prepared.disks[static_cast<VolumeNumber>(volume.number)] = std::move(*disk);
  }
  for (const auto& segment : journal.segments()) {
    constexpr std::size_t batch = 16384;
    prepared.index.begin(segment.stream, segment.first);
    for (Seq next = segment.first; next <= segment.last;) {
      const auto headers = journal.read_headers(segment.stream, next, segment.last, batch);
      if (!headers)
        return headers.error();
      prepared.index.add(*headers);
      next = headers->back().seq + 1;
    }
  }
  return prepared;
}

void TargetRuntime::start(std::shared_ptr<io::Journal> journal) {
  journal_ = std::move(journal);
  services_.context.in_background([set = volumes_, journal = journal_] { return prepare(set, *journal); },
                                  [this, self = shared_from_this()](Result<Prepared> prepared) {
                                    if (stopped_)
                                      return;
                                    if (!prepared)
                                      fail(prepared.error().what, prepared.error().next);
                                    else
                                      begin(std::move(*prepared));
                                  });
}

void TargetRuntime::begin(Prepared prepared) {
  ring_ = std::move(prepared.ring);
  disks_ = std::move(prepared.disks);
  applier_ =
      io::Applier::create(services_.context.executor(), {.region_sectors = ring_->geometry().region_sectors});

  core::TargetConfig config;
  config.group = row_.name;
  config.site = services_.context.config.site;
  config.source = pair_.source;
  config.link = static_cast<core::LinkSlot>(pair_.link_slot);
  config.volume_sectors = sectors_by_number(volumes_);
  config.lease_ns = lease_ns();
  config.node = services_.context.config.node;
  config.copyset = journal_->state().table.has_value();
  core::RecoveredJournal recovered;
  recovered.index = std::move(prepared.index);
  recovered.space = space();
  core_ = std::make_unique<core::Target>(std::move(config), journal_->state(), std::move(recovered));
  failure_.clear();
  services_.copysets.group_begins(row_.name, journal_->state().table);
  step(core::target::Started{});
  services_.sessions.want(row_.name, pair_.source);
  if (services_.sessions.up(row_.name, pair_.source))
    link_up(pair_.source);
  services_.changed(row_.name);
}

std::uint64_t TargetRuntime::lease_ns() const {
  return pair_.mode == control::Mode::Sync ? core::lease_for(row_.ack_timeout_ms) : 0;
}

core::JournalSpace TargetRuntime::space() const {
  const auto use = journal_->use();
  return {.used_bytes = use.data_used,
          .capacity_bytes = use.data_bytes,
          .used_slots = use.slots_used,
          .capacity_slots = use.slots};
}

void TargetRuntime::step(const core::target::Event& event) {
  if (!core_ || stopped_)
    return;
  actions_.push(core_->step(event, now()));
}

void TargetRuntime::step_later(core::target::Event event) {
  io::post(services_.context.executor(),
           [this, self = shared_from_this(), event = std::move(event)] { step(event); });
}

void TargetRuntime::fail(const std::string& text, const std::string& next_action) {
  if (failure_ == text)
    return;
  failure_ = text;
  failure_next_ = next_action;
  services_.context.events.add(control::Severity::Error, control::EventKind::Change, "group " + row_.name,
                               row_.name, text, next_action);
  services_.changed(row_.name);
}

// ---- events

void TargetRuntime::journal_durable(StreamId stream, Seq durable) {
  step(core::target::JournalDurable{.stream = stream, .seq = durable, .space = space()});
}

void TargetRuntime::journal_failed(const Error& error) {
  fail("the journal of group " + row_.name + " failed: " + error.text(),
       "replace the journal's device, then restart rcagent");
  step(core::target::JournalFailed{error.text()});
}

void TargetRuntime::link_up(const std::string& peer) {
  if (peer != pair_.source)
    return;
  if (!moved_)
    step(core::target::LinkUp{});
  else if (io::Link* link = services_.peers.link(peer); link && !moved_->empty())
    link->send(format::FrameType::Message, channel_,
               format::encode_message(format::GenerationMessage{.lineage = *moved_, .primary = false}));
}

void TargetRuntime::link_down(const std::string& peer, const std::string& reason) {
  if (peer == pair_.source)
    step(core::target::LinkDown{reason});
}

void TargetRuntime::message(const std::string& peer, format::GroupMessage message) {
  if (peer == pair_.source)
    step(core::target::MessageArrived{std::move(message)});
}

void TargetRuntime::records(const std::string& peer, format::RecordsMessage message) {
  if (peer == pair_.source)
    step(core::target::RecordsArrived{std::make_shared<const format::RecordsMessage>(std::move(message))});
}

void TargetRuntime::damaged(const std::string& peer, const std::string& reason) {
  if (peer == pair_.source)
    step(core::target::DamagedFrame{reason});
}

void TargetRuntime::tick() {
  if (!core_ || stopped_)
    return;
  step(core::target::Tick{});
  tell_changes();
}

void TargetRuntime::take_over(std::function<void(Error)> refused) {
  if (!core_) {
    refused(Error{ErrorCode::Failed, "the copy of group " + row_.name + " is not ready: " + failure_,
                  failure_next_});
    return;
  }
  takeover_refused_ = std::move(refused);
  step(core::target::TakeoverRequested{
      .site = services_.context.config.site, .id = random_id(), .newest_known = row_.generation});
}

void TargetRuntime::primary_moved(const std::string& primary, std::vector<format::LineageEntry> lineage) {
  if (moved_ && row_.primary_node == primary && *moved_ == lineage)
    return;
  row_.primary_node = primary;
  row_.generation = core::newest_generation(lineage);
  moved_ = std::move(lineage);
  step(core::target::LinkDown{"node " + primary + " is the primary now"});
  // Opened anew by both ends: then the old source, if it lives, hears that it is stale.
  services_.sessions.close(row_.name, pair_.source, "node " + primary + " is the primary now");
  services_.changed(row_.name);
}

std::string TargetRuntime::join_command() const {
  std::string text = "rcctl pair create " + row_.name + " --to " + services_.context.config.node +
                     " --mode " + control::to_token(pair_.mode) + " --journal " + row_.journal;
  for (const auto& volume : volumes_.volumes)
    text += " --volume " + volume.name + "=" + volume.device + "," + volume.meta;
  return text;
}

void TargetRuntime::mode_changed(const io::PairRow& pair) {
  pair_ = pair;
  step(core::target::ModeChanged{lease_ns()});
}

void TargetRuntime::settings_changed(const io::GroupRow& row) {
  row_.on_full = row.on_full;
  row_.fence = row.fence;
  row_.checkpoint_ms = row.checkpoint_ms;
  row_.ack_timeout_ms = row.ack_timeout_ms;
  step(core::target::ModeChanged{lease_ns()});
}

core::TargetStatus TargetRuntime::core_status() const {
  return core_ ? core_->status(now()) : core::TargetStatus{};
}

// ---- status

void TargetRuntime::tell_changes() {
  const auto status = core_->status(now());
  if (status.state == told_state_)
    return;
  told_state_ = status.state;
  since_ = io::utc_now();
  const bool bad = status.state == core::PairState::Failed || status.state == core::PairState::Suspended;
  services_.context.events.add(bad ? control::Severity::Warning : control::Severity::Notice,
                               control::EventKind::Change,
                               "pair " + row_.name + "@" + services_.context.config.node, row_.name,
                               std::string("copy: state ") + core::to_string(status.state) +
                                   (status.reason.empty() ? "" : ": " + status.reason),
                               status.next_action);
  services_.changed(row_.name);
}

void TargetRuntime::fill_status(control::GroupStatus& status) {
  status.role = control::Role::Secondary;
  status.primary_node = moved_ ? row_.primary_node : pair_.source;
  if (!core_) {
    status.state = failure_.empty() ? control::GroupState::Inactive : control::GroupState::Failed;
    status.reason = failure_.empty() ? "starting" : failure_;
    status.next_action = failure_next_;
    return;
  }
  control::PairStatus pair = report_target(core_->status(now()), now(), status);
  pair.group = row_.name;
  pair.source = pair_.source;
  pair.target = services_.context.config.node;
  pair.target_site = services_.context.config.site;
  pair.mode = pair_.mode;
  pair.since = since_;
  // A pair that is suspended says nothing about its link: the two nodes go on without it.
  if (pair.state == control::PairState::Suspended && services_.peers.link(pair_.source))
    pair.link = control::LinkState::Up;
  if (moved_ && status.state != control::GroupState::TakingOver) {
    pair.state = control::PairState::Failed;
    pair.link = control::LinkState::Down;
    pair.reason = "node " + row_.primary_node + " is the primary now (generation " +
                  std::to_string(row_.generation) + "); this copy still holds the image of node " +
                  pair_.source;
    pair.next_action = join_command();
    status.reason = pair.reason;
    status.next_action = pair.next_action;
  }
  status.pairs.push_back(std::move(pair));
  if (!failure_.empty()) {
    status.state = control::GroupState::Failed;
    status.reason = failure_;
    status.next_action = failure_next_;
  }
}

std::shared_ptr<io::Journal> TargetRuntime::stop() {
  stopped_ = true;
  applier_.reset();
  ring_.reset();
  services_.sessions.unwant(row_.name, pair_.source,
                            "this node no longer holds the copy of node " + pair_.source);
  return journal_;
}

} // namespace rc::agent
