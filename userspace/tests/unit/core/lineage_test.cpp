// SPDX-License-Identifier: GPL-2.0-or-later
// The agreement rule, docs/design.md section 6; flaws E5, E7, H2, H7 of the consistency notes.
#include "core/lineage.hpp"

#include <gtest/gtest.h>

namespace rc::core {
namespace {

using format::LineageEntry;
using format::Position;

const LineageEntry paris{1, "paris", 11, Era{}};
const LineageEntry lyon{2, "lyon", 22, Era::of(1, 10)};
const LineageEntry dijon{2, "dijon", 33, Era::of(1, 14)};
const LineageEntry lyon3{3, "lyon", 44, Era::of(2, 5)};

TEST(Agreement, ABlankCopyAgreesOnNothing) {
  const Agreement it = agree({{paris}, Era::open()}, {});
  EXPECT_EQ(it.relation, Relation::Blank);
  EXPECT_TRUE(it.full());
}

TEST(Agreement, WithinOneEntryTheCopysPositionCounts) {
  const Agreement it = agree({{paris}, Era::open()}, {{paris}, Era::of(1, 7)});
  EXPECT_EQ(it.relation, Relation::Same);
  EXPECT_EQ(it.agreed, Era::of(1, 7));
}

TEST(Agreement, ACopyBeyondTheBaseOfATakeoverAgreesUpToTheBase) {
  const Agreement it = agree({{paris, lyon}, Era::open()}, {{paris}, Era::of(1, 14)});
  EXPECT_EQ(it.relation, Relation::SourceAhead);
  EXPECT_EQ(it.agreed, Era::of(1, 10));
}

TEST(Agreement, ACopyBehindTheBaseAgreesUpToItsPosition) {
  EXPECT_EQ(agree({{paris, lyon}, Era::open()}, {{paris}, Era::of(1, 4)}).agreed, Era::of(1, 4));
}

TEST(Agreement, OneGenerationTwoSitesIsABranch) {
  const Agreement it = agree({{paris, lyon}, Era::open()}, {{paris, dijon}, Era::of(2, 14)});
  EXPECT_EQ(it.relation, Relation::Branched);
  EXPECT_EQ(it.agreed, Era::of(1, 10)) << "the earlier of the points where each left the common entry";
}

TEST(Agreement, AnOldPrimaryThatComesHomeHasNoLimitOfItsOwn) {
  EXPECT_EQ(agree({{paris, lyon}, Era::open()}, {{paris}, Era::open()}).agreed, Era::of(1, 10));
}

TEST(Agreement, OfASiteThatWasDownThroughTwoGenerations) {
  EXPECT_EQ(agree({{paris, lyon, lyon3}, Era::open()}, {{paris}, Era::of(1, 12)}).agreed, Era::of(1, 10));
}

TEST(Agreement, IsTheSameFromBothSides) {
  const Position positions[] = {{{paris}, Era::of(1, 12)},
                                {{paris, lyon}, Era::of(2, 3)},
                                {{paris, dijon}, Era::of(2, 9)},
                                {{paris, lyon, lyon3}, Era::of(3, 1)}};
  for (const Position& a : positions)
    for (const Position& b : positions)
      EXPECT_EQ(agree(a, b).agreed, agree(b, a).agreed);
}

TEST(MayFeed, ASourceFeedsWhatIsAtOrBehindIt) {
  EXPECT_TRUE(may_feed({{paris}, Era::open()}, {}).allowed);
  EXPECT_TRUE(may_feed({{paris}, Era::open()}, {{paris}, Era::of(1, 2)}).allowed);
  EXPECT_TRUE(may_feed({{paris, lyon}, Era::open()}, {{paris}, Era::open()}).allowed);
  EXPECT_TRUE(may_feed({{paris, lyon, lyon3}, Era::open()}, {{paris, dijon}, Era::of(2, 20)}).allowed)
      << "the loser's node was made a secondary by command";
}

TEST(MayFeed, AStaleSourceFeedsNobody) {
  const FeedCheck it = may_feed({{paris}, Era::open()}, {{paris, lyon}, Era::of(2, 1)});
  EXPECT_FALSE(it.allowed);
  EXPECT_TRUE(it.source_is_stale);
  EXPECT_FALSE(it.why.empty());
  EXPECT_FALSE(it.next_action.empty());
}

TEST(MayFeed, RivalsNeedADecision) {
  const FeedCheck it = may_feed({{paris, lyon}, Era::open()}, {{paris, dijon}, Era::of(2, 14)});
  EXPECT_FALSE(it.allowed);
  EXPECT_FALSE(it.source_is_stale);
}

TEST(MayFeed, AnotherHistoryIsNotOverwritten) {
  EXPECT_FALSE(may_feed({{lyon}, Era::open()}, {{dijon}, Era::of(2, 1)}).allowed);
}

TEST(Lineage, IsReadable) {
  EXPECT_EQ(to_string({paris, lyon}), "1@paris 2@lyon(base 1.10)");
  EXPECT_EQ(to_string(std::vector<LineageEntry>{}), "blank");
  EXPECT_EQ(newest_generation({paris, lyon, lyon3}), 3U);
}

} // namespace
} // namespace rc::core
