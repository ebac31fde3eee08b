// SPDX-License-Identifier: GPL-2.0-or-later
// Links come and go: connection up and down, added, removed, suspended and resumed by command. A current copy
// is closed before its link leaves: until it says so, or the deadline passed, no write completes alone.
#include "core/source_parts.hpp"

#include <algorithm>

namespace rc::core {
using namespace source;

void Source::Parts::on_link_up(Link& link) {
  if (life == Life::Stale)
    return;
  link.talk = LinkTalk::Up;
  link.hello.reset();
  link.challenge.reset();
  link.spill_asked = false;
}

void Source::Parts::on_link_down(Link& link, const std::string& reason) {
  const LinkTalk before = std::exchange(link.talk, LinkTalk::Down);
  link.hello.reset();
  link.challenge.reset();
  link.spill_asked = false;
  if (before == LinkTalk::Reckoning || before == LinkTalk::Ending) {
    link.attached = false; // the talk begins anew
    link.resync.reset();
  }
  if (link.pair.state() == PairState::Duplex)
    link.pair.move(PairState::Duplex, "link down (" + reason + "): writes gather here",
                   "check the network; it goes on by itself");
}

void Source::Parts::on_added(const LinkAdded& event) {
  const auto [found, is_new] = links.try_emplace(event.config.link);
  Link& link = found->second;
  const LinkMode before = link.config.mode;
  link.config = event.config;
  if (is_new)
    return;
  if (before == LinkMode::Sync && event.config.mode == LinkMode::Async && sync.phase != Sync::Phase::Off) {
    link.config.mode = LinkMode::Sync; // until it is closed
    link.leaving = true;
    leave_sync("the pair becomes async");
    if (sync.phase == Sync::Phase::Off || sync.phase == Sync::Phase::Alone)
      finish_leaving(link);
  }
}

// What waits goes on by the new settings: a spill that was begun ends as ever, a checkpoint comes no later
// than one new interval from now.
void Source::Parts::on_settings(const SettingsChanged& event) {
  config.throttle = event.throttle;
  config.checkpoint_interval_ms = event.checkpoint_interval_ms;
  set_fence(event.fence);
  next_checkpoint_ns = std::min(next_checkpoint_ns, now.boot_ns + event.checkpoint_interval_ms * ms);
}

void Source::Parts::on_removed(const LinkRemoved& event) {
  Link* link = find(event.link);
  if (!link)
    return;
  link->removing = true;
  on_suspend({event.link, "the pair is being removed"});
}

void Source::Parts::on_suspend(const SuspendRequested& event) {
  Link* link = find(event.link);
  if (!link || (link->hold && !link->removing))
    return;
  link->hold = true;
  link->in_place = false;
  link->hold_reason = event.reason;
  const bool waits =
      sync_link() == link && sync.phase != Sync::Phase::Off && sync.phase != Sync::Phase::Alone;
  if (!waits) {
    finish_leaving(*link);
    return;
  }
  link->leaving = true;
  if (legal(link->pair.state(), PairState::Suspending))
    link->pair.move(PairState::Suspending, "the current copy is being closed: " + event.reason,
                    "wait: it closes, or its deadline passes");
  leave_sync(event.reason);
}

void Source::Parts::finish_leaving(Link& link) {
  link.leaving = false;
  if (!link.hold) { // sync to async
    link.config.mode = LinkMode::Async;
    sync = {};
    sync.earliest_ns = now.boot_ns;
    if (state.alone) {
      state.alone = false;
      store();
    }
    if (link.streaming() && !link.resync)
      link.pair.move(PairState::Pending, "catching up as async", "none");
    return;
  }
  if (link.removing) {
    const LinkSlot slot = link.config.link;
    if (sync_link() == &link) {
      sync = {};
      if (state.alone) { // there is nobody to be with any more
        state.alone = false;
        state.alone_since = {};
        store();
      }
    }
    if (link.resync)
      copies_outstanding -= std::min(copies_outstanding, link.resync->outstanding);
    send(link, format::RefusedMessage{"the pair was removed", "none"});
    close(link, "the pair was removed");
    links.erase(slot);
    return;
  }
  send(link, format::RefusedMessage{link.hold_reason, resume_command(link), true});
  suspend(link, PairState::Suspended, link.hold_reason, resume_command(link));
}

std::string Source::Parts::resume_command(const Link& link) const {
  return "rcctl pair resume " + config.group + " --to " + link.config.peer;
}

void Source::Parts::on_resume_request(const ResumeRequested& event) {
  Link* link = find(event.link);
  if (!link || !link->hold)
    return;
  link->hold = false;
  link->leaving = false;
  link->pair.move(PairState::Pending, "resumed by command", "wait for the link");
  if (link->connected())
    close(*link, "resumed by command: greet again");
}

// A current copy applies its seal before the resync; until then writes wait, at most for their deadline.
void Source::Parts::resync_asked(Link& link, bool in_place) {
  if (link.hold || life == Life::Stale)
    return;
  link.in_place = in_place;
  if (link.resync)
    return;
  link.start_over = true;
  link.pair.move(PairState::Pending, "resync by command: only what differs is copied",
                 "wait for the link, then for its end");
  if (link.connected())
    close(link, "resync by command: greet again");
}

} // namespace rc::core
