// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/sim/target_agent.hpp"

#include "base/overloaded.hpp"
#include "tests/sim/cluster.hpp"
#include "tests/sim/fleet.hpp"

#include <algorithm>
#include <map>

namespace rc::sim {

using namespace core::target;

TargetAgent::TargetAgent(Host& host) : Agent(host) {
  core::RecoveredJournal recovered{host.journal().index(), host.journal().space()};
  core_ = std::make_unique<core::Target>(host.cluster().target_config(host.number()), host.journal().state(),
                                         std::move(recovered));
  host.set_journal_listener({[this](StreamId stream, Seq seq) {
    step(JournalDurable{stream, seq, host_.journal().space()});
  }});
}

void TargetAgent::start() {
  if (host_.target().role() != Role::Secondary)
    host_.target().load_secondary();
  if (host_.cluster().fleet()) {
    copyset_ = std::make_unique<CopysetAgent>(
        host_, [this](const core::copyset::Action& action) { of_the_copyset(action); });
    copyset_->start();
  }
  step(Started{});
  tick();
}

void TargetAgent::copyset_message(const format::CopysetMessage& message) {
  if (copyset_)
    copyset_->step(core::copyset::MessageArrived{message});
}

void TargetAgent::take_over_site() {
  host_.trace("takeover of the site requested");
  copyset_->step(core::copyset::TakeoverRequested{host_.random().next() | 1});
}

void TargetAgent::of_the_copyset(const core::copyset::Action& action) {
  using namespace core;
  const auto order = Overloaded{
      [&](const copyset::StoreTable& a) { step(TableChanged{a.table}); },
      [&](const copyset::OrderRelease& a) { step(ReleaseOrdered{a.n}); },
      [&](const copyset::OrderReset& a) { step(ResetOrdered{a.n}); },
      [&](const copyset::OrderDiscard& a) { step(DiscardGranted{a.n}); },
      [&](const copyset::OrderClose& a) { step(CloseOrdered{a.entry}); },
      [&](const copyset::OrderGiveUp& a) { step(GiveUpOrdered{a.entry.id}); },
      [&](const copyset::OrderLineage& a) { step(LineageOrdered{a.entry}); },
      [&](const copyset::OrderPromote& a) { step(PromoteOrdered{a.entry.id}); },
      [&](const copyset::OrderSync& a) {
        step(SyncOrdered{a.term, a.order});
      },
      [&](const copyset::TakeoverRefused& a) {
        host_.trace("takeover of the site refused: " + a.reason);
        host_.count("site takeover refused");
        host_.cluster().fleet()->refused();
      },
      [&](const auto&) {
        throw Violation("contract", "the copyset asks a copy for what only a primary can do");
      },
  };
  std::visit(order, action);
}

void TargetAgent::act(const TellCopyset& action) {
  if (copyset_)
    std::visit([this](const auto& what) { copyset_->step(what); }, action.what);
}

core::TargetStatus TargetAgent::status() const { return core_->status(host_.clock()); }

void TargetAgent::tick() {
  host_.agent_later(host_.cluster().tick_time(), [this] {
    step(Tick{});
    tick();
  });
}

void TargetAgent::step(const Event& event) {
  auto actions = core_->step(event, host_.clock());
  core_->check_invariants();
  for (const Action& action : actions)
    if (const auto* append = std::get_if<AppendJournal>(&action); append && !receiving_)
      throw Violation("10", host_.name() + " stores record " +
                                std::to_string(append->message->records.front().seq) +
                                " after it has closed the link or the stream");
    else if (std::holds_alternative<CloseLink>(action))
      receiving_ = false;
  queue_.add(std::move(actions), [this](const Action& action) { execute(action); });
}

void TargetAgent::execute(const Action& action) {
  std::visit([this](const auto& each) { act(each); }, action);
}

void TargetAgent::link_up(int) { step(LinkUp{}); }
void TargetAgent::link_down(int, const std::string& reason) {
  receiving_ = false;
  step(LinkDown{reason});
}

void TargetAgent::arrive(int, const Packet& packet) {
  if (const auto* message = std::get_if<format::GroupMessage>(&packet)) {
    receiving_ = receiving_ || std::holds_alternative<format::ResumeMessage>(*message) ||
                 std::holds_alternative<format::AttachMessage>(*message);
    step(MessageArrived{*message});
  } else if (const auto* records = std::get_if<std::shared_ptr<const format::RecordsMessage>>(&packet))
    step(RecordsArrived{*records});
  else {
    host_.count("damaged frame");
    step(DamagedFrame{"wrong CRC"});
  }
}

void TargetAgent::take_over() {
  host_.trace("takeover requested");
  host_.cluster().takeover_begins(host_);
  step(TakeoverRequested{host_.name(), host_.random().next() | 1});
}

// ---- what is to be done

void TargetAgent::act(const StoreState& action) {
  if (action.state.release && !host_.journal().state().release) {
    host_.count(action.state.release->seal ? "seal" : "release");
    host_.released = action.state.release->checkpoint;
    host_.trace("release " + to_string(action.state.release->checkpoint) + " through " +
                std::to_string(action.state.release->last) + (action.state.release->seal ? " (seal)" : ""));
  }
  if (host_.shown && action.state.role == format::Role::Secondary && !action.state.position.lineage.empty() &&
      !action.state.release)
    host_.position_behind = false;
  host_.cluster().check_stored(host_, action.state);
  queue_.block();
  host_.cluster().moment(action.state.takeover ? Moment::TakeoverStore : Moment::Store, host_);
  const bool changed = !action.journal.none();
  host_.journal().store(action.state, action.journal, [this, changed] {
    if (changed)
      step(JournalTrimmed{host_.journal().space()});
    queue_.lift([this](const Action& next) { execute(next); });
  });
  host_.kick_journal();
}

void TargetAgent::act(const AppendJournal& action) {
  if (host_.journal().append(action.message)) {
    host_.kick_journal();
    return;
  }
  host_.count("target journal full");
  append_failed();
}

void TargetAgent::append_failed() {
  host_.agent_later(10 * us, [this] { step(JournalFailed{"the journal is full"}); });
  host_.restart_agent(second);
}

void TargetAgent::act(const SetUpdateInProgress& action) {
  if (!action.in_progress && host_.target().update_in_progress())
    host_.cluster().check_shown(host_, "update in progress is cleared");
  if (action.in_progress == host_.target().update_in_progress())
    return;
  queue_.block();
  host_.target().set_update(action.in_progress, host_.answer([this] {
    queue_.lift([this](const Action& next) { execute(next); });
  }));
}

struct TargetAgent::Job {
  ApplyRecords action;
  bool in_place = false;
  std::map<std::uint32_t, Value> blocks; // newest bytes
  std::map<std::uint32_t, Era> regions;  // highest era, by volume * regions + region
  std::vector<std::uint32_t> order;      // in which blocks are written
  std::size_t written = 0;
};

std::shared_ptr<TargetAgent::Job> TargetAgent::gather(const ApplyRecords& action) const {
  auto job = std::make_shared<Job>();
  job->action = action;
  job->in_place = host_.journal().state().draft && host_.journal().state().draft->in_place;
  const Shape& shape = host_.target().settings().shape;
  bool found = false;
  for (const auto& segment : host_.journal().segments()) {
    for (const auto& record : segment.records) {
      if (format::changes_volume(record)) {
        const auto first = static_cast<std::uint32_t>(record.sector / block_sectors);
        const std::uint32_t blocks = record.length / 512 / block_sectors;
        for (std::uint32_t b = 0; b < blocks; ++b)
          job->blocks[block_index(record.volume, first + b)] =
              format::has_data(record) ? host_.cluster().ghost().payload(record.data_crc).values[b] : 0;
        Era& era = job->regions[record.volume * shape.regions + first / region_blocks];
        era = std::max(era, Era{record.era});
      }
      if (segment.stream == action.stream && record.seq == action.last) {
        found = true;
        break;
      }
    }
    // Nothing may be there to apply: all through `last` was applied and trimmed.
    if (found || (segment.stream == action.stream && action.last < segment.first))
      break;
  }
  if (!found && !job->blocks.empty() && host_.journal().durable(action.stream) < action.last)
    throw Violation("contract",
                    "the core applies record " + std::to_string(action.last) + ", which is not durable");
  for (const auto& [block, value] : job->blocks)
    job->order.push_back(block);
  for (std::size_t n = job->order.size(); n > 1; --n)
    std::swap(job->order[n - 1], job->order[host_.random().below(n)]);
  return job;
}

void TargetAgent::act(const ApplyRecords& action) {
  if (!host_.target().update_in_progress())
    throw Violation("9", "an apply begins without update in progress on stable storage");
  if (host_.now() < host_.applies_fail_until) {
    host_.count("apply failed");
    host_.agent_later(5 * ms, [this] { step(ApplyFailed{"a disk of the copy failed"}); });
    return;
  }
  host_.cluster().moment(Moment::Apply, host_);
  const auto job = gather(action);
  host_.trace("applies through " + std::to_string(action.last) + (action.redo ? " (redo)" : "") + ", " +
              std::to_string(job->order.size()) + " blocks");
  if (action.redo)
    host_.count("apply redone");
  std::vector<std::uint32_t> regions;
  for (const auto& [region, era] : job->regions)
    regions.push_back(region);
  if (host_.mutation() == ModelMutation::ApplyBeforeMark)
    write_on(job);
  else
    host_.target().mark(regions, host_.answer([this, job] { write_on(job); }));
}

void TargetAgent::write_on(const std::shared_ptr<Job>& job) {
  if (job->written == job->order.size()) {
    settle(job);
    return;
  }
  const std::uint32_t block = job->order[job->written++];
  const auto ticket = host_.target().disk().begin(block, job->blocks.at(block));
  host_.later(host_.disk_time(),
              [host = &host_, block, ticket, next = host_.answer([this, job] { write_on(job); })] {
                host->target().disk().end(block, ticket);
                next();
              });
}

void TargetAgent::settle(const std::shared_ptr<Job>& job) {
  const Shape& shape = host_.target().settings().shape;
  std::vector<format::Extent> extents;
  for (const auto& [index, era] : job->regions) {
    const std::uint32_t volume = index / shape.regions, region = index % shape.regions;
    std::uint32_t present = 0, last = 0;
    for (std::uint32_t b = 0; b < region_blocks; ++b)
      if (job->blocks.count(block_index(volume, region * region_blocks + b))) {
        ++present;
        last = b;
      }
    format::Extent extent;
    extent.volume = static_cast<VolumeNumber>(volume);
    extent.sector = std::uint64_t{region} * region_sectors + (present == 1 ? last * block_sectors : 0);
    extent.sectors = present * block_sectors;
    extent.era = era;
    extents.push_back(extent);
  }
  host_.target().settle(extents, job->action.redo, host_.answer([this, job] {
    if (!job->in_place || host_.journal().state().release) {
      const GhostStream* stream = host_.ghost().stream(job->action.stream);
      if (!stream)
        throw Violation("contract", "the core applies a stream that never was");
      host_.shown = ShownImage{job->action.stream, job->action.last};
      host_.fed = true;
      host_.position_behind = true;
    }
    host_.count("applied");
    step(Applied{job->action.stream, job->action.last});
  }));
}

void TargetAgent::act(const ReckonOwnDirty& action) {
  auto dirty = host_.target().dirty(action.since);
  host_.agent_later(50 * us + host_.random().below(2 * ms), [this, action, dirty = std::move(dirty)] {
    step(OwnDirty{action.ticket, dirty});
  });
}

void TargetAgent::act(const SendMessage& action) {
  host_.cluster().seen_message(host_, host_.source, action.message);
  host_.cluster().wire(host_.number(), host_.source).send(host_.number(), action.message);
}

void TargetAgent::act(const CloseLink& action) {
  host_.trace("closes the link to its source: " + action.reason);
  host_.cluster().wire(host_.number(), host_.source).close(host_.number(), action.reason);
}

void TargetAgent::act(const BecomePrimary& action) {
  host_.cluster().takeover_complete(host_, action.generation);
}

void TargetAgent::act(const TakeoverRefused& action) {
  host_.cluster().takeover_refused(host_, action.reason);
}

void TargetAgent::act(const Note& action) { host_.trace(action.text); }

} // namespace rc::sim
