// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/sim/source_agent.hpp"

#include "tests/sim/cluster.hpp"

#include <algorithm>

namespace rc::sim {

using namespace core::source;

namespace {
constexpr Time throttle_most = 10 * second;

std::uint64_t random_id(Random& random) { return random.next() | 1; }

core::RecoveredSpill recovered(const Journal& journal) {
  core::RecoveredSpill spill;
  const auto space = journal.space();
  spill.capacity_bytes = space.capacity_bytes;
  spill.used_bytes = space.used_bytes;
  spill.capacity_slots = space.capacity_slots;
  spill.used_slots = space.used_slots;
  if (!journal.segments().empty()) {
    const auto& segment = journal.segments().back();
    spill.stream = segment.stream;
    spill.first = segment.first;
    spill.last = segment.last();
  }
  return spill;
}
} // namespace

SourceAgent::SourceAgent(Host& host) : Agent(host) {
  core_ = std::make_unique<core::Source>(host.cluster().source_config(host.number()), host.journal().state(),
                                         recovered(host.journal()));
  host.set_journal_listener({[this](StreamId stream, Seq seq) { step(spill_durable(stream, seq)); }});
}

void SourceAgent::start() {
  if (host_.target().role() == Role::None)
    host_.count("source agent after a boot");
  if (host_.cluster().fleet()) {
    copyset_ = std::make_unique<CopysetAgent>(
        host_, [this](const core::copyset::Action& action) { of_the_copyset(action); });
    copyset_->start();
  }
  step(Started{host_.target().role() == Role::Primary});
  tick();
}

void SourceAgent::copyset_message(const format::CopysetMessage& message) {
  if (copyset_)
    copyset_->step(core::copyset::MessageArrived{message});
}

void SourceAgent::of_the_copyset(const core::copyset::Action& action) {
  using namespace core;
  if (const auto* table = std::get_if<copyset::StoreTable>(&action))
    step(TableChanged{table->table});
  else if (const auto* promote = std::get_if<copyset::OrderPromote>(&action)) {
    heard_ = true;
    step(PromoteOrdered{promote->entry.id});
  } else if (const auto* put = std::get_if<copyset::PutCheckpoint>(&action))
    mark(*put);
  else if (const auto* lift = std::get_if<copyset::LiftHold>(&action)) {
    const bool held = host_.target().lift(lift->n);
    host_.agent_later(20 * us, [this, n = lift->n, held] { copyset_->step(copyset::HoldLifted{n, held}); });
  }
}

void SourceAgent::mark(const core::copyset::PutCheckpoint& action) {
  auto result = std::make_shared<CheckpointResult>();
  const auto answer = host_.answer([this, result, n = action.n] {
    step(CheckpointPut{result->checkpoint, result->marker, result->time_ns, result->error});
    copyset_->step(core::copyset::CheckpointPut{n, host_.target().era(), result->holding, result->error});
  });
  host_.target().checkpoint({action.n, action.max_hold_us * us, action.epoch},
                            [result, answer, host = &host_](CheckpointResult what) {
                              if (what.error.empty())
                                host->trace("checkpoint " + to_string(what.checkpoint) + " at " +
                                            std::to_string(what.marker));
                              *result = std::move(what);
                              answer();
                            });
}

void SourceAgent::act(const TellCopyset& action) {
  if (copyset_)
    std::visit([this](const auto& what) { copyset_->step(what); }, action.what);
}

core::SourceStatus SourceAgent::status() const { return core_->status(host_.clock()); }

void SourceAgent::tick() {
  host_.agent_later(host_.cluster().tick_time(), [this] {
    if (attached_ && (host_.target().reserved() > host_.target().freed() || host_.target().sync_wait()))
      step(progress());
    step(Tick{});
    tick();
  });
}

void SourceAgent::step(const Event& event) {
  auto actions = core_->step(event, host_.clock());
  core_->check_invariants();
  queue_.add(std::move(actions), [this](const Action& action) { execute(action); });
}

void SourceAgent::execute(const Action& action) {
  std::visit([this](const auto& each) { act(each); }, action);
}

// ---- what happens

void SourceAgent::link_up(int peer) { step(LinkUp{static_cast<core::LinkSlot>(peer)}); }
void SourceAgent::link_down(int peer, const std::string& reason) {
  step(LinkDown{static_cast<core::LinkSlot>(peer), reason});
}

void SourceAgent::arrive(int peer, const Packet& packet) {
  const auto* message = std::get_if<format::GroupMessage>(&packet);
  if (!message) { // what its link layer refuses
    host_.count("damaged frame");
    host_.cluster().wire(host_.number(), peer).close(host_.number(), "a damaged frame");
    return;
  }
  if (const auto* generation = std::get_if<format::GenerationMessage>(message);
      generation || std::holds_alternative<format::HelloMessage>(*message))
    heard_ = true;
  step(MessageArrived{static_cast<core::LinkSlot>(peer), *message});
}

void SourceAgent::suspend(int peer) {
  step(SuspendRequested{static_cast<core::LinkSlot>(peer), "by command"});
}
void SourceAgent::resume(int peer) { step(ResumeRequested{static_cast<core::LinkSlot>(peer)}); }
void SourceAgent::settings_changed() {
  const core::SourceConfig config = host_.cluster().source_config(host_.number());
  step(core::source::SettingsChanged{.checkpoint_interval_ms = config.checkpoint_interval_ms,
                                     .throttle = config.throttle,
                                     .fence = config.fence});
}
void SourceAgent::force() {
  heard_ = true;
  step(ForceConfirmed{});
}

void SourceAgent::ring_committed() {
  if (reading_ || !attached_)
    return;
  reading_ = true;
  // What gathered while no agent was there takes a while to read.
  const Time busy = read_ < found_ && slow_start_ ? 200 * ms : ms;
  host_.agent_later(20 * us + host_.random().below(busy), [this] { read_ring(); });
}

void SourceAgent::read_ring() {
  reading_ = false;
  if (host_.target().read_stream() != stream_)
    return;
  std::vector<format::Record> records;
  while (records.size() < 64)
    if (const format::Record* record = host_.target().load(read_ + 1)) {
      records.push_back(*record);
      ++read_;
    } else {
      break;
    }
  if (records.empty())
    return;
  step(RecordsCommitted{stream_, records});
  step(progress());
  if (host_.target().load(read_ + 1))
    ring_committed();
}

RingProgress SourceAgent::progress() const {
  return {host_.target().written(), host_.target().alone(), host_.target().alone_since()};
}

SpillDurable SourceAgent::spill_durable(StreamId stream, Seq seq) const {
  const auto space = host_.journal().space();
  return {stream, seq, space.used_bytes, space.capacity_bytes, space.used_slots, space.capacity_slots};
}

// ---- what is to be done

void SourceAgent::act(const StoreState& action) {
  queue_.block();
  host_.cluster().moment(Moment::Store, host_);
  host_.journal().store(action.state, action.journal,
                        [this] { queue_.lift([this](const Action& next) { execute(next); }); });
  host_.kick_journal();
}

void SourceAgent::act(const LoadVolumes& action) {
  host_.cluster().promoted_at_load(host_, action.generation);
  host_.cluster().check_load(host_, action.generation, heard_);
  loading_ = true;
  const auto& lineage = host_.journal().state().position.lineage;
  const auto generation = action.generation;
  const auto id = lineage.empty() ? 0 : lineage.back().id;
  // The kernel goes on whether the agent lives or not.
  host_.target().load_primary(generation, id, [this, host = &host_, life = host_.life()](std::string error) {
    if (error.empty())
      host->cluster().volumes_live(*host);
    if (host->life() == life)
      host->agent_later(0, [this, error] {
        loading_ = false;
        step(VolumesLoaded{error.empty(), error});
      });
  });
}

void SourceAgent::act(const AttachRing&) {
  host_.agent_later(50 * us, [this] {
    const SimTarget& target = host_.target();
    const auto& settings = target.settings();
    host_.target().set_throttle(host_.cluster().settings().throttle ? throttle_most : 0);
    attached_ = true;
    stream_ = target.read_stream();
    read_ = target.freed();
    found_ = target.reserved();
    slow_start_ = host_.random().chance(0.2);
    RingAttached event;
    event.stream = target.stream().value ? target.stream()
                   : target.lost_at()    ? target.read_stream()
                                         : StreamId{};
    event.freed = target.freed();
    event.reserved = target.reserved();
    event.acked = target.acked();
    event.era = target.era();
    event.lost_at = target.lost_at();
    event.sync_wait = target.sync_wait();
    event.alone = target.alone();
    event.alone_since = target.alone_since();
    event.alone_after_ns = target.alone_after_ns();
    event.data_bytes = settings.ring_bytes;
    event.slots = settings.slots;
    event.copy_slots = settings.copy_slots;
    event.copy_slot_bytes = region_sectors * 512;
    event.region_sectors = region_sectors;
    step(event);
    ring_committed();
  });
}

void SourceAgent::act(const StartStream&) {
  host_.agent_later(100 * us, [this] {
    const StreamId id{random_id(host_.random())};
    const std::string error = host_.target().start_stream(id);
    if (error.empty()) {
      stream_ = id;
      read_ = found_ = 0;
      host_.count("stream started");
      host_.trace("stream " + std::to_string(id.value & 0xffff) + " starts");
    }
    step(StreamStarted{error.empty() ? id : StreamId{}, host_.target().era(), error});
  });
}

void SourceAgent::act(const FreeRing& action) { host_.target().set_freed(action.freed); }

void SourceAgent::act(const AckRing& action) { host_.target().ack(action.acked, action.alone_after_ns); }

void SourceAgent::act(const SetSync& action) {
  host_.trace(std::string("sync wait ") + (action.wait ? "on" : "off"));
  const Seq since =
      host_.target().set_sync(action.wait, action.fence == core::Fence::Stop, action.alone_after_ns);
  host_.agent_later(20 * us, [this, wait = action.wait, since] { step(SyncSwitched{wait, since}); });
}

void SourceAgent::act(const PutCheckpoint&) {
  auto result = std::make_shared<CheckpointResult>();
  const auto answer = host_.answer([this, result] {
    step(CheckpointPut{result->checkpoint, result->marker, result->time_ns, result->error});
  });
  host_.target().checkpoint({}, [result, answer, host = &host_](CheckpointResult what) {
    if (what.error.empty())
      host->trace("checkpoint " + to_string(what.checkpoint) + " at " + std::to_string(what.marker));
    *result = std::move(what);
    answer();
  });
}

void SourceAgent::act(const SendRecords& action) {
  const bool spill = action.from == SendRecords::From::Spill;
  Seq seq = action.first;
  std::uint64_t bytes = 0;
  while (seq <= action.last && (!spill || bytes < action.max_bytes || seq == action.first)) {
    auto message = std::make_shared<format::RecordsMessage>();
    message->stream = action.stream;
    for (std::uint64_t most = 1 + host_.random().below(48);
         most > 0 && seq <= action.last && (!spill || bytes < action.max_bytes || seq == action.first);
         --most, ++seq) {
      const format::Record* record = spill ? host_.journal().find(action.stream, seq)
                                     : action.stream == host_.target().read_stream()
                                         ? host_.target().load(seq)
                                         : nullptr;
      if (!record)
        throw Violation("contract", "the core sends record " + std::to_string(seq) +
                                        ", which is not in the " + (spill ? "spill" : "ring") + " any more");
      message->records.push_back(*record);
      format::Record& copy = message->records.back();
      copy.flags &= static_cast<std::uint8_t>(~DMRC_F_COPY_SLOT);
      if (copy.type == DMRC_COPY && !(copy.tag & core::tag_of(action.link)))
        copy.flags |= DMRC_F_ELIDED;
      bytes += format::data_bytes(copy);
    }
    host_.cluster().wire(host_.number(), action.link).send(host_.number(), message);
  }
  if (spill) {
    host_.count("sent from spill");
    const SentFromSpill sent{action.link, action.first, seq - 1, bytes};
    host_.agent_later(host_.journal_time() / 4, [this, sent] { step(sent); });
  }
}

void SourceAgent::act(const SendMessage& action) {
  // As agent/source_actions.cpp: a deadline that was handed over too late moved nothing.
  if (std::holds_alternative<format::ChallengeAnswerMessage>(action.message) && host_.target().alone())
    return;
  host_.cluster().seen_message(host_, action.link, action.message);
  host_.cluster().wire(host_.number(), action.link).send(host_.number(), action.message);
}

void SourceAgent::act(const CloseLink& action) {
  host_.trace("closes the link to " + host_.cluster().host(action.link).name() + ": " + action.reason);
  host_.cluster().wire(host_.number(), action.link).close(host_.number(), action.reason);
}

void SourceAgent::act(const SpillRecords& action) {
  auto message = std::make_shared<format::RecordsMessage>();
  message->stream = action.stream;
  for (Seq seq = action.first; seq <= action.last; ++seq) {
    const format::Record* record = host_.target().load(seq);
    if (!record || action.stream != host_.target().read_stream())
      throw Violation("contract", "the core spills record " + std::to_string(seq) +
                                      ", which is not in the ring any more");
    message->records.push_back(*record);
    message->records.back().flags &= static_cast<std::uint8_t>(~DMRC_F_COPY_SLOT);
  }
  if (message->records.empty())
    return;
  host_.count("spilled");
  if (host_.journal().contiguous(*message) && host_.journal().append(message)) {
    host_.kick_journal();
    return;
  }
  host_.count("spill full");
  host_.agent_later(10 * us, [this] { step(SpillFailed{.error = "the spill is full", .full = true}); });
}

void SourceAgent::act(const TrimSpill& action) {
  host_.journal().trim(action.stream, action.through);
  host_.kick_journal();
}

void SourceAgent::act(const ReckonDirty& action) {
  host_.cluster().moment(Moment::Reckon, host_);
  auto dirty = host_.target().dirty(action.since);
  const Time long_map = host_.random().chance(0.2) ? host_.random().below(400 * ms) : 0;
  host_.agent_later(50 * us + long_map + host_.random().below(2 * ms),
                    [this, action, dirty = std::move(dirty)] {
                      step(Reckoned{action.link, action.ticket, dirty});
                    });
}

void SourceAgent::act(const CopyRegion& action) {
  host_.cluster().moment(Moment::Copy, host_);
  if (!host_.target().copy(action.volume, action.sector, static_cast<std::uint32_t>(action.sectors),
                           core::tag_of(action.link)))
    host_.agent_later(20 * us, [this, action] {
      step(CopyRefused{action.link, action.volume, action.sector, action.sectors});
    });
}

void SourceAgent::act(const PutEndOfCopying& action) {
  if (!host_.target().put(format::RecordType::EndOfCopying, core::tag_of(action.link)))
    host_.agent_later(20 * us, [this, action] {
      step(EndOfCopyingRefused{action.link, "no room, or no stream"});
    });
}

void SourceAgent::act(const StaleGeneration& action) {
  host_.trace("stale: " + action.reason);
  host_.count("stale primary found out");
  host_.target().fence();
}

void SourceAgent::act(const Note& action) { host_.trace(action.text); }

} // namespace rc::sim
