// SPDX-License-Identifier: GPL-2.0-or-later
// The rendezvous (docs/copyset.md, paper seeds/002, Figs. 3C and 3D): copies report what is held and durable;
// when all have n the master says release n; each stores that, sets update in progress, applies, says
// complete; when all have completed, the master says reset. A master knows nothing by itself: it asks every
// seat first, and rolls forward to the highest release that any of them has stored, never back.
#include "core/copyset_parts.hpp"
#include "core/mutation.hpp"

#include <algorithm>

namespace rc::core {
using namespace copyset;
using format::RendezvousOrder;
using format::Seat;

// ---- the copy

void Copyset::Parts::on_rendezvous_order(const RendezvousOrder& order, const Seat& from) {
  if (!promise(order.term, from))
    return;
  if (order.takeover)
    on_takeover_order(*order.takeover);
  if (holds == Holds::Copy && !copy.awaiting) {
    if (order.release > copy.released)
      out.push_back(OrderRelease{order.release});
    if (order.reset.value != 0 && order.reset == copy.complete && reset != order.reset) {
      reset = order.reset;
      out.push_back(OrderReset{order.reset});
    }
    if (order.sync != format::SyncOrder{})
      out.push_back(OrderSync{order.term, order.sync});
    if (copy.ending && order.discard == copy.complete)
      out.push_back(OrderDiscard{copy.complete});
  }
  report();
}

format::RendezvousReport Copyset::Parts::rendezvous_report() const {
  format::SyncReport sync = copy.sync;
  if (copy.rounds_of != promised) // rounds of another term are other rounds, whatever their numbers
    sync.stamped = sync.answered = 0;
  return {promised,    copy.held,     copy.released,          copy.complete, copy.image, copy.ending,
          copy.closed, copy.takeover, copy.newest_generation, copy.awaiting, copy.entry, sync};
}

// ---- the master

bool Copyset::Parts::all_heard(const std::vector<Seat>& seats) {
  bool all = !seats.empty();
  for (const Seat& seat : seats) {
    const Heard* one = fresh(seat);
    // A seat that writes already counts where its takeover is finished.
    if (one && (one->copy || one->primary))
      continue;
    all = false;
    waits_for += (waits_for.empty() ? "" : ", ") + to_string(seat);
  }
  return all;
}

void Copyset::Parts::rendezvous() {
  const std::vector<Seat> seats = needed();
  RendezvousOrder order;
  order.term = term;
  if (!all_heard(seats)) {
    step_in_words = "asks all copies of the site";
    return order_all(seats, order);
  }
  if (takeover_wanted || takeover_begun(seats))
    return take_over(seats);
  const bool all_copies = std::all_of(seats.begin(), seats.end(),
                                      [&](const Seat& seat) { return fresh(seat)->copy.has_value(); });
  if (!all_copies) {
    step_in_words = "waits: a group of this site is primary elsewhere than the others";
    return order_all(seats, order);
  }

  const Era stored = newest_released(seats);
  const bool all_complete = std::all_of(seats.begin(), seats.end(), [&](const Seat& seat) {
    return fresh(seat)->copy->complete == stored && fresh(seat)->copy->released == stored;
  });
  const bool reachable =
      std::all_of(seats.begin(), seats.end(), [&](const Seat& seat) { return can_reach(seat, stored); });
  if (all_complete) {
    order.reset = stored;
    order.release = newest_common(seats, stored);
    step_in_words = order.release.value ? "releases checkpoint " + rc::to_string(order.release)
                                        : "waits for a checkpoint that all copies have";
  } else if (reachable) {
    order.release = stored; // all go on to it, never back
    step_in_words = "releases checkpoint " + rc::to_string(stored);
  } else {
    // A copy was made anew or resynchronises: no image is whole before all have a checkpoint beyond.
    order.release = newest_common(seats, stored);
    step_in_words = "waits for a checkpoint after the resync of a copy";
  }
  order_sync(seats, stored, all_complete, order.sync);
  order_all(seats, order);
}

// What a copy holds beyond the image may be needed by the others, until the master knows of no release that
// it could be part of.
std::optional<Era> Copyset::Parts::gives_up(const Seat& seat, Era release) const {
  const Heard* one = fresh(seat);
  if (!one || !one->copy || !one->copy->ending || one->copy->released != one->copy->complete ||
      release.value != 0)
    return std::nullopt;
  if (newest_ordered > one->copy->complete && can_reach(seat, newest_ordered))
    return std::nullopt;
  return one->copy->complete;
}

void Copyset::Parts::order_all(const std::vector<Seat>& seats, RendezvousOrder order) {
  newest_ordered = std::max({newest_ordered, order.release, newest_released(seats)});
  const bool all_known = waits_for.empty();
  for (const Seat& seat : seats) {
    Heard& one = heard[seat];
    if (!order.takeover) {
      const std::optional<Era> rest = all_known ? gives_up(seat, order.release) : std::nullopt;
      const bool to_seal = rest && one.copy->sync.since.value != 0 && !one.copy->sync.passed;
      const bool closing = order.sync.shut != order.sync.all_shut; // a discard tells the source that all have
      order.discard = to_seal || closing ? std::nullopt : rest;
      order.sync.seal = to_seal && order.sync.all_shut.value != 0 ? term_of_all(seats) : Era{};
      one.granted = one.granted || order.discard || order.sync.seal.value != 0;
    }
    const bool same = one.ordered_ns != 0 && one.ordered.term == order.term &&
                      one.ordered.release == order.release && one.ordered.reset == order.reset &&
                      one.ordered.discard == order.discard && one.ordered.takeover == order.takeover &&
                      one.ordered.sync == order.sync;
    if (same && now.boot_ns - one.ordered_ns < copyset_resend_ns)
      continue;
    one.ordered = order;
    one.ordered_ns = now.boot_ns;
    post(seat, order);
  }
}

Era Copyset::Parts::newest_released(const std::vector<Seat>& seats) const {
  Era newest{};
  for (const Seat& seat : seats)
    if (const Heard* one = fresh(seat); one && one->copy)
      newest = std::max(newest, one->copy->released);
  return newest;
}

namespace {
const format::HeldRange* range_of(const format::RendezvousReport& report, Era n) {
  for (const format::HeldRange& range : report.held)
    if (range.first <= n && n <= range.last)
      return &range;
  return nullptr;
}
} // namespace

bool Copyset::Parts::can_reach(const Seat& seat, Era n) const {
  const Heard* one = fresh(seat);
  return one && one->copy && (one->copy->released == n || (!one->granted && range_of(*one->copy, n)));
}

// The newest checkpoint that is valid: held in the streams of all groups that were members under its epoch.
Era Copyset::Parts::newest_common(const std::vector<Seat>& seats, Era above) const {
  const auto holds_it = [&](const Seat& seat, Era n, Epoch epoch) {
    const Heard* one = fresh(seat);
    const format::HeldRange* range = one && one->copy && !one->granted ? range_of(*one->copy, n) : nullptr;
    return range && range->epoch == epoch;
  };
  const Heard* first = fresh(seats.front());
  if (!first || !first->copy)
    return {};
  const auto& held = first->copy->held;
  for (auto range = held.rbegin(); range != held.rend(); ++range) {
    const std::vector<std::string>* groups = groups_at(table, range->epoch);
    if (!groups)
      continue;
    for (Era n = range->last; n >= range->first && n > above; n.value--) {
      const bool all_members = std::all_of(groups->begin(), groups->end(), [&](const std::string& group) {
        return holds_it({group, config.self.site}, n, range->epoch);
      });
      const bool all_seats = std::all_of(seats.begin(), seats.end(),
                                         [&](const Seat& seat) { return holds_it(seat, n, range->epoch); });
      if ((all_members && all_seats) || mutated(Mutation::ReleaseForOneMember))
        return n;
    }
  }
  return {};
}

} // namespace rc::core
