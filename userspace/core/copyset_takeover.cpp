// SPDX-License-Identifier: GPL-2.0-or-later
// Takeover of a site with several nodes, one step after the other, each only when all seats have reported the
// one before: close (what comes later doesn't count), roll forward to the last checkpoint that all have,
// store the lineage entry, promote. Half a generation must never write: a host may write only when the entry
// is stored everywhere. What is stored says how far it got, so any master goes on from there.
#include "core/copyset_parts.hpp"
#include "core/mutation.hpp"

#include <algorithm>

namespace rc::core {
using namespace copyset;
using format::RendezvousOrder;
using format::Seat;
using format::TakeoverOrder;

// ---- the seat

void Copyset::Parts::on_takeover_order(const TakeoverOrder& order) {
  if (holds == Holds::Primary) {
    if (order.step == TakeoverOrder::Step::Promote && source.awaiting && source.entry.id == order.entry.id)
      out.push_back(OrderPromote{order.entry});
    return;
  }
  if (holds != Holds::Copy)
    return;
  const bool this_one = copy.takeover && copy.takeover->id == order.entry.id;
  switch (order.step) {
  case TakeoverOrder::Step::Close:
    if (!copy.awaiting && !this_one)
      out.push_back(OrderClose{order.entry});
    break;
  case TakeoverOrder::Step::Lineage:
    if (mutated(Mutation::TakeoverTakesMinimum) && this_one && copy.released == copy.complete)
      out.push_back(OrderLineage{{order.entry.generation, order.entry.site, order.entry.id, copy.complete}});
    else if (!copy.awaiting && this_one && copy.closed && copy.complete == order.entry.base &&
             copy.released == order.entry.base)
      out.push_back(OrderLineage{order.entry});
    break;
  case TakeoverOrder::Step::GiveUp:
    if (copy.takeover && !copy.awaiting)
      out.push_back(OrderGiveUp{*copy.takeover});
    break;
  case TakeoverOrder::Step::Promote:
    if (copy.awaiting && copy.entry.id == order.entry.id)
      out.push_back(OrderPromote{order.entry});
    break;
  }
}

// ---- the master

bool Copyset::Parts::takeover_begun(const std::vector<Seat>& seats) const {
  return std::any_of(seats.begin(), seats.end(), [&](const Seat& seat) {
    const Heard* one = fresh(seat);
    return (one->copy && (one->copy->takeover || one->copy->awaiting)) ||
           (one->primary && one->primary->awaiting);
  });
}

// The entry that is stored counts; of two (a master was replaced in the middle) the higher one.
format::LineageEntry Copyset::Parts::takeover_entry(const std::vector<Seat>& seats) const {
  format::LineageEntry entry;
  bool final = false; // stored as lineage by a seat: no other can be the one
  std::uint64_t newest = 0;
  const auto consider = [&](const format::LineageEntry& other, bool stored) {
    if (stored > final ||
        (stored == final && std::pair(other.generation, other.id) > std::pair(entry.generation, entry.id)))
      entry = other;
    final = final || stored;
  };
  for (const Seat& seat : seats) {
    const Heard& one = *fresh(seat);
    if (one.primary && one.primary->awaiting)
      consider(one.primary->entry, true);
    if (one.copy && one.copy->awaiting)
      consider(one.copy->entry, true);
    if (one.copy && one.copy->takeover && !one.copy->awaiting)
      consider(*one.copy->takeover, false);
    if (one.copy)
      newest = std::max(newest, one.copy->newest_generation);
  }
  if (takeover_ordered)
    consider(*takeover_ordered, false);
  if (entry.generation == 0)
    entry = {newest + 1, config.self.site, takeover_wanted.value_or(0), Era{}};
  return entry;
}

std::string Copyset::Parts::takeover_problem(const std::vector<Seat>& seats) const {
  for (const Seat& seat : seats) {
    const Heard& one = *fresh(seat);
    if (!one.copy)
      return to_string(seat) + " is no copy";
    if (!one.copy->image)
      return to_string(seat) + " holds no restartable image";
  }
  const Era stored = newest_released(seats);
  const bool reachable =
      std::all_of(seats.begin(), seats.end(), [&](const Seat& seat) { return can_reach(seat, stored); });
  if (!reachable && newest_common(seats, stored).value == 0)
    return "the copies of the site have no checkpoint in common";
  return {};
}

void Copyset::Parts::take_over(const std::vector<Seat>& seats) {
  RendezvousOrder order;
  order.term = term;
  const bool begun = takeover_begun(seats);
  const format::LineageEntry entry = takeover_entry(seats);
  const bool decided = std::any_of(seats.begin(), seats.end(), [&](const Seat& seat) {
    const Heard& one = *fresh(seat);
    return (one.copy && one.copy->awaiting) || (one.primary && one.primary->entry.id == entry.id);
  });
  if (const std::string problem = decided ? std::string() : takeover_problem(seats); !problem.empty()) {
    if (begun) {
      step_in_words = "takeover: gives up, " + problem;
      order.takeover = TakeoverOrder{TakeoverOrder::Step::GiveUp, entry};
      order_all(seats, order);
    }
    takeover_ordered.reset();
    if (std::exchange(takeover_wanted, std::nullopt))
      out.push_back(TakeoverRefused{problem, "take over at another site, or let the resync end first"});
    return;
  }
  if (begun)
    takeover_wanted.reset(); // from here on what is stored says so
  const auto all = [&](auto&& is) {
    return std::all_of(seats.begin(), seats.end(), [&](const Seat& seat) { return is(*fresh(seat)); });
  };
  const auto has_entry = [&](const Heard& one) { // stored as its lineage
    return (one.copy && one.copy->awaiting && one.copy->entry.id == entry.id) ||
           (one.primary && one.primary->entry.id == entry.id);
  };
  const auto closed = [&](const Heard& one) {
    return has_entry(one) ||
           (one.copy && one.copy->takeover && one.copy->takeover->id == entry.id && one.copy->closed);
  };
  takeover_ordered = entry;
  order.takeover = TakeoverOrder{TakeoverOrder::Step::Close, entry};
  step_in_words = "takeover: closes the streams";
  if (all(has_entry)) {
    order.takeover->step = TakeoverOrder::Step::Promote;
    step_in_words = "takeover: promotes";
  } else if (all(closed)) {
    Era target = newest_released(seats);
    for (const Seat& seat : seats)
      if (has_entry(*fresh(seat))) // decided
        target = fresh(seat)->copy ? fresh(seat)->copy->entry.base : fresh(seat)->primary->entry.base;
    if (!decided)
      if (const Era common = newest_common(seats, target); common.value != 0)
        target = common;
    const bool complete =
        mutated(Mutation::TakeoverTakesMinimum) || all([&](const Heard& one) {
          return has_entry(one) || (one.copy->complete == target && one.copy->released == target);
        });
    const Era term = decided || mutated(Mutation::NoSealInTakeover) ? Era{} : term_of_all(seats);
    if (complete && term.value != 0 && !all_passed(seats)) {
      order.sync.seal = term;
      step_in_words = "takeover: applies what was written while the site was current";
    } else if (complete) {
      order.takeover->step = TakeoverOrder::Step::Lineage;
      order.takeover->entry.base = target;
      step_in_words = "takeover: stores the lineage";
    } else {
      order.release = target;
      step_in_words = "takeover: rolls forward to checkpoint " + rc::to_string(target);
    }
  }
  order_all(seats, order);
}

} // namespace rc::core
