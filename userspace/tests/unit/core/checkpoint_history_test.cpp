// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/checkpoint_history.hpp"
#include "unit/core/samples.hpp"

#include <gtest/gtest.h>

namespace rc::core {
namespace {

TEST(CheckpointHistory, OnlyHeldOnesCount) {
  CheckpointHistory history;
  history.marker(record(DMRC_MARKER, 5, Era::of(1, 1)), 100);
  history.verdict(record(DMRC_VOID, 6, Era::of(1, 1)));
  EXPECT_FALSE(history.newest(100));
  history.marker(record(DMRC_MARKER, 7, Era::of(1, 2)), 200);
  history.verdict(record(DMRC_HELD, 9, Era::of(1, 2)));
  ASSERT_TRUE(history.newest(9));
  EXPECT_EQ(history.newest(9)->host_bytes, 200U);
  EXPECT_FALSE(history.newest(8)) << "its verdict is not there yet";
  EXPECT_EQ(history.count(), 1U);
}

TEST(CheckpointHistory, ForgettingKeepsTheNewestOneAtOrBefore) {
  CheckpointHistory history;
  for (Seq seq = 1; seq <= 9; seq += 2) {
    history.marker(record(DMRC_MARKER, seq, Era::of(1, seq)), seq);
    history.verdict(record(DMRC_HELD, seq + 1, Era::of(1, seq)));
  }
  history.forget_before(5);
  ASSERT_TRUE(history.newest(5));
  EXPECT_EQ(history.newest(5)->held, 4U);
  EXPECT_FALSE(history.newest(3));
}

TEST(CheckpointHistory, StaysBounded) {
  CheckpointHistory history;
  for (Seq seq = 1; seq <= 40'000; seq += 2) {
    history.marker(record(DMRC_MARKER, seq, Era::of(1, seq)), seq);
    history.verdict(record(DMRC_HELD, seq + 1, Era::of(1, seq)));
  }
  ASSERT_TRUE(history.newest(40'000));
  EXPECT_EQ(history.newest(40'000)->held, 40'000U);
  EXPECT_TRUE(history.newest(2)) << "thinned out, not cut off";
}

} // namespace
} // namespace rc::core
