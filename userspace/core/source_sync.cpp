// SPDX-License-Identifier: GPL-2.0-or-later
// Sync (docs/design.md section 5): (1) all writes wait for the site, and other links only get what it
// acknowledged - one switch; (2) a checkpoint; (3) once the site has completed it, it is current. Each
// answered challenge moves the kernel's deadline; a source whose acknowledgements stall stops answering and
// waits for that deadline. It goes on alone only after the deadline, or after the site said that it has
// durably closed. One sync link per group.
#include "core/mutation.hpp"
#include "core/source_parts.hpp"

#include <algorithm>
#include <utility>

namespace rc::core {
using namespace source;
using Phase = Sync::Phase;

namespace {
constexpr std::uint64_t retry_current_ns = 250 * ms;
constexpr std::uint64_t slack_ns = 200 * ms; // ticks, the kernel's timer

std::uint64_t stall_limit(const LinkConfig& link) {
  const std::uint64_t longest = std::max<std::uint64_t>(link.ack_timeout_ms, 1000) * ms;
  const std::uint64_t lease = lease_for(link.ack_timeout_ms);
  return longest - lease - margin_for(lease) - std::min(slack_ns, longest / 10);
}
bool waits(Phase phase) {
  return phase == Phase::Resuming || phase == Phase::Waiting || phase == Phase::Current;
}
} // namespace

const Link* Source::Parts::sync_link() const {
  for (const auto& [slot, link] : links)
    if (link.config.mode == LinkMode::Sync)
      return &link;
  return nullptr;
}
Link* Source::Parts::sync_link() { return const_cast<Link*>(std::as_const(*this).sync_link()); }

bool Source::Parts::gated(const Link& link) const {
  // Stopped: the copy has closed or its lease is over, it is not current; waiting for it would only hold up
  // the others, and with them the ring.
  if (mutated(Mutation::NoGate) || !waits(sync.phase))
    return false;
  return sync_link() != nullptr && sync_link() != &link;
}

bool Source::Parts::writes_fail() const {
  return sync.fence_told.value_or(config.fence) == Fence::Stop && now.boot_ns >= sync.deadline_ns;
}

void Source::Parts::tick_sync() {
  Link* link = sync_link();
  if (!link || life != Life::Running)
    return;
  if ((sync.phase == Phase::Off || sync.phase == Phase::Alone || sync.phase == Phase::Stopped) &&
      link->streaming() && !link->resync && !link->hold && !link->leaving &&
      link->pair.state() == PairState::Duplex && now.boot_ns >= sync.earliest_ns && site_answers(*link) &&
      ring.knows(link->durable) && ring.bytes(link->durable, ring.read(), false) <= link->config.window_bytes)
    begin_waiting(*link);
  // Of several copies none that was reached may have heard that all have closed: no lease outlives the
  // deadline.
  if (config.copyset && sync.ending && waits(sync.phase) && writes_fail())
    go_alone("the deadline passed", config.fence == Fence::Go, true);
  if (!waits(sync.phase) || sync.ending)
    return;
  // The kernel does not report that it lets writes fail; no copy has a lease any more: from the first step
  // again, or, with the fence changed since, alone.
  const bool fails = writes_fail();
  if (fails && sync.phase == Phase::Waiting) {
    go_alone("the deadline passed before the copy was current", config.fence == Fence::Go, config.copyset);
    return;
  }
  if (fails && sync.phase == Phase::Current && config.fence == Fence::Go) {
    go_alone("the deadline passed, and fence=go was set", true, true);
    return;
  }
  if (ring.read() > sync.acked && (sync.samples.empty() || sync.samples.back().seq < ring.read()) &&
      sync.samples.size() < 512)
    sync.samples.push_back({ring.read(), now.boot_ns});
  const bool stall = acks_stall();
  if (stall && !sync.withholding)
    note(4, link->config.peer + ": acknowledgements stall, challenges are no longer answered");
  sync.withholding = stall;
  tell_fence();
  if (sync.phase == Phase::Waiting)
    pass_acks(*link); // sends Current again when the copy was not ready for it
}

// Of several copies: they challenge only when all of them can, else waiting would protect nothing.
bool Source::Parts::site_answers(const Link& link) const {
  return !config.copyset || (sync.challenged_ns != 0 &&
                             now.boot_ns - sync.challenged_ns < lease_for(link.config.ack_timeout_ms));
}

void Source::Parts::begin_waiting(Link& link) {
  sync.phase = Phase::Waiting;
  sync.switched = false;
  sync.since_seq = 0;
  sync.fence_told = config.fence;
  sync.telling_fence = false;
  sync.checkpoint = {};
  sync.current_sent = false;
  sync.ending = false;
  sync.acked = std::max(sync.acked, link.durable);
  // Writes that wait since before a restart, or since the copy closed, don't get longer by it.
  if (now.boot_ns >= sync.deadline_ns) {
    const std::uint64_t lease = lease_for(link.config.ack_timeout_ms);
    sync.deadline_ns = now.boot_ns + lease + margin_for(lease);
    sync.samples.clear();
  }
  out.push_back(SetSync{true, config.fence, sync.deadline_ns});
  out.push_back(AckRing{sync.acked, 0});
}

// Writes that are stopped go on with fence=go: the copy has closed, or its lease is over. After a restart
// without a greeting that isn't known yet: the kernel, which may wait or let writes fail, gets a deadline
// that no lease outlives. A primary that is alone stays so: fence=stop takes hold when the copy is current
// again, and does not make writes fail now.
void Source::Parts::set_fence(Fence fence) {
  config.fence = fence;
  if (fence == Fence::Stop)
    return;
  if (sync.phase == Phase::Stopped)
    go_alone("fence=go was set", true, true);
  Link* link = sync_link();
  if (sync.phase != Phase::Resuming || !link)
    return;
  if (now.boot_ns >= sync.deadline_ns) {
    const std::uint64_t lease = lease_for(link->config.ack_timeout_ms);
    sync.deadline_ns = now.boot_ns + lease + margin_for(lease);
  }
  sync.fence_told = fence;
  sync.telling_fence = true;
  out.push_back(SetSync{true, fence, sync.deadline_ns});
}

// To a kernel that waits, also after a restart: the fence may have been changed in between. Not from the
// deadline on: the kernel may be alone already, and would forget it.
void Source::Parts::tell_fence() {
  if (sync.phase == Phase::Resuming || sync.telling_fence || sync.fence_told == config.fence ||
      now.boot_ns >= sync.deadline_ns)
    return;
  sync.fence_told = config.fence;
  sync.telling_fence = true;
  out.push_back(SetSync{true, config.fence, sync.deadline_ns});
}

void Source::Parts::on_switched(const SyncSwitched& event) {
  const bool same = sync.switched ? event.since_seq == sync.since_seq : event.since_seq < sync.older_than;
  const bool told = std::exchange(sync.telling_fence, false);
  if (!event.wait || !waits(sync.phase) || (told && same))
    return;
  if (sync.phase == Phase::Resuming) { // writes failed, or went on alone: the three steps begin anew
    sync.phase = Phase::Off;
    sync.earliest_ns = 0;
    return;
  }
  if (sync.phase == Phase::Current) { // the kernel was alone before it heard
    note(4, "writes went on alone while the fence was changed: the copy becomes current anew");
    sync.phase = Phase::Waiting;
    sync.current_sent = false;
  }
  sync.checkpoint = {};
  sync.switched = true;
  sync.since_seq = event.since_seq;
  want_checkpoint();
}

// Called whenever something of the sync link advanced.
void Source::Parts::pass_acks(Link& link) {
  if (&link != sync_link() || (sync.phase != Phase::Waiting && sync.phase != Phase::Current) ||
      (config.copyset && sync.ending))
    return;
  if (link.durable > sync.acked) {
    sync.acked = link.durable;
    while (!sync.samples.empty() && sync.samples.front().seq <= sync.acked)
      sync.samples.pop_front();
    out.push_back(AckRing{sync.acked, 0});
  }
  if (sync.phase != Phase::Waiting || sync.ending || link.leaving || sync.checkpoint.value == 0 ||
      link.complete < sync.checkpoint)
    return;
  if (sync.current_sent && now.boot_ns - sync.current_sent_ns < retry_current_ns)
    return;
  // Stored before the copy can become current, and not with its answer: a start of this machine in between
  // has to wait for its lease.
  if (state.alone) {
    state.alone = false;
    state.alone_since = {};
    store();
  }
  sync.current_sent = true;
  sync.current_sent_ns = now.boot_ns;
  send(link, format::CurrentMessage{ring.stream(), sync.checkpoint});
}

void Source::Parts::on_current_stored(Link& link) {
  if (&link != sync_link() || sync.phase != Phase::Waiting || !sync.current_sent || sync.ending ||
      link.leaving)
    return; // what is leaving was told to close, and its answer comes
  sync.phase = Phase::Current;
  note(5, link.config.peer + " is current: a takeover there loses nothing");
  link.pair.move(PairState::Duplex, "every write waits for this copy, which is current", "none");
}

bool Source::Parts::acks_stall() const {
  const Link* link = sync_link();
  return link && !sync.samples.empty() &&
         now.boot_ns - sync.samples.front().at_ns >= stall_limit(link->config);
}

void Source::Parts::on_challenge(Link& link, const format::ChallengeMessage& message) {
  if (&link != sync_link() || message.stream != ring.stream())
    return;
  sync.challenged_ns = now.boot_ns;
  if (sync.phase == Phase::Resuming || link.talk == LinkTalk::Up) {
    link.challenge = message; // the greeting decides
    return;
  }
  if (sync.telling_fence)
    return; // whether the kernel was alone is not known yet; the next one is soon
  if (sync.phase == Phase::Waiting || sync.phase == Phase::Current)
    answer_challenge(link, message);
}

void Source::Parts::answer_challenge(Link& link, const format::ChallengeMessage& message) {
  if (link.leaving || sync.ending || (acks_stall() && !mutated(Mutation::KeepAnsweringWithoutAcks)))
    return;
  const std::uint64_t most = std::max<std::uint64_t>(link.config.ack_timeout_ms, 1000) * ms;
  if (message.lease_ns == 0 || message.lease_ns + margin_for(message.lease_ns) > most) {
    note(4, link.config.peer + ": its lease is longer than the configured wait; not answered");
    return;
  }
  // The kernel may be alone already, without its word having come: an answer now would let the copy call
  // itself current without the writes that completed since.
  if (sync.deadline_ns != 0 && now.boot_ns >= sync.deadline_ns)
    return;
  sync.deadline_ns =
      std::max(sync.deadline_ns, now.boot_ns + message.lease_ns + margin_for(message.lease_ns));
  out.push_back(
      AckRing{sync.acked, sync.deadline_ns}); // the kernel knows the deadline before the copy knows its lease
  send(link, format::ChallengeAnswerMessage{message.stream, message.number});
}

// The copy greets. Current and open: nothing happened to its lease, sync goes on. Else it has closed, or
// never was.
void Source::Parts::sync_greeted(Link& link, const format::HelloMessage& hello, bool resumes) {
  if (config.copyset) {
    site_greeted(link, hello, resumes);
    return;
  }
  const bool may_be_current = hello.current && !hello.closed;
  const bool open = may_be_current && hello.stream == ring.stream() && resumes && !sync.ending;
  if (waits(sync.phase) && may_be_current && !open) {
    end_current("the copy can't go on with its stream"); // the resync that follows closes it
  } else if (sync.phase == Phase::Resuming) {
    if (open) {
      sync.phase = Phase::Current;
    } else if (resumes && !hello.closed) {
      sync.phase = Phase::Off; // it was not current: writes wait, the three steps begin anew
      sync.earliest_ns = 0;
    } else {
      go_alone("the copy is not current", true, false);
    }
  } else if (sync.phase == Phase::Current || sync.phase == Phase::Waiting) {
    const bool not_yet = sync.phase == Phase::Waiting && resumes && !hello.closed;
    if (!open && !not_yet)
      go_alone(hello.closed ? "the copy closed its stream" : "the copy lost its place", true, false);
    else if (open && sync.phase == Phase::Waiting && sync.current_sent)
      on_current_stored(link); // it was stored, the word was lost
  }
  if (link.challenge && (sync.phase == Phase::Current || sync.phase == Phase::Waiting))
    answer_challenge(link, *link.challenge);
  link.challenge.reset();
}

// Of several copies: that one has closed says nothing of the others. Its acknowledgements don't count any
// more; writes wait for the word that all have closed, or for the deadline.
void Source::Parts::site_greeted(Link& link, const format::HelloMessage& hello, bool resumes) {
  const bool open =
      hello.current && !hello.closed && hello.stream == ring.stream() && resumes && !sync.ending;
  const bool in_term = hello.current;
  if (sync.phase == Phase::Resuming) {
    if (open) {
      sync.phase = Phase::Current;
    } else if (in_term || !resumes) {
      sync.phase = Phase::Waiting; // it may have been current; who closed, and when, is not known here
      sync.current_sent = true;
      await_close("the copy has closed its stream");
    } else {
      sync.phase = Phase::Off; // it has stored no term, so the site is not current: the steps begin anew
      sync.earliest_ns = 0;
    }
  } else if (sync.phase == Phase::Current || (sync.phase == Phase::Waiting && sync.current_sent)) {
    const bool not_yet = sync.phase == Phase::Waiting && !sync.ending;
    if (resumes && !in_term && !not_yet)
      go_alone("all copies of the site have closed", true,
               false); // else it would not have forgotten the term
    else if (!open && !(resumes && !in_term))
      await_close("the copy has closed its stream, or lost its place");
  } else if (sync.phase == Phase::Waiting && !resumes) {
    go_alone("the copy lost its place", true, false);
  }
  if (link.challenge && (sync.phase == Phase::Current || sync.phase == Phase::Waiting))
    answer_challenge(link, *link.challenge);
  link.challenge.reset();
}

void Source::Parts::await_close(const std::string& reason) {
  if (sync.ending)
    return;
  note(4, reason + ": writes wait until all copies of the site have closed, or for the deadline");
  sync.ending = true;
  sync.ending_stream = ring.stream();
}

void Source::Parts::on_progress(const RingProgress& event) {
  throttled = event.throttled;
  ring.set_written(event.written);
  if (!event.alone || sync.phase == Phase::Alone || (sync.phase == Phase::Off && !sync_link()))
    return;
  if (config.fence == Fence::Stop) {
    if (sync.phase != Phase::Stopped)
      note(3, "the sync site does not answer: writes fail (fence=stop)");
    sync.phase = Phase::Stopped;
    return;
  }
  if (event.alone_since.value != 0)
    era = std::max(era, event.alone_since);
  go_alone("the sync site did not answer in time", false, true);
}

void Source::Parts::on_not_current(Link& link, const format::NotCurrentMessage& message) {
  if (&link != sync_link() ||
      (message.stream != ring.stream() && !(sync.ending && message.stream == sync.ending_stream)))
    return;
  if (config.copyset && sync.current_sent && message.through < sync.checkpoint)
    return; // of a term before the one that this source waits for
  if (link.leaving || sync.ending) {
    go_alone(message.reason, true, false);
    return;
  }
  if (config.copyset && sync.phase == Phase::Waiting && sync.current_sent) {
    go_alone(message.reason, true, false);
    return;
  }
  if (sync.phase == Phase::Waiting) {
    sync.current_sent_ns = now.boot_ns; // not yet: said again a little later
    return;
  }
  if (sync.phase == Phase::Current)
    go_alone("the copy closed its stream: " + message.reason, true, false);
}

// switch_off: the copy has durably closed, so the writes that wait may complete; else the kernel has gone on
// at its deadline.
void Source::Parts::go_alone(const std::string& reason, bool switch_off, bool tell) {
  Link* link = sync_link();
  sync.ending = false;
  if (config.fence == Fence::Stop && !(link && link->leaving)) {
    sync.phase = Phase::Stopped;
    sync.earliest_ns = now.boot_ns;
    note(4, "no current site (" + reason + "): writes wait, and fail after the deadline (fence=stop)");
    return;
  }
  sync.phase = Phase::Alone;
  sync.deadline_ns = 0;
  sync.withholding = false;
  sync.samples.clear();
  sync.earliest_ns = now.boot_ns + second;
  state.alone = true;
  state.alone_since = era;
  store();
  if (switch_off)
    out.push_back(SetSync{false, config.fence, 0});
  note(4, "writes complete alone since " + rc::to_string(era) + ": " + reason);
  if (!link)
    return;
  if (tell && link->streaming())
    send(*link, format::NotCurrentMessage{ring.stream(), 0, reason});
  if (link->leaving) {
    finish_leaving(*link);
    return;
  }
  if (legal(link->pair.state(), PairState::Suspended) && link->pair.state() != PairState::Pending &&
      link->pair.state() != PairState::InitialCopy)
    link->pair.move(PairState::Suspended, "alone: " + reason,
                    "it catches up and becomes current again by itself");
  link->catch_up = ring.read();
}

void Source::Parts::leave_sync(const std::string& reason) {
  Link* link = sync_link();
  if (!link)
    return;
  if (sync.phase == Phase::Stopped || sync.phase == Phase::Off) {
    go_alone(reason, true, false);
    return;
  }
  if (link->streaming())
    send(*link, format::NotCurrentMessage{ring.stream(), 0, reason}); // its answer says that it has closed
  if (config.copyset)
    await_close(reason);
}

// The copy's stream ends while it is, or may become, current.
void Source::Parts::end_current(const std::string& reason) {
  if (!waits(sync.phase) || sync.ending)
    return;
  if (sync.phase == Phase::Waiting && !sync.current_sent) {
    go_alone(reason, true, false); // it can't be current
    return;
  }
  note(4, reason + ": writes wait until the copy has closed, or for the deadline");
  sync.ending = true;
  sync.ending_stream = ring.stream();
  const Link* link = sync_link();
  if (link && link->streaming())
    send(*link, format::NotCurrentMessage{ring.stream(), 0, reason}); // its answer says that it has closed
}

} // namespace rc::core
