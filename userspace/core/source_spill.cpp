// SPDX-License-Identifier: GPL-2.0-or-later
// The spill: what lagging links still need goes to this node's journal, so that the ring stays free for the
// application. When even that is full the slowest link is suspended (its delta comes from the region map);
// the application never waits. Unless on_full=throttle: while the slowest link streams the kernel lets writes
// wait for room, and what it lacks is never more than the ring; a link that is down gets the same as without.
// Invariant: the spill holds one contiguous stretch [first, appended] of the running stream.
#include "core/source_parts.hpp"

#include <algorithm>
#include <utility>

namespace rc::core {
using namespace source;

namespace {
constexpr double spill_above = 0.5; // of the ring
constexpr double near_below = 0.25; // less than what stays of the spilled in the ring
static_assert(near_below < keep_spilled && keep_spilled < spill_above);
constexpr double suspend_above = 0.85;    // when nothing can be spilled
constexpr double suspend_settling = 0.95; // ... and the links have had no time to greet since this start
constexpr std::uint64_t settling_ns = 3 * second;
constexpr double spill_full = 0.9;
constexpr std::uint64_t trim_every_ns = second / 4; // well before what is needless fills a small journal
constexpr const char* journal_full = "journal full: the link lags more than this node's journal holds";
constexpr const char* larger_journal =
    "resumes by itself with a delta; a larger journal bridges longer interruptions";
} // namespace

const Link* Source::Parts::slowest() const {
  const Link* slow = nullptr;
  for (const auto& [slot, link] : links)
    if (link.attached && link.durable < ring.read() && (!slow || link.durable < slow->durable))
      slow = &link;
  return slow;
}

Link* Source::Parts::slowest() { return const_cast<Link*>(std::as_const(*this).slowest()); }

bool Source::Parts::spill_holds(Seq seq) const {
  return spill.kept && spill.stream == ring.stream() && seq >= spill.first && seq <= spill.durable &&
         spill.durable >= ring.freed();
}

void Source::Parts::control_spill() {
  if (ring.stream().value == 0)
    return;
  Link* slow = slowest();
  if (spill.kept && spill.stream == ring.stream()) {
    const Seq needed = slow ? slow->durable : ring.read();
    if (!spill.active && needed >= spill.appended && spill.durable == spill.appended) {
      out.push_back(TrimSpill{spill.stream, spill.appended});
      spill.kept = false;
    } else if (needed > spill.first && now.boot_ns >= spill_trim_ns && needed < spill.durable) {
      out.push_back(TrimSpill{spill.stream, needed});
      spill.first = needed + 1;
      spill_trim_ns = now.boot_ns + trim_every_ns;
    }
  }
  const double used = ring.used();
  const bool settling = now.boot_ns - attached_ns < settling_ns;
  const bool waits = application_waits(slow);
  if (spill.active && waits) {
    spill.active = false; // what it holds is sent, and meanwhile the ring fills up
  } else if (spill.active) {
    const bool near = !slow || (slow->durable >= ring.freed() && ring.knows(slow->durable) &&
                                ring.used_after(slow->durable) < near_below);
    if (near)
      spill.active = false; // what it holds stays until no link needs it
    else
      append_spill();
  } else if (!waits && used > spill_above && slow && slow->durable <= ring.freed() && can_spill() &&
             life == Life::Running) {
    begin_spill();
  }
  // A throttled ring is full when its link goes down. Writes wait until the spill has made room, which is
  // soon.
  const bool has_time = config.throttle && spill.active;
  const auto part = [](std::uint64_t used_part, std::uint64_t whole) {
    return whole == 0 ? 0.0 : static_cast<double>(used_part) / static_cast<double>(whole);
  };
  if (spill.active && slow &&
      (part(spill.space.used_bytes, spill.space.capacity_bytes) > spill_full ||
       part(spill.space.used_slots, spill.space.capacity_slots) > spill_full) &&
      spill.first <= slow->durable + 1 && slow->durable < spill.durable) {
    suspend(*slow, PairState::Suspended, journal_full, larger_journal);
    spill.space.used_bytes = spill.space.used_slots = 0; // the next report counts
  } else if (!waits && !has_time && life == Life::Running &&
             used > (settling ? suspend_settling : suspend_above) && slow && slow->durable <= ring.freed() &&
             ring.written() > ring.freed()) {
    suspend(*slow, PairState::Suspended,
            spill.active ? "overflow: the journal takes what is spilled more slowly than hosts write"
                         : "overflow: the link lags more than the ring holds and nothing can be spilled",
            "resumes by itself with a delta; a larger ring or a faster journal helps");
  }
}

bool Source::Parts::application_waits(const Link* slow) const {
  return config.throttle && life == Life::Running && slow && slow->streaming();
}

// After a refusal for want of room not before all that was asked is freed: a late report about it must not be
// taken for one about the new stretch.
bool Source::Parts::can_spill() const {
  return spill.usable &&
         (spill.stream != ring.stream() || spill.kept || ring.freed() >= spill.refused_through);
}

void Source::Parts::begin_spill() {
  if (!(spill.kept && spill.stream == ring.stream() && spill.appended >= ring.freed())) {
    spill.stream = ring.stream();
    spill.first = ring.freed() + 1;
    spill.appended = spill.durable = ring.freed();
    JournalChange change;
    change.empty = true;
    change.begin = JournalChange::Begin{spill.stream, spill.first};
    store(change);
    spill.kept = true;
    note(5, "spilling to the journal from record " + std::to_string(spill.first) + " on: a link lags");
  }
  spill.active = true;
  append_spill();
}

void Source::Parts::append_spill() {
  if (spill.appended >= ring.read())
    return;
  const Seq first = std::max(spill.appended, ring.freed()) + 1;
  if (first != spill.appended + 1) { // all links went past it: the old stretch is needless, a new one begins
    spill.kept = false;
    begin_spill();
    return;
  }
  out.push_back(SpillRecords{spill.stream, first, ring.read()});
  spill.appended = ring.read();
}

void Source::Parts::on_spill_durable(const SpillDurable& event) {
  spill.space = {event.used_bytes, event.capacity_bytes, event.used_slots, event.capacity_slots};
  if (spill.kept && event.stream == spill.stream && event.seq <= spill.appended)
    spill.durable = std::max(spill.durable, event.seq);
}

void Source::Parts::on_spill_failed(const SpillFailed& event) {
  spill.active = false;
  spill.kept = false;
  spill.refused_through = spill.appended;
  if (event.full) {
    note(4, "no room in the journal to spill: " + event.error);
  } else {
    note(3, "the journal failed, nothing can be spilled: " + event.error);
    spill.usable = false;
  }
  for (auto& [slot, link] : links) {
    if (!link.attached || link.durable >= ring.freed())
      continue; // the ring has all it needs
    if (event.full)
      suspend(link, PairState::Suspended, journal_full, larger_journal);
    else
      suspend(link, PairState::Failed, "the journal with what the link still needed failed: " + event.error,
              "replace the journal's disk; the link resumes with a delta");
  }
}

void Source::Parts::suspend(Link& link, PairState to, std::string reason, std::string next_action) {
  note(4, link.config.peer + " suspended: " + reason);
  link.attached = false;
  if (link.resync) {
    copies_outstanding -= std::min(copies_outstanding, link.resync->outstanding);
    link.resync.reset();
  }
  link.pair.move(to, reason, std::move(next_action));
  close(link, std::move(reason));
}

} // namespace rc::core
