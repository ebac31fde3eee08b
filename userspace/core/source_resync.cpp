// SPDX-License-Identifier: GPL-2.0-or-later
// Resync: attach the link to the stream, THEN reckon the set, then ship (a write between reckoning and
// attaching would be in neither). The set: own regions open or newer than the agreed point, united with the
// copy's, minus what a usable draft has shipped, plus the own regions open or with an era >= that of the
// draft's break. Copies are paced by copy slots and the link.
#include "core/mutation.hpp"
#include "core/source_parts.hpp"

#include "base/assert.hpp"

#include <algorithm>

namespace rc::core {
using namespace source;

void Source::Parts::on_ready(Link& link, const format::ResyncReadyMessage& message) {
  if (link.talk != LinkTalk::Ending)
    return refuse(link, "ready for a resync that was not asked for", "check the versions of both agents");
  if (life != Life::Running)
    return close(link, "no stream runs");
  const FeedCheck check = may_feed(own_position(), message.position);
  const Agreement agreement = agree(own_position(), message.position);
  if (!check.allowed || agreement.agreed != message.agreed || agreement.full() != message.full)
    return refuse(link,
                  "the copy reckons another agreed point (" + rc::to_string(message.agreed) + ", here " +
                      rc::to_string(agreement.agreed) + ")",
                  "check the versions of both agents");
  if (&link == sync_link() && sync.ending)
    go_alone("the copy has ended its stream", true, false);
  link.resync.emplace();
  link.resync->ready = message;
  link.resync->ticket = ++tickets;
  ++link.resyncs;
  if (!mutated(Mutation::ReckonBeforeAttach))
    attach(link);
  link.talk = LinkTalk::Reckoning;
  out.push_back(ReckonDirty{link.config.link, link.resync->ticket, message.agreed});
}

// All records after what was read so far go to the link; those before it opened their regions before they
// were captured, so the map shows them.
void Source::Parts::attach(Link& link) {
  link.resync->from = ring.read() + 1;
  place(link, ring.read());
}

void Source::Parts::on_reckoned(const Reckoned& event) {
  Link* link = find(event.link);
  if (!link || link->talk != LinkTalk::Reckoning || !link->resync || link->resync->ticket != event.ticket)
    return;
  Resync& resync = *link->resync;
  if (mutated(Mutation::ReckonBeforeAttach))
    attach(*link);
  const format::ResyncReadyMessage& ready = resync.ready;
  ExtentSet set(event.dirty);
  if (!mutated(Mutation::OnlySourceMap))
    set.add(ExtentSet(ready.dirty));
  for (std::size_t volume = 0; volume < config.volume_sectors.size(); ++volume) {
    const auto number = static_cast<VolumeNumber>(volume);
    const bool held = std::find(ready.image_volumes.begin(), ready.image_volumes.end(), number) !=
                      ready.image_volumes.end();
    if (config.volume_sectors[volume] != 0 && (ready.full || !held))
      set.add(number, 0, config.volume_sectors[volume]);
    set.remove(number, config.volume_sectors[volume],
               ~0ULL - config.volume_sectors[volume]); // regions may end beyond
  }
  format::AttachMessage message;
  const bool same_source = ready.draft && ready.draft->source_lineage == state.position.lineage &&
                           ready.draft->agreed == ready.agreed;
  if (ready.draft && (same_source || mutated(Mutation::DraftAcrossSources))) {
    message.keep_draft = true;
    ExtentSet again;
    for (const format::Extent& extent : event.dirty) {
      const bool later = mutated(Mutation::BreakExclusive) ? extent.era > ready.draft->broken_at
                                                           : extent.era >= ready.draft->broken_at;
      if (later) // an open region compares above every era
        again.add(extent.volume, extent.sector, extent.sectors);
    }
    ExtentSet shipped(ready.draft->shipped);
    shipped.remove(again);
    set.remove(shipped);
    message.go_again = again.extents();
  }
  resync.todo = std::move(set);
  resync.total_bytes = resync.todo.sectors() * DMRC_SECTOR_BYTES;
  message.epoch = state.epoch;
  message.stream = ring.stream();
  message.from = resync.from;
  message.source_lineage = state.position.lineage;
  message.agreed = ready.agreed;
  message.full = ready.full;
  message.copy_bytes = resync.total_bytes;
  message.in_place = link->in_place;
  link->talk = LinkTalk::Streaming;
  link->pair.move(ready.position.lineage.empty() ? PairState::InitialCopy : PairState::Pending,
                  ready.full ? "everything is copied" : "the regions that differ are copied",
                  "wait for its end");
  note(5, link->config.peer + ": resync of " + std::to_string(resync.total_bytes >> 10) + " KiB" +
              (ready.full ? ", everything" : ", agreed up to " + rc::to_string(ready.agreed)) +
              (message.keep_draft ? ", its draft goes on" : ""));
  send(*link, std::move(message));
}

unsigned Source::Parts::resyncing() const {
  unsigned count = 0;
  for (const auto& [slot, link] : links)
    count += link.resync && link.streaming() && !link.resync->todo.empty();
  return count;
}

void Source::Parts::copy_some(Link& link) {
  Resync& resync = *link.resync;
  if (!link.streaming() || life != Life::Running || now.boot_ns < resync.retry_ns || resync.end_asked)
    return;
  // Slots are used from the asking until the record is freed; each resyncing link gets its share. Live writes
  // come first: nothing is copied into a ring that fills. Another link that is away for long must not stop
  // it: what is copied meanwhile goes to the spill, too.
  const std::uint64_t slots = std::max<std::uint32_t>(ring_facts.copy_slots, 1);
  const std::uint64_t share = std::max<std::uint64_t>(slots / std::max(resyncing(), 1U), 1);
  while (!resync.todo.empty() && ring.used() < 0.4) {
    if (copies_outstanding + ring.copies_held() >= slots ||
        resync.outstanding + resync.copied.size() >= share)
      return;
    const std::uint64_t most = std::max<std::uint64_t>(ring_facts.copy_slot_bytes / DMRC_SECTOR_BYTES, 8);
    const auto extent = resync.todo.take(most, ring_facts.region_sectors);
    ++resync.outstanding;
    ++copies_outstanding;
    out.push_back(CopyRegion{link.config.link, extent->volume, extent->sector,
                             static_cast<std::uint32_t>(extent->sectors)});
  }
  if (resync.todo.empty() && resync.outstanding == 0) {
    resync.end_asked = true;
    out.push_back(PutEndOfCopying{link.config.link});
  }
}

void Source::Parts::on_copy_refused(const CopyRefused& event) {
  Link* link = find(event.link);
  copies_outstanding -= std::min<std::uint64_t>(copies_outstanding, 1);
  if (!link || !link->resync)
    return;
  Resync& resync = *link->resync;
  resync.outstanding -= std::min<std::uint64_t>(resync.outstanding, 1);
  resync.todo.add(event.volume, event.sector, event.sectors);
  resync.retry_ns = now.boot_ns + 20 * ms;
}

void Source::Parts::on_end_refused(const EndOfCopyingRefused& event) {
  Link* link = find(event.link);
  if (!link || !link->resync)
    return;
  note(4, "end of copying could not be put: " + event.error);
  link->resync->end_asked = false;
  link->resync->retry_ns = now.boot_ns + 100 * ms;
}

// A copy record (or a failed one: the region can't be read) came out of the ring.
void Source::Parts::saw_copy(const format::Record& record) {
  for (auto& [slot, link] : links) {
    if ((record.tag & tag_of(slot)) == 0)
      continue;
    copies_outstanding -= std::min<std::uint64_t>(copies_outstanding, 1);
    if (!link.resync)
      continue;
    Resync& resync = *link.resync;
    resync.outstanding -= std::min<std::uint64_t>(resync.outstanding, 1);
    if (record.type == DMRC_FAILED) {
      suspend(link, PairState::Failed,
              "primary medium: volume " + std::to_string(record.volume) + " can't be read at sector " +
                  std::to_string(record.sector),
              "replace the disk of the volume or overwrite the sector, then: " + resume_command(link));
      continue;
    }
    resync.copied.push_back({record.seq, record.length});
    link.resync_bytes += record.length;
  }
}

void Source::Parts::saw_end(const format::Record& record) {
  for (auto& [slot, link] : links)
    if ((record.tag & tag_of(slot)) != 0 && link.resync && link.resync->end_asked) {
      link.resync->end_seq = record.seq;
      want_checkpoint();
    }
}

void Source::Parts::finish_resync(Link& link) {
  note(5, link.config.peer + ": the resync is complete");
  link.resync.reset();
  link.in_place = false;
  link.image = history.newest(link.durable);
  link.pair.move(PairState::Duplex, "every write goes there in order", "none");
}

} // namespace rc::core
