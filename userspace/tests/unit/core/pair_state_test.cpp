// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/pair_state.hpp"

#include <gtest/gtest.h>

#include <set>

namespace rc::core {
namespace {

TEST(PairState, EveryStateCanFailAndCanBeRemoved) {
  for (int i = 0; i < pair_states; ++i) {
    const auto from = static_cast<PairState>(i);
    EXPECT_TRUE(legal(from, PairState::Failed)) << to_string(from);
    EXPECT_TRUE(legal(from, PairState::Simplex)) << to_string(from);
  }
}

TEST(PairState, NothingBecomesDuplexFromSuspendingAndNothingSuspendsTwice) {
  EXPECT_FALSE(legal(PairState::Suspending, PairState::Duplex));
  EXPECT_FALSE(legal(PairState::Suspended, PairState::Suspending));
  EXPECT_FALSE(legal(PairState::Simplex, PairState::Suspending));
}

TEST(PairState, TheTableHasNoDoublesAndSaysWhy) {
  std::set<std::pair<PairState, PairState>> seen;
  for (const PairMove& move : pair_moves()) {
    EXPECT_TRUE(seen.insert({move.from, move.to}).second)
        << to_string(move.from) << " " << to_string(move.to);
    EXPECT_NE(move.from, move.to);
    EXPECT_STRNE(move.cause, "");
  }
}

TEST(PairState, OnlyTheWordsChangeWhenTheStateStays) {
  Pair pair;
  pair.move(PairState::Pending, "catching up", "wait");
  pair.move(PairState::Pending, "resynchronising", "wait longer");
  EXPECT_EQ(pair.state(), PairState::Pending);
  EXPECT_EQ(pair.reason(), "resynchronising");
  EXPECT_EQ(pair.next_action(), "wait longer");
}

TEST(PairStateDeath, AMoveThatIsNotInTheTableIsAProgrammersError) {
  Pair pair;
  EXPECT_DEATH(pair.move(PairState::Suspending, "", ""), "legal");
}

} // namespace
} // namespace rc::core
