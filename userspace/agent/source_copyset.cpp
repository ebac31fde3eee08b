// SPDX-License-Identifier: GPL-2.0-or-later
// A SourceRuntime as a seat of a copyset: common checkpoints by hold (docs/copyset.md). The ioctls are made
// at once, not from the loop: writes of hosts wait until the last member has lifted.
#include "agent/source_runtime.hpp"
#include "base/overloaded.hpp"

namespace rc::agent {

using namespace core;

void SourceRuntime::of_copyset(const copyset::Action& action) {
  std::visit(Overloaded{
                 [&](const copyset::StoreTable& order) { step(source::TableChanged{order.table}); },
                 [&](const copyset::OrderPromote& order) { step(source::PromoteOrdered{order.entry.id}); },
                 [&](const copyset::PutCheckpoint& order) { mark(order); },
                 [&](const copyset::LiftHold& order) { lift(order); }, [](const auto&) {}, // for a copy
             },
             action);
}

void SourceRuntime::mark(const copyset::PutCheckpoint& action) {
  source::CheckpointPut put;
  copyset::CheckpointPut answer{.n = action.n};
  const auto state =
      ring_ ? ring_->state() : Result<dmrc_state>(Error{ErrorCode::Failed, "the ring is not attached", ""});
  if (state)
    answer.era = Era{state->era};
  if (!state) {
    put.error = state.error().text();
  } else if (answer.era.generation() != action.n.generation()) {
    put.error = "it is of another generation than checkpoint " + to_string(answer.era) + " of this group";
  } else if (const auto done = ring_->checkpoint(action.n.n(), action.max_hold_us, action.epoch)) {
    put.checkpoint = done->checkpoint;
    put.marker_seq = done->marker_seq;
    put.time_ns = done->time_ns;
    answer.era = done->next;
    answer.holding = action.max_hold_us != 0;
  } else {
    put.error = done.error().text();
  }
  answer.error = put.error;
  step(put); // first: the report that the other answer makes says what changed by both
  services_.copysets.group_tells(row_.name, answer);
}

void SourceRuntime::lift(const copyset::LiftHold& action) {
  const Status held =
      ring_ ? ring_->lift(action.n.n()) : Status(Error{ErrorCode::Failed, "the ring is not attached", ""});
  services_.copysets.group_tells(row_.name, copyset::HoldLifted{action.n, held.ok()});
  if (const auto state = ring_ ? ring_->state() : Result<dmrc_state>(Error{}))
    hold_us_ = state->hold_us;
}

bool SourceRuntime::execute(source::TellCopyset& action) {
  std::visit([this](const auto& what) { services_.copysets.group_tells(row_.name, what); }, action.what);
  return true;
}

} // namespace rc::agent
