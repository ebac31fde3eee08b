// SPDX-License-Identifier: GPL-2.0-or-later
// Life of a SourceRuntime: start, events in, status out. The actions are in source_actions.cpp.
#include "agent/source_runtime.hpp"

#include "agent/clock.hpp"
#include "agent/status_report.hpp"
#include "format/frame.hpp"

namespace rc::agent {
namespace {

constexpr std::size_t cache_bytes = 32 << 20;
constexpr std::size_t read_bytes = 1 << 20;
constexpr std::size_t read_records = 4096;
constexpr int reads_in_a_row = 8; // then other work of the loop has its turn
constexpr std::uint32_t wake_records = 64;

} // namespace

SourceRuntime::SourceRuntime(RuntimeServices services, io::GroupRow row, VolumeSet volumes,
                             std::vector<io::PairRow> pairs, std::map<std::string, std::string> sites)
    : services_(std::move(services)), row_(std::move(row)), volumes_(std::move(volumes)),
      sites_(std::move(sites)), actions_([this](core::source::Action& action) { return execute(action); }),
      cache_(cache_bytes), channel_(format::channel_of(row_.name)) {
  for (const auto& pair : pairs)
    links_[static_cast<core::LinkSlot>(pair.link_slot)] = {pair.target, pair, {}, {}, io::utc_now()};
}

void SourceRuntime::start(std::shared_ptr<io::Journal> journal, bool took_over) {
  journal_ = std::move(journal);
  services_.context.in_background([set = volumes_] { return loaded(set); },
                                  [this, took_over, self = shared_from_this()](const Result<Loaded>& result) {
                                    if (stopped_)
                                      return;
                                    if (!result)
                                      fail(result.error().what, result.error().next);
                                    else
                                      begin(result->all && result->primary, took_over);
                                  });
}

namespace {
core::Fence fence_of(const io::GroupRow& row) {
  return row.fence == control::Fence::Stop ? core::Fence::Stop : core::Fence::Go;
}
} // namespace

void SourceRuntime::begin(bool volumes_live, bool took_over) {
  core::SourceConfig config;
  config.group = row_.name;
  config.site = services_.context.config.site;
  config.volume_sectors = sectors_by_number(volumes_);
  config.checkpoint_interval_ms = row_.checkpoint_ms;
  config.throttle = row_.on_full == control::OnFull::Throttle;
  config.fence = fence_of(row_);
  config.copyset = journal_->state().table.has_value();
  for (const auto& [slot, link] : links_)
    config.links.push_back(link_config(link.pair));

  core::RecoveredSpill spill;
  const auto segments = journal_->segments();
  if (!segments.empty()) {
    const auto& segment = segments.back();
    spill.stream = segment.stream;
    spill.first = segment.first;
    spill.last = segment.last;
  }
  const auto use = journal_->use();
  spill.capacity_bytes = use.data_bytes;
  spill.used_bytes = use.data_used;
  spill.capacity_slots = use.slots;
  spill.used_slots = use.slots_used;

  core_ = std::make_unique<core::Source>(std::move(config), journal_->state(), spill);
  services_.copysets.group_begins(row_.name, journal_->state().table);
  step(core::source::Started{.volumes_live = volumes_live, .took_over = took_over});
  for (const auto& [slot, link] : links_) {
    services_.sessions.want(row_.name, link.peer);
    if (services_.sessions.up(row_.name, link.peer))
      step(core::source::LinkUp{slot});
    if (link.pair.suspended)
      step(core::source::SuspendRequested{slot, "suspended by command"});
  }
}

core::LinkConfig SourceRuntime::link_config(const io::PairRow& pair) const {
  core::LinkConfig config;
  config.link = static_cast<core::LinkSlot>(pair.link_slot);
  config.peer = pair.target;
  const auto site = sites_.find(pair.target);
  config.site = site == sites_.end() ? pair.target : site->second;
  config.mode = pair.mode == control::Mode::Sync ? core::LinkMode::Sync : core::LinkMode::Async;
  config.ack_timeout_ms = row_.ack_timeout_ms;
  return config;
}

const SourceRuntime::LinkInfo* SourceRuntime::link_of(const std::string& peer) const {
  for (const auto& [slot, link] : links_)
    if (link.peer == peer)
      return &link;
  return nullptr;
}

const SourceRuntime::LinkInfo* SourceRuntime::link_of(core::LinkSlot slot) const {
  const auto found = links_.find(slot);
  return found == links_.end() ? nullptr : &found->second;
}

void SourceRuntime::step(const core::source::Event& event) {
  if (!core_ || stopped_)
    return;
  actions_.push(core_->step(event, now()));
}

void SourceRuntime::step_later(core::source::Event event) {
  io::post(services_.context.executor(),
           [this, self = shared_from_this(), event = std::move(event)] { step(event); });
}

void SourceRuntime::fail(const std::string& text, const std::string& next_action) {
  if (failure_ == text)
    return;
  failure_ = text;
  failure_next_ = next_action;
  services_.context.events.add(control::Severity::Error, control::EventKind::Change, "group " + row_.name,
                               row_.name, text, next_action);
  services_.changed(row_.name);
}

void SourceRuntime::spill_durable(StreamId stream, Seq durable) {
  const auto use = journal_->use();
  step(core::source::SpillDurable{.stream = stream,
                                  .seq = durable,
                                  .used_bytes = use.data_used,
                                  .capacity_bytes = use.data_bytes,
                                  .used_slots = use.slots_used,
                                  .capacity_slots = use.slots});
}

void SourceRuntime::journal_failed(const Error& error) {
  fail("the journal of group " + row_.name + " failed: " + error.text(),
       "replace the journal's device, then restart rcagent");
  step(core::source::SpillFailed{.error = error.text()});
}

// ---- ring

void SourceRuntime::watch_ring() {
  if (!ring_ || !ring_watch_ || stopped_ || next_read_ == 0)
    return; // without a stream what may lie in the ring would keep it readable
  ring_->set_read(next_read_ - 1);
  ring_->request_wakeup(wake_records);
  ring_watch_->arm([this, self = shared_from_this()] { read_ring(); });
}

void SourceRuntime::read_ring() {
  if (!ring_ || stopped_)
    return;
  bool more = next_read_ != 0;
  for (int i = 0; more && i < reads_in_a_row; i++) {
    if (cache_.has_room()) {
      auto taken = io::take_records(*ring_, next_read_, read_bytes, read_records);
      if (!taken) {
        fail("the ring of group " + row_.name + " is damaged: " + taken.error().text(), "restart rcagent");
        return;
      }
      more = !taken->records.empty();
      if (!more)
        break;
      next_read_ = taken->records.back().seq + 1;
      const StreamId stream = taken->stream;
      const auto records = taken->records; // the cache may drop its own while the core's actions run
      cache_.add(std::move(*taken));
      step(core::source::RecordsCommitted{stream, records});
    } else {
      std::vector<format::Record> headers;
      format::Record record{};
      while (headers.size() < read_records && ring_->load(next_read_ + headers.size(), record))
        headers.push_back(record);
      more = !headers.empty();
      if (!more)
        break;
      next_read_ += headers.size();
      step(core::source::RecordsCommitted{ring_->stream(), headers});
    }
    if (!ring_ || stopped_ || next_read_ == 0)
      return;
  }
  report_progress();
  if (more)
    io::post(services_.context.executor(), [this, self = shared_from_this()] { read_ring(); });
  else
    watch_ring();
}

void SourceRuntime::report_progress() {
  if (!ring_ || stopped_)
    return;
  const auto state = ring_->state();
  if (!state) {
    fail("cannot read the state of group " + row_.name + ": " + state.error().text(),
         "look at the kernel's log");
    return;
  }
  step(core::source::RingProgress{.written = state->written,
                                  .alone = (state->state & DMRC_STATE_ALONE) != 0,
                                  .alone_since = Era{state->alone_since},
                                  .throttled = (state->state & DMRC_STATE_THROTTLED) != 0});
}

// ---- events

void SourceRuntime::tick() {
  if (!core_ || stopped_)
    return;
  report_progress();
  step(core::source::Tick{});
  tell_changes();
}

void SourceRuntime::link_up(const std::string& peer) {
  if (const auto* link = link_of(peer))
    step(core::source::LinkUp{static_cast<core::LinkSlot>(link->pair.link_slot)});
}

void SourceRuntime::link_down(const std::string& peer, const std::string& reason) {
  if (const auto* link = link_of(peer))
    step(core::source::LinkDown{static_cast<core::LinkSlot>(link->pair.link_slot), reason});
}

void SourceRuntime::message(const std::string& peer, format::GroupMessage message) {
  if (const auto* link = link_of(peer))
    step(core::source::MessageArrived{static_cast<core::LinkSlot>(link->pair.link_slot), std::move(message)});
}

void SourceRuntime::records(const std::string& peer, format::RecordsMessage) {
  damaged(peer, "it sent records of a group whose primary is this node");
}

void SourceRuntime::damaged(const std::string& peer, const std::string& reason) {
  services_.context.events.add(
      control::Severity::Error, control::EventKind::Call, "pair " + row_.name + "@" + peer, row_.name,
      "refused a message from node " + peer + ": " + reason, "check that both nodes run the same version");
  services_.sessions.close(row_.name, peer, reason);
}

// ---- commands

void SourceRuntime::volumes_changed(const VolumeSet& volumes) {
  if (volumes.volumes == volumes_.volumes)
    return;
  volumes_ = volumes;
  step(core::source::VolumesChanged{sectors_by_number(volumes_)});
}

Status SourceRuntime::settings_changed(const io::GroupRow& row) {
  if (ring_ && row.on_full != row_.on_full)
    if (Status set = set_throttle(row.on_full); !set)
      return set;
  row_.on_full = row.on_full;
  row_.fence = row.fence;
  row_.checkpoint_ms = row.checkpoint_ms;
  row_.ack_timeout_ms = row.ack_timeout_ms;
  step(core::source::SettingsChanged{.checkpoint_interval_ms = row_.checkpoint_ms,
                                     .throttle = row_.on_full == control::OnFull::Throttle,
                                     .fence = fence_of(row_)});
  for (const auto& [slot, link] : links_)
    step(core::source::LinkAdded{link_config(link.pair)});
  return {};
}

void SourceRuntime::add_pair(const io::PairRow& pair) {
  const auto slot = static_cast<core::LinkSlot>(pair.link_slot);
  const bool is_new = !links_.contains(slot);
  if (!is_new && links_[slot].pair == pair)
    return;
  LinkInfo& link = links_[slot];
  link.peer = pair.target;
  link.pair = pair;
  if (is_new)
    link.since = io::utc_now();
  step(core::source::LinkAdded{link_config(pair)});
  services_.sessions.want(row_.name, pair.target);
  if (is_new && services_.sessions.up(row_.name, pair.target))
    step(core::source::LinkUp{slot});
}

void SourceRuntime::remove_pair(const std::string& peer) {
  const auto* link = link_of(peer);
  if (!link)
    return;
  const auto slot = static_cast<core::LinkSlot>(link->pair.link_slot);
  services_.sessions.unwant(row_.name, peer, "the pair was deleted");
  step(core::source::LinkRemoved{slot});
  links_.erase(slot);
}

void SourceRuntime::suspend_pair(const std::string& peer, const std::string& reason) {
  if (const auto* link = link_of(peer))
    step(core::source::SuspendRequested{static_cast<core::LinkSlot>(link->pair.link_slot), reason});
}

void SourceRuntime::resume_pair(const std::string& peer) {
  if (const auto* link = link_of(peer))
    step(core::source::ResumeRequested{static_cast<core::LinkSlot>(link->pair.link_slot)});
  services_.sessions.hurry(row_.name, peer);
}

void SourceRuntime::resync_pair(const std::string& peer, bool in_place) {
  if (const auto* link = link_of(peer))
    step(core::source::ResyncRequested{static_cast<core::LinkSlot>(link->pair.link_slot), in_place});
  services_.sessions.hurry(row_.name, peer);
}

void SourceRuntime::force_confirm() { step(core::source::ForceConfirmed{}); }

bool SourceRuntime::needs_witness() const {
  return core_ && links_.empty() && core_->status(now()).state == "waiting for confirmation";
}

void SourceRuntime::nodes_asked(bool vouched, const std::string& what, const std::string& next_action) {
  step(core::source::NodesAsked{.vouched = vouched, .what = what, .next_action = next_action});
  services_.changed(row_.name);
}

core::SourceStatus SourceRuntime::core_status() const {
  return core_ ? core_->status(now()) : core::SourceStatus{};
}

// ---- status

void SourceRuntime::tell_changes() {
  const auto status = core_->status(now());
  bool any = false;
  for (const auto& core_link : status.links) {
    const auto found = links_.find(core_link.link);
    if (found == links_.end())
      continue;
    LinkInfo& link = found->second;
    if (link.told_state == core_link.state && link.told_reason == core_link.reason)
      continue;
    const bool state_changed = link.told_state != core_link.state;
    const bool bad =
        core_link.state == core::PairState::Failed || core_link.state == core::PairState::Suspended;
    link.told_state = core_link.state;
    link.told_reason = core_link.reason;
    if (!state_changed)
      continue;
    any = true;
    link.since = io::utc_now();
    services_.context.events.add(bad ? control::Severity::Warning : control::Severity::Notice,
                                 control::EventKind::Change, "pair " + row_.name + "@" + link.peer, row_.name,
                                 std::string("state ") + core::to_string(core_link.state) +
                                     (core_link.reason.empty() ? "" : ": " + core_link.reason),
                                 core_link.next_action);
  }
  if (any)
    services_.changed(row_.name);
}

void SourceRuntime::fill_status(control::GroupStatus& status) {
  status.role = control::Role::Primary;
  status.primary_node = services_.context.config.node;
  if (!core_) {
    status.state = failure_.empty() ? control::GroupState::Inactive : control::GroupState::Failed;
    status.reason =
        failure_.empty() ? (volumes_.volumes.empty() ? "the group has no volume" : "starting") : failure_;
    status.next_action =
        failure_.empty() ? (volumes_.volumes.empty() ? "rcctl volume create " + row_.name + " NAME ..." : "")
                         : failure_next_;
    return;
  }
  const auto core_status = core_->status(now());
  report_source(core_status, status);
  if (hold_us_)
    status.copyset.emplace().hold_seconds = static_cast<double>(*hold_us_) / 1e6;
  for (const auto& core_link : core_status.links) {
    const auto found = links_.find(core_link.link);
    if (found == links_.end())
      continue;
    control::PairStatus pair = report_pair(core_link);
    // A pair that is suspended says nothing about its link: the two nodes go on without it.
    if (core_link.state == core::PairState::Suspended && services_.peers.link(found->second.peer))
      pair.link = control::LinkState::Up;
    pair.group = row_.name;
    pair.source = services_.context.config.node;
    pair.target = found->second.peer;
    pair.mode = found->second.pair.mode;
    pair.since = found->second.since;
    status.pairs.push_back(std::move(pair));
  }
  worst_lag(status);
  if (!failure_.empty()) {
    status.state = control::GroupState::Failed;
    status.reason = failure_;
    status.next_action = failure_next_;
  }
}

std::shared_ptr<io::Journal> SourceRuntime::stop() {
  stopped_ = true;
  ring_watch_.reset();
  ring_.reset();
  for (const auto& [slot, link] : links_)
    services_.sessions.unwant(row_.name, link.peer, "the group's runtime stopped");
  return journal_;
}

} // namespace rc::agent
