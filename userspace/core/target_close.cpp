// SPDX-License-Identifier: GPL-2.0-or-later
// The current copy: its lease, the durable close of its stream, and its seal (all it has journaled beyond the
// last checkpoint, up to the close). Invariant: what counts for the seal was received before the close, and
// the close is stored before anybody is told; so a source that goes on alone after it goes on with nothing
// that the seal lacks.
#include "core/mutation.hpp"
#include "core/target_parts.hpp"

#include <algorithm>

namespace rc::core {
using namespace target;

bool Target::Parts::is_current() const {
  if (state.current.value == 0 || state.current != stream || (config.copyset && !confirmed))
    return false;
  if (mutated(Mutation::CurrentAfterLeaseEnd))
    return true;
  return state.closed != stream && lease.standing(now);
}

std::optional<Seq> Target::Parts::seal_through() const {
  const JournalSegment* segment = index.last_segment();
  if (!segment || state.current.value == 0 || state.current != stream || state.draft)
    return std::nullopt;
  Seq through = durable;
  if (state.closed == stream && !mutated(Mutation::TakeoverBeyondClosed))
    through = std::min(through, state.closed_at);
  if (through < segment->first)
    return std::nullopt; // all of it is in the image
  return through;
}

bool Target::Parts::seal() {
  const bool dropped = mutated(Mutation::SealOmittedOnNewStream) && !state.takeover;
  const auto through = seal_through();
  if (!through || dropped)
    return false;
  const JournalSegment& segment = *index.last_segment();
  format::Release release;
  release.stream = stream;
  release.last = *through;
  // The last WHOLE checkpoint: of the era in which the seal ends only a part may be here.
  release.checkpoint = mutated(Mutation::BaseRoundedUp) ? std::max(segment.last_era, state.position.applied)
                                                        : state.position.applied;
  release.seal = true;
  release.time_ns = *through == segment.last ? segment.last_time_ns : state.applied_time_ns;
  note(5, "the seal is applied: through record " + std::to_string(*through) + ", checkpoint " +
              rc::to_string(release.checkpoint));
  start_release(release);
  return true;
}

void Target::Parts::close_stream(const std::string& reason) {
  if (stream.value == 0 || state.closed == stream)
    return;
  state.closed = stream;
  state.closed_at = received;
  store();
  lease.expire();
  confirmed = false;
  ready = {};
  shut_through = std::max(shut_through, state.current_since);
  note(4, "stream closed at record " + std::to_string(received) + ": " + reason);
  pair.move(PairState::Suspended, "no longer current: " + reason,
            "it becomes current again by itself after the link is back");
  // Of several copies each tells its source when all have closed. Acknowledgements end here with the link;
  // one whose stream has ended sends none.
  if (config.copyset && talk != Talk::Receiving && talk != Talk::Greeted)
    return;
  if (link_usable()) {
    if (!config.copyset || mutated(Mutation::AloneAfterOwnClose))
      send(format::NotCurrentMessage{stream, received, reason});
    out.push_back(CloseLink{reason});
    talk = Talk::Closed;
  }
}

void Target::Parts::send_challenge() {
  send(format::ChallengeMessage{stream, lease.challenge(now), lease.lease_ns()});
}

void Target::Parts::on_answer(const format::ChallengeAnswerMessage& message) {
  if (config.copyset) {
    if (message.stream == stream)
      rounds.answered(message.number);
    return;
  }
  if (message.stream == stream && state.closed != stream)
    lease.answered(message.number, now);
  else if (message.stream == stream && talk == Talk::Receiving)
    lease.answered(message.number, now); // reopened: the lease of the next time it becomes current
}

void Target::Parts::tick_lease() {
  const bool holds = state.current.value != 0 && state.current == stream && state.closed != stream;
  // After a restart the lease is unknown: nothing is accepted until it is renewed, but nothing is closed by
  // the clock alone before a whole lease could have been renewed.
  if (holds && !lease.standing(now) && !mutated(Mutation::CurrentAfterLeaseEnd)) {
    close_stream("the lease ended: the source did not answer in time");
    return;
  }
  if (!config.copyset && talk == Talk::Receiving && lease.due(now))
    send_challenge();
}

void Target::Parts::on_current(const format::CurrentMessage& message) {
  const bool reached = !state.position.applied.is_open() && state.position.applied >= message.since;
  if (config.copyset) {
    const bool could = talk == Talk::Receiving && message.stream == stream && !holds_term();
    if (could && message.since <= shut_through) // used up: its source has to begin anew, after a later one
      send(format::NotCurrentMessage{stream, received, "that term is over", shut_through});
    else if (could && reached && !state.draft)
      ready = message.since;
    else if (message.stream == stream && open_term() && confirmed)
      send(format::CurrentStoredMessage{stream});
    return;
  }
  if (talk != Talk::Receiving || message.stream != stream || !lease.wanted() || state.draft || !reached ||
      !lease.standing(now) || state.closed == stream) {
    send(format::NotCurrentMessage{stream, received, "not yet: the lease or the checkpoint is missing"});
    return;
  }
  if (state.current != stream) {
    state.current = stream;
    state.current_since = message.since;
    store();
    note(5, "current: a takeover here loses nothing from checkpoint " + rc::to_string(message.since) + " on");
  }
  send(format::CurrentStoredMessage{stream});
}

// The source went on alone, or wants to: what is here counts, what comes later does not.
void Target::Parts::on_not_current(const format::NotCurrentMessage& message) {
  if (message.stream != stream)
    return;
  if (config.copyset) {
    if (open_term())
      close_stream(message.reason);
    else if (!holds_term() && link_usable()) {
      ready = {}; // of a term that doesn't begin here: the site is not current
      send(format::NotCurrentMessage{stream, received, message.reason});
    }
    return;
  }
  if (state.current == stream && state.closed != stream) {
    state.closed = stream;
    state.closed_at = received;
    store();
    note(4, "no longer current, closed at record " + std::to_string(received) + ": " + message.reason);
  }
  lease.expire();
  if (talk == Talk::Receiving && pair.state() == PairState::Duplex)
    pair.move(PairState::Duplex, "no longer current: " + message.reason,
              "it becomes current again by itself");
  send(
      format::NotCurrentMessage{stream, state.closed == stream ? state.closed_at : received, message.reason});
}

} // namespace rc::core
