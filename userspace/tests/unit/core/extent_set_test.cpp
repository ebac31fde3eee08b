// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/extent_set.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace rc::core {
namespace {

TEST(ExtentSet, TouchingStretchesAreOne) {
  ExtentSet set;
  set.add(0, 0, 8);
  set.add(0, 16, 8);
  set.add(0, 8, 8);
  EXPECT_EQ(set.stretches(), 1U);
  EXPECT_EQ(set.sectors(), 24U);
  EXPECT_TRUE(set.covers(0, 0, 24));
  EXPECT_FALSE(set.covers(0, 0, 25));
  EXPECT_FALSE(set.covers(1, 0, 1));
}

TEST(ExtentSet, RemovingTheMiddleLeavesBothEnds) {
  ExtentSet set;
  set.add(3, 100, 100);
  set.remove(3, 120, 10);
  EXPECT_EQ(set.sectors(), 90U);
  EXPECT_TRUE(set.covers(3, 100, 20));
  EXPECT_TRUE(set.covers(3, 130, 70));
  EXPECT_FALSE(set.covers(3, 119, 2));
}

TEST(ExtentSet, TakesInOrderUpToTheBoundary) {
  ExtentSet set;
  set.add(0, 6, 20);
  const auto first = set.take(100, 8);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->sector, 6U);
  EXPECT_EQ(first->sectors, 2U);
  const auto second = set.take(4, 8);
  EXPECT_EQ(second->sector, 8U);
  EXPECT_EQ(second->sectors, 4U);
  EXPECT_EQ(set.sectors(), 14U);
  while (set.take(100, 0)) {
  }
  EXPECT_TRUE(set.empty());
  EXPECT_FALSE(set.take(1, 0));
}

TEST(ExtentSet, BehavesLikeASetOfSectors) {
  std::mt19937 random(7);
  ExtentSet set;
  std::set<std::pair<int, int>> plain;
  for (int step = 0; step < 3000; ++step) {
    const int volume = static_cast<int>(random() % 2);
    const int from = static_cast<int>(random() % 60);
    const int count = static_cast<int>(random() % 12);
    const bool add = random() % 2 == 0;
    for (int sector = from; sector < from + count; ++sector) {
      if (add)
        plain.insert({volume, sector});
      else
        plain.erase({volume, sector});
    }
    if (add)
      set.add(static_cast<VolumeNumber>(volume), from, count);
    else
      set.remove(static_cast<VolumeNumber>(volume), from, count);
    ASSERT_EQ(set.sectors(), plain.size());
    for (const auto& extent : set.extents())
      for (std::uint64_t sector = extent.sector; sector < extent.sector + extent.sectors; ++sector)
        ASSERT_TRUE(plain.count({extent.volume, static_cast<int>(sector)}));
  }
}

} // namespace
} // namespace rc::core
