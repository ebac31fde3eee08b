// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/journal_index.hpp"
#include "unit/core/samples.hpp"

#include <gtest/gtest.h>

namespace rc::core {
namespace {

constexpr StreamId other{0x999};

TEST(JournalIndex, ACheckpointNeedsMarkerAndHeldOfTheSameEra) {
  JournalIndex index;
  index.begin(test_stream, 1);
  index.add(std::vector{write(1), record(DMRC_MARKER, 2, Era::of(1, 1)), record(DMRC_VOID, 3, Era::of(1, 1)),
                        record(DMRC_MARKER, 4, Era::of(1, 2))});
  EXPECT_FALSE(index.last_valid(0, 4));
  index.add(std::vector{record(DMRC_HELD, 5, Era::of(1, 2)), write(6)});
  const auto found = index.last_valid(0, 6);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->era, Era::of(1, 2));
  EXPECT_EQ(found->marker, 4U);
  EXPECT_EQ(found->held, 5U);
  EXPECT_FALSE(index.last_valid(0, 4)) << "held is not durable";
  EXPECT_FALSE(index.last_valid(4, 6)) << "the marker does not follow";
}

TEST(JournalIndex, OnlyTheLastSegmentGivesCheckpoints) {
  JournalIndex index;
  index.begin(test_stream, 1);
  index.add(std::vector{record(DMRC_MARKER, 1), record(DMRC_HELD, 2)});
  index.begin(other, 1);
  EXPECT_FALSE(index.last_valid(0, 100));
  EXPECT_EQ(index.segments().size(), 2U);
}

TEST(JournalIndex, EndOfCopyingIsForALink) {
  JournalIndex index;
  index.begin(test_stream, 5);
  index.add(std::vector{end_of_copying(5, 2), write(6)});
  EXPECT_EQ(index.end_of_copying(2, 6), 5U);
  EXPECT_EQ(index.end_of_copying(1, 6), 0U);
  EXPECT_EQ(index.end_of_copying(2, 4), 0U);
}

TEST(JournalIndex, CopiedIsOfTheLastSegmentAndNeverTooMuch) {
  JournalIndex index;
  index.begin(test_stream, 1);
  index.add(std::vector{copy(1, 0, 1), copy(2, 1, 1)});
  EXPECT_EQ(index.copied(2).sectors(), 2 * test_region);
  EXPECT_EQ(index.copied(1).sectors(), 0U) << "merged neighbours count when both are there";
  format::Record elided = copy(3, 5, 2);
  elided.flags = DMRC_F_ELIDED;
  index.add(std::vector{elided});
  EXPECT_EQ(index.copied(3).sectors(), 2 * test_region);
  index.begin(other, 1);
  EXPECT_TRUE(index.copied(100).empty());
}

TEST(JournalIndex, TrimForgetsWhatIsBeforeAndWholeSegments) {
  JournalIndex index;
  index.begin(test_stream, 1);
  index.add(std::vector{write(1), record(DMRC_MARKER, 2), record(DMRC_HELD, 3)});
  index.begin(other, 1);
  auto later =
      std::vector{record(DMRC_MARKER, 1, Era::of(1, 2)), record(DMRC_HELD, 2, Era::of(1, 2)), write(3)};
  index.add(later);
  index.trim(other, 2);
  ASSERT_EQ(index.segments().size(), 1U);
  EXPECT_EQ(index.segments().front().first, 3U);
  EXPECT_EQ(index.segments().front().last, 3U);
  EXPECT_TRUE(index.marks().empty());
  index.trim(other, 3);
  EXPECT_EQ(index.segments().front().first, 4U) << "empty, but it goes on";
}

TEST(JournalIndex, TheSameStreamMayHaveTwoStretches) {
  JournalIndex index;
  index.begin(test_stream, 1);
  index.add(std::vector{write(1), write(2)});
  index.begin(test_stream, 10);
  index.add(std::vector{write(10), write(11)});
  index.trim(test_stream, 10);
  ASSERT_EQ(index.segments().size(), 1U);
  EXPECT_EQ(index.segments().front().first, 11U);
}

TEST(JournalIndex, RecoveryGivesTheSameAsRunning) {
  const std::vector records{write(1),
                            copy(2, 3, 1),
                            end_of_copying(3, 1),
                            record(DMRC_MARKER, 4, Era::of(1, 7)),
                            record(DMRC_HELD, 5, Era::of(1, 7)),
                            write(6)};
  JournalIndex running;
  running.begin(test_stream, 1);
  running.add(records);
  JournalIndex recovered;
  recovered.recovered(test_stream, 1, 6, std::vector{records[2], records[3], records[4]},
                      std::vector<format::Extent>{{0, 3 * test_region, test_region, Era{}}});
  EXPECT_EQ(recovered.last_segment()->last, 6U);
  EXPECT_EQ(recovered.copied(6).sectors(), running.copied(6).sectors());
  EXPECT_EQ(recovered.end_of_copying(1, 6), running.end_of_copying(1, 6));
  EXPECT_EQ(recovered.last_valid(3, 6)->held, running.last_valid(3, 6)->held);
  EXPECT_LE(recovered.last_segment()->last_era, running.last_segment()->last_era) << "a lower bound is safe";
}

} // namespace
} // namespace rc::core
