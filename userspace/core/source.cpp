// SPDX-License-Identifier: GPL-2.0-or-later
// Dispatch of a Source's events, and settle(): after each event everything that can go on goes on, in one
// fixed order (spill, free, send, copy), so that no event needs to know what it might have unblocked.
#include "base/overloaded.hpp"
#include "core/mutation.hpp"
#include "core/source_parts.hpp"

#include "base/assert.hpp"

#include <type_traits>

namespace rc::core {
using namespace source;

Source::Parts::Parts(SourceConfig config_in, format::GroupState state_in, RecoveredSpill recovered)
    : config(std::move(config_in)), state(std::move(state_in)) {
  for (const LinkConfig& link : config.links)
    links[link.link].config = link;
  spill.usable = recovered.capacity_bytes != 0;
  spill.space = {recovered.used_bytes, recovered.capacity_bytes, recovered.used_slots,
                 recovered.capacity_slots};
  if (recovered.stream.value != 0 && recovered.last >= recovered.first) {
    spill.kept = true;
    spill.stream = recovered.stream;
    spill.first = recovered.first;
    spill.appended = spill.durable = recovered.last;
  }
}

Source::Source(SourceConfig config, format::GroupState state, RecoveredSpill spill)
    : parts_(std::make_unique<Parts>(std::move(config), std::move(state), spill)) {}
Source::~Source() = default;
Source::Source(Source&&) noexcept = default;
Source& Source::operator=(Source&&) noexcept = default;

Actions Source::step(const Event& event, Now now) {
  parts_->now = now;
  parts_->dispatch(event);
  return std::exchange(parts_->out, {});
}

SourceStatus Source::status(Now now) const {
  parts_->now = now;
  return parts_->status();
}
void Source::check_invariants() const { parts_->check_invariants(); }
const format::GroupState& Source::state() const { return parts_->state; }

void Source::Parts::dispatch(const Event& event) {
  const auto with_link = [&](LinkSlot slot, auto&& act) {
    if (Link* link = find(slot))
      act(*link);
  };
  std::visit(
      Overloaded{
          [&](const Started& e) { started(e); },
          [&](const VolumesLoaded& e) { on_loaded(e); },
          [&](const RingAttached& e) { on_attached(e); },
          [&](const StreamStarted& e) { on_stream_started(e); },
          [&](const RecordsCommitted& e) { on_records(e); },
          [&](const RingProgress& e) { on_progress(e); },
          [&](const CheckpointPut& e) { on_checkpoint(e); },
          [&](const SyncSwitched& e) { on_switched(e); },
          [&](const Reckoned& e) { on_reckoned(e); },
          [&](const CopyRefused& e) { on_copy_refused(e); },
          [&](const EndOfCopyingRefused& e) { on_end_refused(e); },
          [&](const SpillDurable& e) { on_spill_durable(e); },
          [&](const SpillFailed& e) { on_spill_failed(e); },
          [&](const SentFromSpill& e) { on_sent_from_spill(e); },
          [&](const LinkUp& e) { with_link(e.link, [&](Link& link) { on_link_up(link); }); },
          [&](const LinkDown& e) { with_link(e.link, [&](Link& link) { on_link_down(link, e.reason); }); },
          [&](const MessageArrived& e) { on_message(e); },
          [&](const LinkAdded& e) { on_added(e); },
          [&](const SettingsChanged& e) { on_settings(e); },
          [&](const LinkRemoved& e) { on_removed(e); },
          [&](const SuspendRequested& e) { on_suspend(e); },
          [&](const ResumeRequested& e) { on_resume_request(e); },
          [&](const ResyncRequested& e) {
            with_link(e.link, [&](Link& link) { resync_asked(link, e.in_place); });
          },
          [&](const ForceConfirmed&) {
            if (life == Life::Unconfirmed)
              confirm("command");
          },
          [&](const NodesAsked& e) { on_asked(e); },
          [&](const VolumesChanged& e) {
            config.volume_sectors = e.volume_sectors;
            for (auto& [slot, link] : links)
              if (link.connected()) {
                link.resync.reset();
                link.attached = false;
                close(link, "the volumes of the group changed");
              }
          },
          [&](const TableChanged& e) {
            config.copyset = true; // a group that ran on its own has joined
            state.table = e.table;
            state.epoch = e.table.epoch;
            store();
            out.push_back(TellCopyset{copyset::TableStored{e.table.epoch}});
          },
          [&](const PromoteOrdered& e) { on_promote(e); },
          [&](const Tick&) {
            if (retry_ns != 0 && now.boot_ns >= retry_ns) {
              retry_ns = 0;
              if (life == Life::Loading)
                load_volumes();
              else if (life == Life::Starting || life == Life::Lost)
                start_stream();
            }
            tick_checkpoint();
            tick_sync();
          },
      },
      event);
  settle();
  tell_copyset();
}

void Source::Parts::settle() {
  if (life != Life::Running && life != Life::Lost)
    return;
  free_ring(); // what only waited for this event does not count as lag
  control_spill();
  free_ring();
  if (life == Life::Lost)
    drain_lost();
  for (auto& [slot, link] : links) {
    pump(link);
    if (link.resync)
      copy_some(link);
  }
}

Link* Source::Parts::find(LinkSlot slot) {
  const auto found = links.find(slot);
  return found == links.end() ? nullptr : &found->second;
}

void Source::Parts::note(int level, std::string text) { out.push_back(Note{level, std::move(text)}); }

void Source::Parts::store(JournalChange change) { out.push_back(StoreState{state, std::move(change)}); }

void Source::Parts::send(const Link& link, format::GroupMessage message) {
  if (link.connected())
    out.push_back(SendMessage{link.config.link, std::move(message)});
}

void Source::Parts::close(Link& link, std::string reason) {
  if (link.connected())
    out.push_back(CloseLink{link.config.link, std::move(reason)});
  link.talk = LinkTalk::Closed;
  link.hello.reset();
  link.challenge.reset();
  link.spill_asked = false;
}

void Source::Parts::refuse(Link& link, std::string reason, std::string next_action) {
  note(4, link.config.peer + " refused: " + reason);
  link.pair.move(PairState::Failed, reason, next_action);
  send(link, format::RefusedMessage{reason, std::move(next_action)});
  close(link, std::move(reason));
}

void Source::Parts::check_invariants() const {
  RC_ASSERT(ring.freed() <= ring.written() && ring.freed() <= ring.read());
  const Link* current = sync.phase == Sync::Phase::Current ? sync_link() : nullptr;
  for (const auto& [slot, link] : links) {
    if (!link.attached)
      continue;
    RC_ASSERT(link.durable <= link.sent && link.sent <= ring.read());
    const bool spilled = spill.kept && spill.stream == ring.stream() && spill.first <= link.durable + 1;
    RC_ASSERT(ring.freed() <= std::max(link.durable, spilled ? spill.durable : 0));
    if (current && &link != current && !mutated(Mutation::NoGate))
      RC_ASSERT(link.sent <= std::max(sync.acked, link.placed));
  }
  if (spill.kept)
    RC_ASSERT(spill.durable <= spill.appended && spill.first <= spill.appended + 1);
}

} // namespace rc::core
