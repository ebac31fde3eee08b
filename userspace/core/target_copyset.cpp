// SPDX-License-Identifier: GPL-2.0-or-later
// A copy of a group that shares its checkpoints with others (docs/copyset.md): it releases nothing by itself,
// tells its Copyset what it could release, and does as all copies of the site were found able to. What it
// tells is stable: it follows the StoreState that made it so.
#include "core/mutation.hpp"
#include "core/target_parts.hpp"

#include <algorithm>

namespace rc::core {
using namespace target;

// Checkpoints before it are no image: the end of copying of a draft, or a seal.
Seq Target::Parts::releasable_after() const {
  if (state.release && state.release->seal)
    return state.release->last; // what the seal applies is trimmed
  if (!state.draft)
    return 0;
  const Seq end = index.end_of_copying(tag_of(config.link), durable);
  return end != 0 ? end : state.draft->copied ? 0 : ~Seq{0};
}

void Target::Parts::on_release(const ReleaseOrdered& event) {
  if (applying || journal_failed || state.role == format::Role::Primary || resync_agreed())
    return;
  const auto checkpoint = index.find(event.n, releasable_after(), durable);
  if (!checkpoint)
    return;
  // Through the marker: what lies between it and its verdict was captured during the hold and belongs to the
  // next one.
  const Seq last = mutated(Mutation::VerdictInImage) ? checkpoint->held : checkpoint->marker;
  start_release({checkpoint->stream, last, checkpoint->era, false, checkpoint->time_ns});
}

// What it holds beyond its image was given up, or the source is being told where this copy stands: that must
// not change.
bool Target::Parts::resync_agreed() const {
  const bool gives_up = talk == Talk::Ending && may_discard && !mutated(Mutation::DiscardBeforeAsking);
  return gives_up || talk == Talk::Reckoning || talk == Talk::Ready;
}

void Target::Parts::on_reset(const ResetOrdered& event) {
  if (!applying && state.position.applied == event.n && !(state.draft && state.draft->in_place))
    out.push_back(SetUpdateInProgress{false, event.n});
}

void Target::Parts::on_discard(const DiscardGranted& event) {
  if (talk == Talk::Ending && !applying && copy_facts().complete == event.n)
    may_discard = true;
}

void Target::Parts::on_close(const CloseOrdered& event) {
  if (state.role == format::Role::Primary || (state.takeover && *state.takeover == event.entry))
    return;
  if (!has_image() || journal_failed) {
    note(4, "a takeover of the site waits: this copy holds no restartable image, or its journal failed");
    return;
  }
  state.takeover = event.entry;
  confirmed = false;
  ready = {};
  shut_through = std::max(shut_through, state.current_since);
  if (stream.value != 0 && state.closed != stream) {
    state.closed = stream;
    state.closed_at = received;
  }
  store();
  note(5, "takeover of the site: the stream is closed at record " + std::to_string(state.closed_at));
  // Without a word: a source may go on alone when ALL copies have closed, or when their leases are over.
  if (link_usable())
    out.push_back(CloseLink{"takeover at this site"});
  talk = Talk::Closed;
}

// The stream stays closed: what follows comes in a new one.
void Target::Parts::on_give_up(const GiveUpOrdered& event) {
  if (!state.takeover || state.takeover->id != event.id || state.role == format::Role::Primary)
    return;
  state.takeover.reset();
  store();
  note(4, "the takeover of the site is given up: this copy goes on as one");
  out.push_back(CloseLink{"greets anew"}); // the link may have come up meanwhile
}

void Target::Parts::on_lineage(const LineageOrdered& event) {
  if (!state.takeover || state.takeover->id != event.entry.id || state.role == format::Role::Primary ||
      applying || state.position.applied != event.entry.base)
    return;
  // All copies are complete. Before the role changes: a primary's agent, should this one die, resets no flag.
  out.push_back(SetUpdateInProgress{false, event.entry.base});
  become_primary(event.entry);
  state.takeover = event.entry; // until all have stored it
  state.confirmed = false;
  JournalChange change;
  change.empty = true;
  store(change);
  forget_journal();
  note(5, "takeover of the site: generation " + std::to_string(event.entry.generation) + ", base " +
              rc::to_string(event.entry.base) + "; waits until all copies have stored it");
  if (mutated(Mutation::WriteBeforeLineage))
    on_promote({event.entry.id});
}

void Target::Parts::on_promote(const PromoteOrdered& event) {
  if (state.role != format::Role::Primary || !state.takeover || state.takeover->id != event.id)
    return;
  const std::uint64_t generation = state.takeover->generation;
  state.takeover.reset();
  state.confirmed = true;
  store();
  became_primary = true;
  note(5, "takeover of the site complete");
  out.push_back(BecomePrimary{generation});
}

void Target::Parts::on_table(const TableChanged& event) {
  if (!config.copyset) {
    if (open_term())
      close_stream("the group joins a copyset"); // it becomes current again with all copies of the site
    lease.expire();                              // only its own source has answered for it
  }
  config.copyset = true; // a copy that released by itself has joined
  state.table = event.table;
  state.epoch = event.table.epoch;
  store();
  out.push_back(TellCopyset{copyset::TableStored{event.table.epoch}});
}

copyset::CopyFacts Target::Parts::copy_facts() const {
  copyset::CopyFacts facts;
  facts.awaiting = state.role == format::Role::Primary;
  facts.image = has_image();
  if (!facts.awaiting) {
    facts.sync = sync_report();
    facts.rounds_of = rounds.term();
  }
  facts.complete = facts.awaiting ? state.position.lineage.back().base : state.position.applied;
  facts.released = state.release ? state.release->checkpoint : facts.complete;
  facts.ending = talk == Talk::Ending;
  facts.takeover = state.takeover;
  facts.closed = state.takeover && durable == received;
  facts.newest_generation =
      std::max(newest_generation(state.position.lineage), newest_generation(state.source_lineage));
  if (!state.position.lineage.empty())
    facts.entry = state.position.lineage.back();
  if (facts.awaiting || resync_agreed())
    return facts;
  facts.held = releasable_ranges();
  return facts;
}

// Walks the marks only when a checkpoint came or went.
const std::vector<format::HeldRange>& Target::Parts::releasable_ranges() const {
  const Seq after = releasable_after();
  const auto newest = index.last_valid(after, durable);
  const Seq oldest = index.marks().empty() ? 0 : index.marks().front().seq;
  if (!newest) {
    releasable = {};
    return releasable.held;
  }
  if (releasable.stream == newest->stream && releasable.after == after && releasable.newest == newest->held &&
      releasable.oldest == oldest)
    return releasable.held;
  releasable = {newest->stream, after, newest->held, oldest, {}};
  for (const auto& checkpoint : index.valid(after, durable)) {
    auto& held = releasable.held;
    if (!held.empty() && held.back().last.value + 1 == checkpoint.era.value &&
        held.back().epoch == checkpoint.epoch)
      held.back().last = checkpoint.era;
    else
      held.push_back({checkpoint.era, checkpoint.era, checkpoint.epoch});
  }
  return releasable.held;
}

void Target::Parts::tell_copyset() {
  if (!config.copyset || became_primary)
    return;
  copyset::CopyFacts facts = copy_facts();
  if (told == facts)
    return;
  told = facts;
  out.push_back(TellCopyset{std::move(facts)});
}

} // namespace rc::core
