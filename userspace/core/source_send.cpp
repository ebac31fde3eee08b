// SPDX-License-Identifier: GPL-2.0-or-later
// Sending to one link: a window of bytes that are sent and not durable there, room in the copy's journal,
// from the ring while the records are in it, else from the spill. Invariant: durable <= sent <= read; sent
// grows without gap.
#include "core/source_parts.hpp"

#include <algorithm>

namespace rc::core {
using namespace source;

namespace {
constexpr std::uint64_t blocked_most_ns = 30 * second;
constexpr std::uint64_t blocked_dead_end_ns = second;
constexpr std::uint64_t spill_read_bytes = 1 << 20;
} // namespace

// Other sites get a record only after the (becoming) current site has acknowledged it.
Seq Source::Parts::send_limit(const Link& link) const {
  return gated(link) ? std::min(ring.read(), std::max(sync.acked, link.sent)) : ring.read();
}

void Source::Parts::pump(Link& link) {
  if (!link.streaming() || !link.attached)
    return;
  if (link.journal_slots == 0)
    return; // its first watermarks, after Resume or Attach, say what room it has
  const Seq limit = send_limit(link);
  const bool copies = link.resync.has_value();           // others get copy records without their data
  const std::uint64_t reserve = link.journal_bytes / 64; // what the copy can't use at the end of its journal
  const auto room = [&](std::uint64_t size, std::uint64_t used, std::uint64_t sent) {
    return size > used + sent ? size - used - sent : 0;
  };
  while (link.sent < limit) {
    const Seq next = link.sent + 1;
    if (link.in_flight_bytes >= link.config.window_bytes && !link.in_flight.empty())
      return;
    const std::uint64_t bytes_room =
        room(link.journal_bytes, link.journal_used + reserve, link.in_flight_bytes);
    const std::uint64_t slots_room = room(link.journal_slots, link.journal_slots_used, link.in_flight_slots);
    if (bytes_room == 0 || slots_room == 0)
      break;
    if (next <= ring.freed()) {
      if (link.spill_asked)
        return;
      if (!spill_holds(next)) {
        suspend(link, PairState::Suspended, "the records the link needs next are nowhere stored",
                "resumes by itself with a delta");
        return;
      }
      const Seq last = std::min({limit, spill.durable, next + slots_room - 1});
      const std::uint64_t most = std::min({bytes_room, spill_read_bytes, link.config.window_bytes});
      out.push_back(SendRecords{link.config.link, ring.stream(), next, last, SendRecords::From::Spill, most});
      link.spill_asked = true;
      return;
    }
    const std::uint64_t window_room =
        link.config.window_bytes - std::min(link.config.window_bytes, link.in_flight_bytes);
    // In pieces: what is durable of a window gives room before all of it is.
    const std::uint64_t piece = link.config.window_bytes / 8;
    Seq last = ring.reach(link.sent, limit, std::min({window_room, bytes_room, piece}), copies);
    if (last == link.sent) { // not even one record
      const std::uint64_t alone = ring.bytes(link.sent, next, copies);
      if (alone > bytes_room)
        break;
      if (alone > window_room && !link.in_flight.empty())
        return;
      last = next; // larger than a piece, or than the window: alone
    }
    last = std::min(last, link.sent + slots_room);
    const std::uint64_t bytes = ring.bytes(link.sent, last, copies);
    out.push_back(SendRecords{link.config.link, ring.stream(), next, last, SendRecords::From::Ring, 0});
    record_sent(link, last, bytes, last - link.sent);
  }
  if (link.sent >= limit) {
    link.blocked_ns = 0;
    return;
  }
  // The copy's journal has no room. Releases make some; if none come for long, or none can come since no
  // checkpoint is in it, the link must not hold the ring for ever: what the journal holds is given up (a
  // current copy applies it as its seal) and the map tells the rest.
  if (link.blocked_ns == 0)
    link.blocked_ns = now.boot_ns;
  const auto newest = history.newest(link.durable);
  const bool dead_end = link.in_flight.empty() && (!newest || newest->era <= link.complete);
  const std::uint64_t patience = dead_end ? blocked_dead_end_ns : blocked_most_ns;
  if (now.boot_ns - link.blocked_ns > patience) {
    link.start_over = true;
    suspend(link, PairState::Suspended,
            link.resync ? "the copy's journal is too small for this resync" : "the copy's journal is full",
            "enlarge the journal at " + link.config.peer + "; it is tried again by itself");
  }
}

void Source::Parts::record_sent(Link& link, Seq last, std::uint64_t bytes, std::uint64_t slots) {
  link.sent = last;
  link.in_flight.push_back({last, bytes, slots});
  link.in_flight_bytes += bytes;
  link.in_flight_slots += slots;
  link.sent_bytes += bytes;
}

void Source::Parts::on_sent_from_spill(const SentFromSpill& event) {
  Link* link = find(event.link);
  if (!link || !link->spill_asked || event.first != link->sent + 1 || event.last < event.first ||
      event.last > ring.read())
    return; // of an earlier connection
  link->spill_asked = false;
  record_sent(*link, event.last, event.bytes, event.last - event.first + 1);
}

void Source::Parts::place(Link& link, Seq durable) {
  link.attached = true;
  link.sent = link.durable = link.placed = durable;
  link.in_flight.clear();
  link.in_flight_bytes = link.in_flight_slots = 0;
  link.spill_asked = false;
  link.blocked_ns = 0;
}

void Source::Parts::on_watermarks(Link& link, const format::WatermarksMessage& message) {
  if (message.stream != ring.stream() || !link.streaming() || !link.attached)
    return; // of an old stream, or of before the handshake
  if (message.durable > link.sent)
    return refuse(link, "the copy reports records that were never sent", "check the versions of both agents");
  link.journal_used = message.journal_used;
  link.journal_bytes = message.journal_bytes;
  link.journal_slots_used = message.journal_slots_used;
  link.journal_slots = message.journal_slots;
  link.complete = message.complete;
  link.complete_time_ns = message.complete_time_ns;
  if (message.durable > link.durable) {
    link.durable = message.durable;
    link.blocked_ns = 0;
    while (!link.in_flight.empty() && link.in_flight.front().last <= link.durable) {
      link.in_flight_bytes -= link.in_flight.front().bytes;
      link.in_flight_slots -= link.in_flight.front().slots;
      link.durable_bytes += link.in_flight.front().bytes;
      link.in_flight.pop_front();
    }
    if (!link.resync)
      if (const auto newest = history.newest(link.durable))
        link.image = newest;
    Seq least = ring.read();
    for (const auto& [slot, each] : links)
      if (each.attached)
        least = std::min(least, each.durable);
    history.forget_before(least);
  }
  if (Resync* resync = link.resync ? &*link.resync : nullptr) {
    while (!resync->copied.empty() && resync->copied.front().seq <= link.durable) {
      resync->done_bytes += resync->copied.front().bytes;
      resync->copied.pop_front();
    }
    if (message.in_place && !resync->in_place && link.pair.state() == PairState::Pending) {
      resync->in_place = true;
      link.pair.move(
          PairState::Pending,
          "the regions that differ are copied in place: no takeover is possible there until its end",
          "wait for its end; an interruption makes it copy everything");
    }
    if (resync->checkpoint.value != 0 && message.draft_complete && message.complete >= resync->checkpoint)
      finish_resync(link);
  } else if (life == Life::Running && link.pair.state() != PairState::Duplex && !link.leaving &&
             link.durable >= link.catch_up) {
    link.pair.move(PairState::Duplex, "every write goes there in order", "none");
    note(5, link.config.peer + " has caught up");
  }
  pass_acks(link);
}

} // namespace rc::core
