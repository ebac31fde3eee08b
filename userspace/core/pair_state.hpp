// SPDX-License-Identifier: GPL-2.0-or-later
// The state of a pair (a group and its copy at another site, seen from either end): one table of legal moves
// on one screen, and for each state a reason and a next action in words. Failure is a state with a reason,
// never silence. Paper: seeds/004 (SMPL, COPY, PAIR, SUSP).
#pragma once

#include <span>
#include <string>

namespace rc::core {

enum class PairState {
  Simplex,     // no copy is being made
  InitialCopy, // the copy gathers everything; it never had an image
  Duplex,      // every record goes there in order; checkpoints become images
  Suspending,  // a sync copy is being closed, or the copy goes on to the checkpoint where it stops
  Suspended,   // stopped by command, overflow or a full journal; the region map knows what is missing
  Failed,      // suspended by a failure that needs somebody
  Pending,     // resynchronising, or catching up after an interruption
};
constexpr int pair_states = 7;

struct PairMove {
  PairState from;
  PairState to;
  const char* cause; // for operators: docs/core.md prints the table
};
std::span<const PairMove> pair_moves();
bool legal(PairState from, PairState to);
const char* to_string(PairState state); // "initial_copy"

// One setter. A move that is not in the table is a programmer's error (asserted); a move to the same state
// only changes the words.
class Pair {
public:
  void move(PairState to, std::string reason, std::string next_action);
  PairState state() const { return state_; }
  const std::string& reason() const { return reason_; }
  const std::string& next_action() const { return next_action_; }

private:
  PairState state_ = PairState::Simplex;
  std::string reason_ = "not yet connected";
  std::string next_action_ = "wait for the link";
};

} // namespace rc::core
