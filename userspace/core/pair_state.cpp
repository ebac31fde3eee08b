// SPDX-License-Identifier: GPL-2.0-or-later
// The table of legal moves of a pair, on one screen. docs/core.md prints it for operators.
#include "core/pair_state.hpp"

#include "base/assert.hpp"

#include <iterator>
#include <utility>

namespace rc::core {
namespace {
using enum PairState;
constexpr PairMove moves[] = {
    {Simplex, InitialCopy, "the copy is blank: everything is copied"},
    {Simplex, Pending, "the copy is behind: a delta is copied, or it catches up"},
    {Simplex, Duplex, "the node restarted, the copy goes on where it was"},
    {Simplex, Suspended, "suspended by command before the first contact"},
    {Simplex, Failed, "refused: sizes, lineage or a damaged copy"},

    {InitialCopy, Duplex, "the first image is complete"},
    {InitialCopy, Pending, "the copy turned out to hold an image already"},
    {InitialCopy, Suspended, "command, overflow or a full journal"},
    {InitialCopy, Failed, "a disk, the journal or the peer failed"},
    {InitialCopy, Simplex, "the pair was removed"},

    {Duplex, Pending, "an interruption ended: it catches up or a delta is copied"},
    {Duplex, InitialCopy, "the copy lost everything (journal or volume replaced)"},
    {Duplex, Suspending, "suspend by command: the current copy is closed first"},
    {Duplex, Suspended, "command, overflow, a full journal, or the source goes on alone"},
    {Duplex, Failed, "a disk, the journal or the peer failed"},
    {Duplex, Simplex, "the pair was removed"},

    {Suspending, Suspended, "the copy is closed"},
    {Suspending, Failed, "a disk, the journal or the peer failed meanwhile"},
    {Suspending, Pending, "resumed by command before it was closed"},
    {Suspending, Simplex, "the pair was removed"},

    {Suspended, Pending, "resume by command, or by itself after an overflow"},
    {Suspended, InitialCopy, "resume of a copy that never had an image"},
    {Suspended, Duplex, "the copy went on where it was"},
    {Suspended, Failed, "a disk, the journal or the peer failed"},
    {Suspended, Simplex, "the pair was removed"},

    {Failed, Pending, "the cause is gone: a delta is copied, or it catches up"},
    {Failed, InitialCopy, "the cause is gone: the copy is blank"},
    {Failed, Duplex, "the cause is gone: the copy goes on where it was"},
    {Failed, Suspended, "suspended by command"},
    {Failed, Simplex, "the pair was removed"},

    {Pending, Duplex, "caught up: the image is complete"},
    {Pending, InitialCopy, "the copy turned out to be blank"},
    {Pending, Suspending, "suspend by command: the current copy is closed first"},
    {Pending, Suspended, "command, overflow or a full journal"},
    {Pending, Failed, "a disk, the journal or the peer failed"},
    {Pending, Simplex, "the pair was removed"},
};
} // namespace

std::span<const PairMove> pair_moves() { return moves; }

bool legal(PairState from, PairState to) {
  if (from == to)
    return true;
  for (const PairMove& move : moves)
    if (move.from == from && move.to == to)
      return true;
  return false;
}

const char* to_string(PairState state) {
  switch (state) {
  case Simplex:
    return "simplex";
  case InitialCopy:
    return "initial_copy";
  case Duplex:
    return "duplex";
  case Suspending:
    return "suspending";
  case Suspended:
    return "suspended";
  case Failed:
    return "failed";
  case Pending:
    return "pending";
  }
  return "?";
}

void Pair::move(PairState to, std::string reason, std::string next_action) {
  RC_ASSERT(legal(state_, to));
  state_ = to;
  reason_ = std::move(reason);
  next_action_ = std::move(next_action);
}

} // namespace rc::core
