// SPDX-License-Identifier: GPL-2.0-or-later
// The life of a primary: a starting one loads its volumes only when a peer that holds a copy knows no newer
// generation (or a command says so); then it attaches to the ring, and starts a stream where none runs. A
// stale one stops.
#include "core/source_parts.hpp"

#include <algorithm>

namespace rc::core {
using namespace source;

void Source::Parts::started(const Started& event) {
  hold_all_volumes();
  if (event.volumes_live) {
    life = Life::Attaching;
    out.push_back(AttachRing{});
    return;
  }
  life = Life::Unconfirmed;
  life_reason = "the generation of this primary is not confirmed";
  life_next = "connect a site that holds a copy, or confirm by command (--force) after fencing the others";
  state.confirmed = false;
  // Before the power failed a copy may have been current. It takes itself for current until its lease ends:
  // until then no write may complete without it.
  if (const Link* link = sync_link(); link && !state.alone) {
    const std::uint64_t lease = lease_for(link->config.ack_timeout_ms);
    load_after_ns = now.boot_ns + lease + margin_for(lease);
  }
  if (state.takeover) {
    life_reason = "the takeover of the site is not complete: not all of its copies have stored it";
    life_next = "start the agents of all nodes of the site; it goes on by itself";
    return;
  }
  if (event.took_over) {
    confirm("the takeover's command");
    return;
  }
  // A history that began here, and has no pair (any more): no other node holds a copy that could have taken
  // over, unless a command forgot it with --force. But a site that took over begins without pairs, too, while
  // others still hold copies of its former primary: then the agent asks the nodes that it knows.
  if (links.empty() && state.position.lineage.size() <= 1)
    confirm("no other site has the group");
}

void Source::Parts::on_asked(const NodesAsked& event) {
  if (life != Life::Unconfirmed || !links.empty() || state.takeover)
    return;
  if (event.vouched) {
    confirm(event.what);
    return;
  }
  life_reason = "the generation of this primary is not confirmed: " + event.what;
  life_next = event.next_action;
}

// A takeover of several nodes: no host writes before all of them have stored its lineage entry.
void Source::Parts::on_promote(const PromoteOrdered& event) {
  if (life != Life::Unconfirmed || !state.takeover || state.takeover->id != event.id)
    return;
  confirm("all copies of the site have stored the takeover");
}

void Source::Parts::tell_copyset() {
  if (!config.copyset)
    return;
  copyset::SourceFacts facts;
  facts.running = life == Life::Running;
  facts.era = era;
  facts.awaiting = state.takeover.has_value();
  if (!state.position.lineage.empty())
    facts.entry = state.position.lineage.back();
  if (told == facts)
    return;
  told = facts;
  out.push_back(TellCopyset{facts});
}

// A primary's image holds every volume: should this node become a copy, only what differs is copied.
void Source::Parts::hold_all_volumes() {
  std::vector<VolumeNumber> present;
  for (std::size_t volume = 0; volume < config.volume_sectors.size(); ++volume)
    if (config.volume_sectors[volume] != 0)
      present.push_back(static_cast<VolumeNumber>(volume));
  if (state.image_volumes == present)
    return;
  state.image_volumes = std::move(present);
  store();
}

void Source::Parts::confirm(const std::string& by) {
  note(5, "generation " + std::to_string(newest_generation(state.position.lineage)) + " confirmed: " + by);
  life = Life::Loading;
  life_reason = "the volumes are being loaded";
  life_next = "wait";
  state.confirmed = true;
  state.takeover.reset();
  store();
  if (now.boot_ns < load_after_ns) {
    life_reason = "a current copy may not know of this start: its lease is waited for";
    retry_ns = load_after_ns;
  } else {
    load_volumes();
  }
}

void Source::Parts::copy_is_not_current() {
  const bool waited = life == Life::Loading && load_after_ns != 0 && retry_ns == load_after_ns;
  load_after_ns = 0;
  if (waited) {
    retry_ns = 0;
    load_volumes();
  }
}

void Source::Parts::load_volumes() { out.push_back(LoadVolumes{newest_generation(state.position.lineage)}); }

void Source::Parts::on_loaded(const VolumesLoaded& event) {
  if (life != Life::Loading)
    return;
  if (!event.ok) {
    life_reason = "the volumes can't be loaded: " + event.error;
    life_next = "repair the cause; it is tried again by itself";
    note(3, life_reason);
    retry_ns = now.boot_ns + 5 * second;
    return;
  }
  life = Life::Attaching;
  out.push_back(AttachRing{});
}

void Source::Parts::on_attached(const RingAttached& event) {
  if (life != Life::Attaching)
    return;
  ring_facts = event;
  attached_ns = now.boot_ns;
  era = event.era;
  life_reason.clear();
  life_next.clear();
  ring.attach(event.stream, event.freed, event.data_bytes, event.slots);
  if (event.stream.value == 0) {
    if (event.reserved > event.freed)
      out.push_back(FreeRing{event.reserved}); // no stream starts in a ring that is not wholly freed
    // Writes that wait in the kernel go on waiting: a copy may be current for the stream that ended.
    if (event.alone) {
      sync.phase = Sync::Phase::Alone;
    } else if (event.sync_wait) {
      sync.phase = Sync::Phase::Current;
      sync.ending = true;
    }
    start_stream();
    return;
  }
  // What copies hold was read from the ring before; which of it they hold is judged when it is read again.
  found = event.lost_at != 0 ? std::min<Seq>(event.reserved, event.lost_at) : event.reserved;
  // The running stream goes on. What each copy has is not known before its greeting: it is taken to have what
  // has been freed, or where it was spilled, what was trimmed from the spill; so nothing it may need is
  // freed.
  if (spill.kept && (spill.stream != event.stream || spill.durable < event.freed))
    spill.kept = false;
  for (auto& [slot, link] : links) {
    const Seq least = spill.kept ? std::min(event.freed, spill.first - 1) : event.freed;
    link.attached = true;
    link.sent = link.durable = least;
  }
  life = event.lost_at != 0 ? Life::Lost : Life::Running;
  if (event.lost_at != 0) {
    lost_at = event.lost_at;
    ++overflows;
    drain_until_ns = now.boot_ns + config.drain_ms * ms;
  }
  sync.acked = event.acked;
  if (event.alone) {
    sync.phase = Sync::Phase::Alone;
    if (!state.alone) {
      state.alone = true;
      state.alone_since = event.alone_since;
      store();
    }
  } else if (event.sync_wait) {
    sync.phase = Sync::Phase::Resuming;
    sync.older_than = event.reserved;
    sync.deadline_ns = event.alone_after_ns;
    // How long the oldest of them has waited isn't known: as long as may be without an answer to a challenge.
    if (event.reserved > event.acked)
      sync.samples.push_back({event.reserved, 0});
    if (event.lost_at != 0)
      end_current("the stream ended by overflow");
  }
  stream_runs();
}

void Source::Parts::start_stream() {
  if (life != Life::Lost)
    life = Life::Starting;
  out.push_back(StartStream{});
}

void Source::Parts::on_stream_started(const StreamStarted& event) {
  if (life != Life::Starting && life != Life::Lost)
    return;
  if (event.stream.value == 0) {
    life_reason = "no stream can be started: " + event.error;
    life_next = "it is tried again by itself";
    note(4, life_reason);
    retry_ns = now.boot_ns + second;
    return;
  }
  ring.attach(event.stream, 0, ring_facts.data_bytes, ring_facts.slots);
  found = 0;
  era = event.era;
  lost_at = 0;
  life = Life::Running;
  life_reason.clear();
  life_next.clear();
  history.reset();
  last_write = 0;
  if (spill.kept || spill.active) {
    spill.kept = spill.active = false;
    JournalChange change;
    change.empty = true;
    store(change);
  }
  for (auto& [slot, link] : links) {
    link.attached = false;
    link.resync.reset();
    link.image.reset();
    // A copy that was greeted in the old stream is greeted anew: between two streams there is always a gap.
    if (link.talk == LinkTalk::Streaming || link.talk == LinkTalk::Reckoning)
      close(link, "a new stream began");
  }
  if ((sync.phase == Sync::Phase::Resuming || sync.phase == Sync::Phase::Waiting) && !sync.ending)
    sync.phase = Sync::Phase::Off;
  sync.acked = 0;
  sync.samples.clear();
  stream_runs();
}

void Source::Parts::stream_runs() {
  checkpoint_asked = false;
  next_checkpoint_ns = now.boot_ns + config.checkpoint_interval_ms * ms;
  if (all_found_is_read())
    answer_all();
}

void Source::Parts::answer_all() {
  for (auto& [slot, link] : links)
    if (link.talk == LinkTalk::Up && link.hello) {
      if (life == Life::Running)
        answer_hello(link);
      else
        let_fetch(link);
    }
}

void Source::Parts::became_stale(Link& link, const FeedCheck& check) {
  life = Life::Stale;
  life_reason = check.why;
  life_next = check.next_action;
  note(3, "stale: " + check.why);
  link.pair.move(PairState::Failed, check.why, check.next_action);
  send(link, format::GenerationMessage{state.position.lineage, false});
  out.push_back(StaleGeneration{
      link.config.link, link.hello ? link.hello->position.lineage : std::vector<format::LineageEntry>{},
      check.why});
  for (auto& [slot, each] : links)
    if (each.connected())
      close(each, "this primary is stale");
}

} // namespace rc::core
