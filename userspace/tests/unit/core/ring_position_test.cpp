// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/ring_position.hpp"
#include "unit/core/samples.hpp"

#include <gtest/gtest.h>

namespace rc::core {
namespace {

constexpr std::uint64_t one = test_region * DMRC_SECTOR_BYTES;

TEST(RingPosition, CountsBytesBetweenRecords) {
  RingPosition ring;
  ring.attach(test_stream, 0, 1 << 20, 16);
  ring.add(std::vector{write(1), copy(2, 0, 1), record(DMRC_MARKER, 3), write(4)});
  EXPECT_EQ(ring.bytes(0, 4, true), 3 * one);
  EXPECT_EQ(ring.bytes(0, 4, false), 2 * one) << "copy data is not for this link";
  EXPECT_EQ(ring.bytes(3, 4, true), one);
  EXPECT_EQ(ring.used_bytes(), 2 * one) << "copy data lies in copy slots";
  EXPECT_EQ(ring.copies_held(), 1U);
}

TEST(RingPosition, ReachesAsFarAsTheBudget) {
  RingPosition ring;
  ring.attach(test_stream, 0, 1 << 20, 16);
  ring.add(std::vector{write(1), write(2), record(DMRC_MARKER, 3), write(4), write(5)});
  EXPECT_EQ(ring.reach(0, 5, 10 * one, true), 5U);
  EXPECT_EQ(ring.reach(0, 5, 2 * one, true), 3U);
  EXPECT_EQ(ring.reach(0, 5, one - 1, true), 0U) << "not even one";
  EXPECT_EQ(ring.reach(2, 5, one, true), 4U);
}

TEST(RingPosition, GoesOnAroundItsArray) {
  RingPosition ring;
  ring.attach(test_stream, 100, 1 << 20, 4);
  for (Seq seq = 101; seq <= 150; ++seq) {
    ring.add(std::vector{write(seq)});
    ring.set_written(seq);
    ring.set_freed(seq - 2 > 100 ? seq - 2 : 100);
    EXPECT_LE(ring.used_bytes(), 2 * one);
  }
  EXPECT_TRUE(ring.knows(145));
  EXPECT_FALSE(ring.knows(120));
  EXPECT_EQ(ring.bytes(145, 150, true), 5 * one);
}

TEST(RingPosition, WrittenIsNeverBeyondWhatWasRead) {
  RingPosition ring;
  ring.attach(test_stream, 0, 1 << 20, 16);
  ring.set_written(5);
  EXPECT_EQ(ring.written(), 0U);
  ring.add(std::vector{write(1), write(2)});
  EXPECT_EQ(ring.written(), 2U);
}

TEST(RingPosition, UseIsOfTheFullerRing) {
  RingPosition ring;
  ring.attach(test_stream, 0, 8 * one, 4);
  ring.add(std::vector{record(DMRC_MARKER, 1), record(DMRC_HELD, 2)});
  EXPECT_DOUBLE_EQ(ring.used(), 0.5);
  ring.add(std::vector{write(3)});
  EXPECT_DOUBLE_EQ(ring.used(), 0.75);
}

TEST(RingPositionDeath, AGapIsAProgrammersError) {
  RingPosition ring;
  ring.attach(test_stream, 0, 1 << 20, 16);
  EXPECT_DEATH(ring.add(std::vector{write(2)}), "read_");
}

TEST(RingPosition, KeepsTheNewestPartOfTheRing) {
  RingPosition ring;
  ring.attach(test_stream, 0, 8 * one, 64);
  ring.add(std::vector{write(1), write(2), record(DMRC_MARKER, 3), write(4), write(5), write(6)});
  ring.set_written(6);
  EXPECT_EQ(ring.keeping(1.0, 6), 0U) << "all of it";
  EXPECT_EQ(ring.keeping(0.375, 6), 2U) << "three of eight writes; the marker takes next to nothing";
  EXPECT_EQ(ring.keeping(0.0, 6), 6U);
  EXPECT_EQ(ring.keeping(0.0, 4), 4U) << "what lies beyond the limit is not to be freed";
  ring.set_freed(4);
  EXPECT_EQ(ring.keeping(0.375, 6), 4U) << "never back";
  EXPECT_DOUBLE_EQ(ring.used_after(4), 0.25);
}

TEST(RingPosition, KeepsNoCopies) {
  RingPosition ring;
  ring.attach(test_stream, 0, 8 * one, 64);
  ring.add(std::vector{write(1), copy(2, 0, 1), write(3), copy(4, 0, 1), write(5)});
  ring.set_written(5);
  EXPECT_EQ(ring.keeping(1.0, 5), 4U);
  EXPECT_EQ(ring.keeping(1.0, 3), 2U) << "the copy at 4 is not asked for";
}

} // namespace
} // namespace rc::core
