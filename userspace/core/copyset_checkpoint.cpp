// SPDX-License-Identifier: GPL-2.0-or-later
// The cut (docs/copyset.md, paper seeds/002, Fig. 3B): the master asks all members for marker n; each puts it
// and withholds what completes later; when ALL have marked, all lift. Whether n holds is decided by each
// kernel at the moment its hold ends, and travels in the stream as `held n` or `void n`; the master's own
// knowledge counts for nothing, so its death at any moment harms nothing.
#include "core/copyset_parts.hpp"
#include "core/mutation.hpp"

#include <algorithm>

namespace rc::core {
using namespace copyset;
using format::CheckpointOrder;
using format::Seat;

// ---- the member

void Copyset::Parts::on_checkpoint_order(const CheckpointOrder& order, const Seat& from) {
  if (!promise(order.term, from))
    return;
  const bool can_mark = holds == Holds::Primary && source.running && !source.awaiting;
  if (order.step == CheckpointOrder::Step::Mark && can_mark && marked != order.n) {
    if (marking == order.n)
      return; // the answer reports
    if (order.n >= source.era && marking.value == 0) {
      marking = order.n;
      out.push_back(PutCheckpoint{order.n, order.max_hold_us, table.epoch});
      return;
    }
  }
  if (order.step == CheckpointOrder::Step::Lift && marked == order.n && holding) {
    if (!lifting)
      out.push_back(LiftHold{order.n});
    lifting = true;
    return;
  }
  report();
}

void Copyset::Parts::on_put(const CheckpointPut& event) {
  marking = {};
  source.era = std::max(source.era, event.era);
  if (event.error.empty()) {
    marked = event.n;
    holding = event.holding;
    held = !event.holding;
    lifting = holding && mutated(Mutation::LiftBeforeAllMarked);
    if (lifting)
      out.push_back(LiftHold{marked});
  } else {
    note(6, "checkpoint " + rc::to_string(event.n) + " could not be marked: " + event.error);
  }
  report();
}

void Copyset::Parts::on_lifted(const HoldLifted& event) {
  if (event.n != marked)
    return;
  holding = lifting = false;
  held = event.held;
  report();
}

format::CheckpointReport Copyset::Parts::checkpoint_report() const {
  return {promised, source.running, source.era, marked, holding, held, source.awaiting, source.entry};
}

// ---- the master

void Copyset::Parts::make_checkpoints() {
  const std::vector<Seat> members = needed();
  bool all_run = !members.empty();
  for (const Seat& seat : members) {
    const Heard* one = fresh(seat);
    if (one && one->primary && one->primary->running && !one->primary->awaiting)
      continue;
    all_run = false;
    waits_for += (waits_for.empty() ? "" : ", ") + to_string(seat);
  }
  const auto all = [&](auto&& is) {
    return std::all_of(members.begin(), members.end(), [&](const Seat& seat) {
      const Heard* one = fresh(seat);
      return one && one->primary && is(*one->primary);
    });
  };
  const std::uint64_t age_ns = now.boot_ns - round.began_ns;
  switch (round.step) {
  case Round::Step::Idle:
    step_in_words = all_run ? "waits for the time of the next checkpoint" : "waits for members";
    if (all_run && now.boot_ns >= next_round_ns)
      begin_round(members);
    break;
  case Round::Step::Marking: {
    step_in_words = "marks checkpoint " + rc::to_string(round.n);
    const bool refused =
        !all([&](const auto& report) { return report.marked == round.n || report.era <= round.n; });
    if (all([&](const auto& report) { return report.marked == round.n; })) {
      round.step = Round::Step::Lifting;
      for (const Seat& seat : members)
        order_checkpoint(seat, CheckpointOrder::Step::Lift);
    } else if (age_ns > config.max_hold_ms * ms || !all_run || refused) {
      end_round(false);
    }
    break;
  }
  case Round::Step::Lifting:
    step_in_words = "lifts checkpoint " + rc::to_string(round.n);
    if (all([&](const auto& report) { return report.marked != round.n || !report.holding; }))
      end_round(all([&](const auto& report) { return report.marked == round.n && report.held; }));
    else if (age_ns > 3 * config.max_hold_ms * ms)
      end_round(false);
    break;
  }
  say_again(seats_of(table, config.self.site));
}

void Copyset::Parts::begin_round(const std::vector<Seat>& members) {
  Era n = std::max(round.n, Era{});
  if (n.value != 0)
    n.value++;
  for (const Seat& seat : members)
    n = std::max(n, fresh(seat)->primary->era);
  round = {Round::Step::Marking, n, now.boot_ns};
  for (const Seat& seat : members)
    order_checkpoint(seat, CheckpointOrder::Step::Mark);
}

void Copyset::Parts::end_round(bool valid) {
  const std::uint64_t interval = config.checkpoint_interval_ms * ms;
  // A round that failed is followed by another soon, but not by a storm of them.
  next_round_ns = valid ? round.began_ns + interval : now.boot_ns + std::min(interval, copyset_resend_ns);
  round.step = Round::Step::Idle;
  if (valid) {
    last_valid = round.n;
    ++checkpoints;
  } else {
    ++voids;
  }
}

void Copyset::Parts::order_checkpoint(const Seat& seat, CheckpointOrder::Step step) {
  heard[seat].ordered_ns = now.boot_ns;
  const bool alone = needed().size() == 1 || mutated(Mutation::NoHold);
  post(seat, CheckpointOrder{term, step, round.n, alone ? 0 : config.max_hold_ms * 1000});
}

// What got lost is said again: to seats that have not promised, that have not marked, that have not lifted.
void Copyset::Parts::say_again(const std::vector<Seat>& members) {
  const bool idle = round.step == Round::Step::Idle;
  const std::uint64_t pause_ns =
      idle ? copyset_resend_ns : config.max_hold_ms * ms / 4; // a hold doesn't wait
  for (const Seat& seat : members) {
    Heard& one = heard[seat];
    if (now.boot_ns - one.ordered_ns < pause_ns)
      continue;
    if (!one.primary)
      order_checkpoint(seat, CheckpointOrder::Step::Ask);
    else if (round.step == Round::Step::Marking && one.primary->marked != round.n)
      order_checkpoint(seat, CheckpointOrder::Step::Mark);
    else if (round.step == Round::Step::Lifting && one.primary->marked == round.n && one.primary->holding)
      order_checkpoint(seat, CheckpointOrder::Step::Lift);
  }
}

// This seat was promoted, so all have stored the entry: whoever still waits for the word may write.
void Copyset::Parts::promote_late_seats() {
  if (!source.running)
    return; // it may have been away itself, and another site have taken over meanwhile
  for (auto& [seat, one] : heard) {
    const bool waits = (one.primary && one.primary->awaiting && one.primary->entry.id == source.entry.id) ||
                       (one.copy && one.copy->awaiting && one.copy->entry.id == source.entry.id);
    if (!waits || now.boot_ns - one.ordered_ns < copyset_resend_ns)
      continue;
    one.ordered_ns = now.boot_ns;
    format::RendezvousOrder order;
    order.term = term;
    order.takeover = format::TakeoverOrder{format::TakeoverOrder::Step::Promote, source.entry};
    post(seat, order);
  }
}

} // namespace rc::core
