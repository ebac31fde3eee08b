// SPDX-License-Identifier: GPL-2.0-or-later
// What a copy's greeting leads to: stale, refused, resume, or resync. Each talk begins with the copy's Hello;
// when anything about it changes (suspend, new stream, sizes), the talk is closed and begins anew. Invariant:
// resume only when the copy holds a contiguous prefix of the RUNNING stream and the gap is in ring or spill;
// anything else is a resync.
#include "base/overloaded.hpp"
#include "core/mutation.hpp"
#include "core/source_parts.hpp"

#include <algorithm>

#include <type_traits>

namespace rc::core {
using namespace source;

void Source::Parts::on_message(const MessageArrived& event) {
  Link* link = find(event.link);
  if (!link || !link->connected())
    return;
  std::visit(Overloaded{
                 [&](const format::HelloMessage& m) { on_hello(*link, m); },
                 [&](const format::ResyncReadyMessage& m) { on_ready(*link, m); },
                 [&](const format::WatermarksMessage& m) { on_watermarks(*link, m); },
                 [&](const format::ChallengeMessage& m) { on_challenge(*link, m); },
                 [&](const format::CurrentStoredMessage&) { on_current_stored(*link); },
                 [&](const format::NotCurrentMessage& m) { on_not_current(*link, m); },
                 [&](const format::GenerationMessage& m) {
                   const FeedCheck check = may_feed(own_position(), {m.lineage, Era::open()});
                   if (!check.allowed && check.source_is_stale)
                     became_stale(*link, check);
                 },
                 [&](const format::RefusedMessage& m) {
                   link->pair.move(PairState::Failed, "refused by the copy: " + m.reason, m.next_action);
                   note(4, link->config.peer + " refuses: " + m.reason);
                   link->attached = link->attached && link->hello.has_value();
                   close(*link, "refused by the copy");
                 },
                 [&](const auto&) {
                   refuse(*link, "a message that only a source may send",
                          "check the versions of both agents");
                 },
             },
             event.message);
}

// Somebody holds a copy and knows no newer generation. Where there is a sync site, it is the one that most
// likely took over: the word of another site does not do without its word.
bool Source::Parts::vouched_for() const {
  if (const Link* nearest = sync_link(); nearest && !nearest->hello)
    return false;
  return std::any_of(links.begin(), links.end(), [](const auto& entry) {
    return entry.second.hello && !entry.second.hello->position.lineage.empty();
  });
}

void Source::Parts::on_hello(Link& link, const format::HelloMessage& hello) {
  if (link.talk != LinkTalk::Up)
    return refuse(link, "greeted twice", "check the versions of both agents");
  link.hello = hello;
  const FeedCheck check = may_feed(own_position(), hello.position);
  if (!check.allowed) {
    if (check.source_is_stale)
      became_stale(link, check);
    else
      refuse(link, check.why, check.next_action);
    return;
  }
  // Of several copies another one may still take itself for current: the lease is waited for.
  if (link.config.mode == LinkMode::Sync && !config.copyset && (!hello.current || hello.closed))
    copy_is_not_current();
  if (life == Life::Unconfirmed && !state.takeover && vouched_for())
    confirm("the copies that answer know no newer generation");
  if (!all_found_is_read())
    return; // answered then
  if (life == Life::Running)
    answer_hello(link);
  else if (life == Life::Lost)
    let_fetch(link);
}

// The stream has ended, but its rest is still here: a copy that can goes on with it until the next one
// begins.
void Source::Parts::let_fetch(Link& link) {
  if (link.hold || link.hello->epoch > state.epoch || !size_problem(*link.hello).empty() ||
      !resumable(link, *link.hello))
    return;
  link.journal_bytes = link.journal_slots = 0;
  resume(link, *link.hello);
  if (&link == sync_link() && sync.ending)
    send(link, format::NotCurrentMessage{ring.stream(), 0, "the stream ended by overflow"});
}

std::string Source::Parts::size_problem(const format::HelloMessage& hello) const {
  for (std::size_t volume = 0; volume < config.volume_sectors.size(); ++volume) {
    const std::uint64_t own = config.volume_sectors[volume];
    const std::uint64_t there = volume < hello.volume_sectors.size() ? hello.volume_sectors[volume] : 0;
    if (own != 0 && there == 0)
      return "volume " + std::to_string(volume) + " has no device at the copy";
    if (there < own)
      return "volume " + std::to_string(volume) + " has " + std::to_string(own) + " sectors here and " +
             std::to_string(there) + " at the copy";
  }
  return {};
}

void Source::Parts::answer_hello(Link& link) {
  const format::HelloMessage& hello = *link.hello;
  if (hello.epoch > state.epoch)
    return refuse(link, "the copy knows a newer epoch", "ask the registrar who is a member");
  if (link.hold && link.leaving && config.copyset)
    return;        // the word that all copies of its site have closed is awaited
  if (link.hold) { // no failure: it stays suspended
    link.pair.move(PairState::Suspended, link.hold_reason, resume_command(link));
    send(link, format::RefusedMessage{link.hold_reason, resume_command(link), true});
    return close(link, link.hold_reason);
  }
  if (const std::string problem = size_problem(hello); !problem.empty())
    return refuse(link, problem,
                  "give the copy a device that is as large, or remove the volume from the group");
  link.journal_bytes = link.journal_slots = 0;
  const bool resumes = !std::exchange(link.start_over, false) && resumable(link, hello);
  if (link.config.mode == LinkMode::Sync)
    sync_greeted(link, hello, resumes);
  if (resumes)
    resume(link, hello);
  else
    ask_resync(link, hello);
}

bool Source::Parts::resumable(const Link& link, const format::HelloMessage& hello) const {
  const bool taken_as_contiguous =
      mutated(Mutation::NewStreamContiguous) || (mutated(Mutation::LossDropped) && overflows != 0);
  if (taken_as_contiguous && hello.stream.value != 0 && hello.stream != ring.stream() &&
      life == Life::Running)
    return !hello.draft;
  if (hello.stream.value == 0 || hello.stream != ring.stream() || hello.durable > ring.read())
    return false;
  if (hello.draft) { // it goes on only with the resync that feeds it; else nobody remembers what it still
                     // lacks
    if (!link.resync || !link.attached || hello.draft->from != link.resync->from)
      return false;
  } else if (hello.position.lineage.empty() || (link.resync && link.resync->end_seq == 0)) {
    return false; // no image and no draft: it lost both
  }
  const Seq next = hello.durable + 1;
  return next > ring.freed() || spill_holds(next);
}

void Source::Parts::resume(Link& link, const format::HelloMessage& hello) {
  const bool another = hello.stream != ring.stream(); // only ever in a mutation
  place(link, another ? ring.freed() : hello.durable);
  link.talk = LinkTalk::Streaming;
  link.complete = hello.position.applied;
  if (link.resync) {
    while (!link.resync->copied.empty() && link.resync->copied.front().seq <= link.durable) {
      link.resync->done_bytes += link.resync->copied.front().bytes;
      link.resync->copied.pop_front();
    }
    link.pair.move(hello.position.lineage.empty() ? PairState::InitialCopy : PairState::Pending,
                   "the copying goes on", "wait for its end");
  } else {
    link.catch_up = ring.read();
    if (life == Life::Lost)
      link.pair.move(PairState::Pending, fetches_lost, resync_follows);
    else if (link.pair.state() != PairState::Duplex || link.durable < ring.read())
      link.pair.move(PairState::Pending, "catching up after an interruption",
                     "wait; it becomes duplex by itself");
    else
      link.pair.move(PairState::Duplex, "every write goes there in order", "none");
    if (const auto newest = history.newest(link.durable))
      link.image = newest;
  }
  send(link, format::ResumeMessage{state.epoch, ring.stream(), link.durable + 1});
}

void Source::Parts::ask_resync(Link& link, const format::HelloMessage& hello) {
  link.attached = false;
  if (link.resync) {
    copies_outstanding -= std::min(copies_outstanding, link.resync->outstanding);
    link.resync.reset();
  }
  link.talk = LinkTalk::Ending;
  if (hello.position.lineage.empty())
    link.pair.move(PairState::InitialCopy, "the copy is blank: everything is copied", "wait for its end");
  else
    link.pair.move(PairState::Pending, "the copy ends its old stream before a resync", "wait for its end");
  send(link, format::ResyncMessage{state.epoch, state.position.lineage});
}

} // namespace rc::core
