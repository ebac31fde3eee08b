// SPDX-License-Identifier: GPL-2.0-or-later
// Dispatch of a Target's events; start after a power cut; the order in which what can go on goes on: an apply
// under way first (it must complete), then a takeover, then the end of an old stream, then the next release.
#include "base/overloaded.hpp"
#include "core/target_parts.hpp"

#include "base/assert.hpp"

#include <type_traits>

namespace rc::core {
using namespace target;

Target::Parts::Parts(TargetConfig config_in, format::GroupState state_in, RecoveredJournal journal)
    : config(std::move(config_in)), state(std::move(state_in)), index(std::move(journal.index)),
      space(journal.space), lease(config.lease_ns) {
  if (const JournalSegment* segment = index.last_segment()) {
    stream = segment->stream;
    received = durable = segment->last;
  }
  if (holds_term() && !open_term())
    shut_through = state.current_since;
}

Target::Target(TargetConfig config, format::GroupState state, RecoveredJournal journal)
    : parts_(std::make_unique<Parts>(std::move(config), std::move(state), std::move(journal))) {}
Target::~Target() = default;
Target::Target(Target&&) noexcept = default;
Target& Target::operator=(Target&&) noexcept = default;

Actions Target::step(const Event& event, Now now) {
  parts_->now = now;
  parts_->dispatch(event);
  return std::exchange(parts_->out, {});
}

TargetStatus Target::status(Now now) const {
  parts_->now = now;
  return parts_->status();
}
void Target::check_invariants() const { parts_->check_invariants(); }
const format::GroupState& Target::state() const { return parts_->state; }

void Target::Parts::dispatch(const Event& event) {
  if (became_primary)
    return;
  const auto on_message = Overloaded{
      [&](const format::ResumeMessage& m) { on_resume(m); },
      [&](const format::ResyncMessage& m) { on_resync(m); },
      [&](const format::AttachMessage& m) { on_attach(m); },
      [&](const format::ChallengeAnswerMessage& m) { on_answer(m); },
      [&](const format::CurrentMessage& m) { on_current(m); },
      [&](const format::NotCurrentMessage& m) { on_not_current(m); },
      [&](const format::GenerationMessage& m) {
        pair.move(PairState::Failed, "the source is stale: it holds " + to_string(m.lineage),
                  "make the old primary a secondary of the new one");
        note(4, "the source says that it is stale: " + to_string(m.lineage));
      },
      [&](const format::RefusedMessage& m) {
        if (m.suspended)
          pair.move(PairState::Suspended, m.reason, m.next_action);
        else
          pair.move(PairState::Failed, "refused by the source: " + m.reason, m.next_action);
        note(4, (m.suspended ? "suspended at the source: " : "refused by the source: ") + m.reason);
      },
      [&](const auto&) {
        refuse("a message that only a copy may send", "check the versions of both agents");
      },
  };
  std::visit(Overloaded{
                 [&](const Started&) { started(); },
                 [&](const LinkUp&) { link_up(); },
                 [&](const LinkDown& e) { link_down(e.reason); },
                 [&](const MessageArrived& e) {
                   if (link_usable())
                     std::visit(on_message, e.message);
                 },
                 [&](const RecordsArrived& e) { on_records(e); },
                 [&](const DamagedFrame& e) {
                   if (link_usable())
                     refuse("damaged frame: " + e.reason, "check the network path and the source's memory");
                 },
                 [&](const JournalDurable& e) { on_durable(e); },
                 [&](const JournalTrimmed& e) {
                   space = e.space;
                   if (talk == Talk::Receiving)
                     send_watermarks();
                 },
                 [&](const JournalFailed& e) {
                   journal_failed = true;
                   pair.move(PairState::Failed, "the journal failed: " + e.error,
                             "replace the journal's disk and restart the agent");
                   note(3, "journal failed: " + e.error);
                   if (link_usable()) {
                     send(format::RefusedMessage{"the copy's journal failed: " + e.error,
                                                 "replace the journal's disk at " + config.site});
                     out.push_back(CloseLink{"the journal failed"});
                     talk = Talk::Closed;
                   }
                 },
                 [&](const Applied& e) { on_applied(e); },
                 [&](const ApplyFailed& e) { on_apply_failed(e); },
                 [&](const OwnDirty& e) { on_own_dirty(e); },
                 [&](const TakeoverRequested& e) { on_takeover(e); },
                 [&](const VolumesChanged& e) {
                   config.volume_sectors = e.volume_sectors;
                   if (link_usable()) { // sizes are compared at every Hello
                     out.push_back(CloseLink{"the volumes of the group changed"});
                     talk = Talk::Closed;
                   }
                 },
                 [&](const ModeChanged& e) {
                   lease.set_lease(e.lease_ns);
                   if (e.lease_ns == 0 && (is_current() || (config.copyset && open_term())))
                     close_stream("the pair is no longer sync");
                 },
                 [&](const ReleaseOrdered& e) { on_release(e); },
                 [&](const ResetOrdered& e) { on_reset(e); },
                 [&](const DiscardGranted& e) { on_discard(e); },
                 [&](const CloseOrdered& e) { on_close(e); },
                 [&](const GiveUpOrdered& e) { on_give_up(e); },
                 [&](const LineageOrdered& e) { on_lineage(e); },
                 [&](const PromoteOrdered& e) { on_promote(e); },
                 [&](const SyncOrdered& e) { on_sync_order(e); },
                 [&](const TableChanged& e) { on_table(e); },
                 [&](const Tick&) {
                   if (applying && !applying->asked && now.boot_ns >= applying->retry_ns)
                     ask_apply(true);
                   tick_lease();
                   if (talk == Talk::Receiving && now.boot_ns - last_watermarks_ns > second)
                     send_watermarks();
                 },
             },
             event);
  advance();
  tell_copyset();
}

void Target::Parts::started() {
  if (state.role == format::Role::Primary)
    return;
  if (state.release) {
    note(5, "an update in progress is redone, through record " + std::to_string(state.release->last));
    applying = Applying{*state.release, false, true, 0};
    ask_apply(true);
  } else if (state.draft && state.draft->in_place) {
    redo_next = true;
    out.push_back(SetUpdateInProgress{true, state.draft->agreed});
  } else if (!config.copyset) {
    out.push_back(SetUpdateInProgress{false, Era{}}); // its clearing may have been interrupted
  }
}

void Target::Parts::advance() {
  if (applying || journal_failed || state.role == format::Role::Primary)
    return;
  if (config.copyset) {
    if (talk == Talk::Ending && may_discard)
      advance_ending();
    else if (!state.takeover && talk != Talk::Ending)
      apply_piece();
  } else if (state.takeover) {
    advance_takeover();
  } else if (talk == Talk::Ending) {
    advance_ending();
  } else if (!release_newest()) {
    apply_piece();
  }
}

void Target::Parts::note(int level, std::string text) { out.push_back(Note{level, std::move(text)}); }

void Target::Parts::store(JournalChange change) { out.push_back(StoreState{state, std::move(change)}); }

void Target::Parts::send(format::GroupMessage message) {
  if (link_usable())
    out.push_back(SendMessage{std::move(message)});
}

void Target::Parts::send_watermarks() {
  format::WatermarksMessage message;
  message.stream = stream;
  message.durable = durable;
  message.released = state.release ? state.release->checkpoint : state.position.applied;
  message.complete = state.position.applied;
  message.complete_time_ns = state.applied_time_ns;
  message.journal_used = space.used_bytes;
  message.journal_bytes = space.capacity_bytes;
  message.journal_slots_used = space.used_slots;
  message.journal_slots = space.capacity_slots;
  message.draft_complete = !state.draft;
  message.in_place = state.draft && state.draft->in_place;
  last_watermarks_ns = now.boot_ns;
  send(std::move(message));
}

void Target::Parts::refuse(std::string reason, std::string next_action) {
  note(4, "refused: " + reason);
  pair.move(PairState::Failed, reason, next_action);
  send(format::RefusedMessage{reason, std::move(next_action)});
  out.push_back(CloseLink{std::move(reason)});
  talk = Talk::Closed;
}

void Target::Parts::forget_journal() {
  index.clear();
  unflushed.clear();
  stream = {};
  received = durable = 0;
}

void Target::Parts::check_invariants() const {
  RC_ASSERT(durable <= received);
  if (const JournalSegment* segment = index.last_segment()) {
    RC_ASSERT(segment->stream == stream);
    RC_ASSERT(segment->last == received);
  } else {
    RC_ASSERT(stream.value == 0);
  }
  if (state.release) {
    RC_ASSERT(applying || state.role == format::Role::Primary);
    RC_ASSERT(state.release->stream == stream && state.release->last <= durable);
  }
  if (state.closed.value != 0 && state.closed == stream && talk != Talk::Receiving && !index.empty())
    RC_ASSERT(state.closed_at <= received || state.closed_at >= durable);
  RC_ASSERT(!(state.draft && is_current()));
}

} // namespace rc::core
