// SPDX-License-Identifier: GPL-2.0-or-later
// A sync site of several copies, at its master (docs/copyset.md, "Sync"; design.md section 5, sync and
// freeze; papers seeds/002 and seeds/003: the whole set is suspended before any host goes on). What it knows
// it has heard in this term; each decision follows from what the copies have stored, so another master comes
// to the same.
//
// Begin: all sources wait, then a checkpoint that all copies have completed, then all store the term, then it
// is confirmed. End: whatever one copy, link or source meets, all close; when all have, sources may go on
// alone. The term stays until every image is beyond the close: until then a takeover applies the seal.
#include "core/copyset_parts.hpp"
#include "core/mutation.hpp"

#include <algorithm>

namespace rc::core {
using format::RendezvousReport;
using format::Seat;
using format::SyncOrder;

// The term that every copy has stored; 0: there is none.
Era Copyset::Parts::term_of_all(const std::vector<Seat>& seats) const {
  Era term{};
  for (const Seat& seat : seats) {
    const Heard* one = fresh(seat);
    if (mutated(Mutation::SealOfOne) && one && one->copy && one->copy->sync.since.value == 0)
      continue;
    if (!one || !one->copy || one->copy->sync.since.value == 0 ||
        (term.value != 0 && one->copy->sync.since != term))
      return {};
    term = one->copy->sync.since;
  }
  return term;
}

bool Copyset::Parts::all_passed(const std::vector<Seat>& seats) const {
  return std::all_of(seats.begin(), seats.end(), [&](const Seat& seat) {
    const Heard* one = fresh(seat);
    return one && one->copy &&
           (one->copy->sync.passed || (mutated(Mutation::SealOfOne) && one->copy->sync.since.value == 0));
  });
}

void Copyset::Parts::run_lease_rounds(const std::vector<Seat>& seats, SyncOrder& order) {
  std::uint64_t stamped = ~0ULL, answered = ~0ULL, lease_ns = ~0ULL;
  for (const Seat& seat : seats) {
    const format::SyncReport& sync = fresh(seat)->copy->sync;
    stamped = std::min(stamped, sync.stamped);
    answered = std::min(answered, sync.answered);
    lease_ns = std::min(lease_ns, sync.lease_ns);
  }
  // One round has one lease for all.
  if (lease_round.lease_ns != lease_ns || now.boot_ns - lease_round.began_ns >= lease_ns / 4)
    lease_round = {lease_round.number + 1, now.boot_ns, lease_ns};
  order.lease_ns = lease_ns;
  order.stamp = lease_round.number;
  order.challenge = mutated(Mutation::StampAtOwnChallenge) ? lease_round.number : stamped;
  order.renew = answered;
}

// For people: why the site is not current, or since when it is.
std::string Copyset::Parts::sync_in_words(const std::vector<Seat>& seats, const SyncOrder& order) const {
  if (order.confirmed.value != 0)
    return "; current since checkpoint " + rc::to_string(order.confirmed);
  const bool closing = order.shut != order.all_shut;
  std::string waits;
  bool any_sync = false;
  for (const Seat& seat : seats) {
    const format::SyncReport& sync = fresh(seat)->copy->sync;
    any_sync = any_sync || sync.lease_ns != 0;
    const char* why = closing                     ? (sync.shut < order.shut ? " has not closed" : nullptr)
                      : order.all_shut.value != 0 ? (sync.passed ? nullptr : " has no newer image")
                      : sync.lease_ns == 0        ? " is async, or resynchronises"
                      : sync.ready.value == 0     ? " has a source that does not wait yet"
                                                  : nullptr;
    if (why)
      waits += (waits.empty() ? ": " : ", ") + to_string(seat) + why;
  }
  return any_sync ? "; not current" + waits : std::string();
}

void Copyset::Parts::order_sync(const std::vector<Seat>& seats, Era stored, bool complete, SyncOrder& order) {
  const auto all = [&](auto&& is) {
    return std::all_of(seats.begin(), seats.end(), [&](const Seat& seat) { return is(*fresh(seat)->copy); });
  };
  Era term{}, ready{}, shut{};
  for (const Seat& seat : seats) {
    const format::SyncReport& sync = fresh(seat)->copy->sync;
    term = std::max(term, sync.since);
    ready = std::max(ready, sync.ready);
    shut = std::max(shut, sync.shut);
  }
  const bool all_sync = all([](const RendezvousReport& copy) { return copy.sync.lease_ns != 0; });
  const bool waits =
      all_sync && (all([](const RendezvousReport& copy) { return copy.sync.ready.value != 0; }) ||
                   (mutated(Mutation::StaggeredSync) && ready.value != 0));
  if (term.value == 0) {
    if (waits && complete && ready <= stored && ready > shut)
      order.current = ready;
  } else {
    const bool joins = all([&](const RendezvousReport& copy) {
      const format::SyncReport& sync = copy.sync;
      return sync.since == term || (sync.since.value == 0 && sync.ready.value != 0 && sync.ready <= term);
    });
    const bool any_shut = std::any_of(seats.begin(), seats.end(), [&](const Seat& seat) {
      const RendezvousReport& copy = *fresh(seat)->copy;
      return copy.sync.shut >= term || copy.ending;
    });
    const bool in_term = term_of_all(seats) == term;
    if (all_sync && joins && !any_shut) {
      (in_term ? order.confirmed : order.current) = term;
    } else {
      order.shut = term;
      const bool all_shut = all([&](const RendezvousReport& copy) { return copy.sync.shut >= term; });
      if (all_shut)
        order.all_shut = term;
      if (all_shut && (!in_term || all_passed(seats) || mutated(Mutation::ReopenBeforePassed)))
        order.reopen = term;
    }
  }
  step_in_words += sync_in_words(seats, order);
  if (all_sync && order.shut == order.all_shut) // else no lease is renewed until all have closed
    run_lease_rounds(seats, order);
}

} // namespace rc::core
