// SPDX-License-Identifier: GPL-2.0-or-later
// A copy of a sync site of several (docs/copyset.md, "Sync"): its part in lease rounds, and in a term - the
// time during which the site is current. A term begins when all copies have stored it and ends for all of
// them; what was journaled up to the close counts for the seal until every image is beyond it. Invariants: no
// term is stored without a standing lease and a source that waits; none that was shut is stored again; the
// source hears that it may go on alone only when all copies have closed.
#include "core/mutation.hpp"
#include "core/target_parts.hpp"

#include <algorithm>

namespace rc::core {
using namespace target;

bool Target::Parts::holds_term() const { return state.current.value != 0 && state.current == stream; }
bool Target::Parts::open_term() const { return holds_term() && state.closed != stream; }

void Target::Parts::forget_session() {
  ready = {};
  told_shut = false;
  rounds.new_session();
}

void Target::Parts::on_sync_order(const SyncOrdered& event) {
  if (state.role == format::Role::Primary || journal_failed)
    return;
  const format::SyncOrder& order = event.order;
  follow_rounds(event);
  if (order.current.value != 0)
    begin_term(order.current);
  if (order.confirmed.value != 0 && open_term() && state.current_since == order.confirmed && !confirmed) {
    confirmed = true;
    note(5, "the site is current: a takeover loses nothing from checkpoint " +
                rc::to_string(order.confirmed) + " on");
    send(format::CurrentStoredMessage{stream});
  }
  if (order.shut.value != 0)
    shut(order.shut);
  if (order.all_shut.value != 0)
    tell_shut(order.all_shut);
  const bool settled = holds_term() && !open_term() && !applying && durable == received;
  if (order.seal.value != 0 && settled && order.seal == state.current_since)
    seal();
  if (order.reopen.value != 0)
    forget_term(order.reopen);
}

void Target::Parts::follow_rounds(const SyncOrdered& event) {
  const format::SyncOrder& order = event.order;
  rounds.follow(event.term);
  if (order.lease_ns == 0 || !lease.wanted())
    return;
  if (order.lease_ns <= lease.lease_ns())
    rounds.stamp(order.stamp, now, order.lease_ns);
  const bool in_session = talk == Talk::Greeted || talk == Talk::Receiving;
  if (in_session && stream.value != 0)
    if (const auto number = rounds.challenge(order.challenge))
      send(format::ChallengeMessage{stream, *number, rounds.find(order.challenge)->lease_ns});
  const bool own_source = mutated(Mutation::LeaseOfOwnSource);
  const LeaseRounds::Stamp* stamp = rounds.find(own_source ? rounds.answered() : order.renew);
  if (!stamp)
    return;
  // A lease that ended is not renewed: somebody may have gone on alone since.
  if (open_term() && !lease.standing(now))
    close_stream("the lease ended: not all sources answered in time");
  else if (state.closed != stream || !holds_term())
    lease.extend(mutated(Mutation::LeaseFromReceipt) ? now : stamp->at, stamp->lease_ns);
}

void Target::Parts::begin_term(Era since) {
  const bool waits = (ready.value != 0 && ready <= since) || mutated(Mutation::StaggeredSync);
  if (holds_term() || since <= shut_through || !waits || talk != Talk::Receiving || state.draft ||
      state.takeover || state.position.applied.is_open() || state.position.applied < since ||
      !lease.standing(now))
    return;
  state.current = stream;
  state.current_since = since;
  state.closed = {};
  state.closed_at = 0;
  state.sealed_since = {};
  store();
}

void Target::Parts::shut(Era through) {
  if (open_term() && state.current_since <= through)
    close_stream("the site is no longer current: a copy, its link, or its source failed");
  if (ready <= through)
    ready = {};
  shut_through = std::max(shut_through, through);
}

void Target::Parts::tell_shut(Era through) {
  if (told_shut || !holds_term() || open_term() || state.current_since > through || !link_usable() ||
      talk == Talk::Waiting)
    return;
  told_shut = true;
  send(format::NotCurrentMessage{stream, state.closed_at, "all copies of the site have closed", through});
}

void Target::Parts::forget_term(Era through) {
  const bool over = holds_term() && !open_term() && state.current_since <= through;
  const bool sealed = state.sealed_since.value != 0 && state.sealed_since <= through;
  if ((!over && !sealed) || applying || state.takeover)
    return;
  if (over) {
    state.current = {};
    state.current_since = {};
    state.closed = {};
    state.closed_at = 0;
  }
  state.sealed_since = {};
  shut_through = std::max(shut_through, through);
  store();
}

format::SyncReport Target::Parts::sync_report() const {
  format::SyncReport report;
  report.lease_ns = has_image() && !state.draft ? lease.lease_ns() : 0; // else nobody is to wait for it
  report.stamped = rounds.stamped();
  report.answered = rounds.answered();
  report.ready = ready;
  report.shut = shut_through;
  if (holds_term()) {
    report.since = state.current_since;
    const JournalSegment* segment = index.last_segment();
    report.passed = !open_term() && (!segment || segment->first > std::min(state.closed_at, received));
  } else if (state.sealed_since.value != 0) {
    report.since = state.sealed_since;
    report.passed = true;
    report.shut = std::max(report.shut, state.sealed_since);
  }
  return report;
}

} // namespace rc::core
