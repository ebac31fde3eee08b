// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/copyset_founding.hpp"

#include <gtest/gtest.h>

namespace rc::core {
namespace {

GroupSurvey group(const std::string& name, const std::string& node, std::vector<GroupSurvey::Copy> copies) {
  GroupSurvey survey;
  survey.group = name;
  survey.node = node;
  survey.site = "home";
  survey.primary = true;
  survey.generation = 1;
  survey.copies = std::move(copies);
  return survey;
}

std::vector<GroupSurvey> two_and_two() {
  return {group("bank", "p1", {{"a1", "away", false}}), group("audit", "p2", {{"a2", "away", false}})};
}

std::string refusal(const std::vector<GroupSurvey>& surveys) {
  const auto founding = found_copyset("money", {"bank", "audit"}, surveys);
  return founding ? "" : founding.error().what + "; " + founding.error().next;
}

TEST(CopysetFounding, seats_masters_and_registrar_follow_from_the_pairs) {
  const auto founding = found_copyset("money", {"bank", "audit"}, two_and_two());
  ASSERT_TRUE(founding);
  EXPECT_EQ(founding->table.epoch, Epoch{1});
  EXPECT_EQ(founding->table.seats.size(), 4u);
  ASSERT_EQ(founding->table.masters.size(), 2u);
  EXPECT_EQ(to_string(founding->table.masters[0]), "audit@away");
  EXPECT_EQ(to_string(founding->table.masters[1]), "audit@home");
  EXPECT_EQ(to_string(founding->table.registrar), "audit@away");
  EXPECT_EQ(founding->table.memberships.front().groups, (std::vector<std::string>{"audit", "bank"}));
  EXPECT_EQ(*holder_of(founding->holders, {"bank", "away"}), "a1");
  EXPECT_EQ(holder_of(founding->holders, {"bank", "moon"}), nullptr);
  EXPECT_FALSE(founding->exists);
}

TEST(CopysetFounding, primaries_come_before_their_copies) {
  const auto founding = found_copyset("money", {"bank", "audit"}, two_and_two());
  ASSERT_TRUE(founding);
  EXPECT_EQ(founding->holders[0].seat.site, "home");
  EXPECT_EQ(founding->holders[1].seat.site, "home");
}

TEST(CopysetFounding, the_epoch_follows_every_one_that_was_used) {
  auto surveys = two_and_two();
  surveys[1].epoch = Epoch{7};
  EXPECT_EQ(found_copyset("money", {"bank", "audit"}, surveys)->table.epoch, Epoch{8});
}

TEST(CopysetFounding, one_node_may_hold_the_seats_of_several_groups) {
  auto surveys = two_and_two();
  surveys[1].copies[0].node = "a1";
  const auto founding = found_copyset("money", {"bank", "audit"}, surveys);
  ASSERT_TRUE(founding);
  EXPECT_EQ(*holder_of(founding->holders, {"audit", "away"}), "a1");
}

TEST(CopysetFounding, a_table_that_a_seat_has_counts) {
  auto surveys = two_and_two();
  const auto first = found_copyset("money", {"bank", "audit"}, surveys);
  ASSERT_TRUE(first);
  surveys.erase(surveys.begin()); // a node that can't be asked now
  surveys[0].table = first->table;
  surveys[0].table->epoch = Epoch{5};
  surveys[0].holders = first->holders;
  const auto again = found_copyset("money", {"audit", "bank"}, surveys);
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->exists);
  EXPECT_EQ(again->table.epoch, Epoch{5});
  EXPECT_EQ(again->holders, first->holders);
  EXPECT_NE(found_copyset("other", {"audit", "bank"}, surveys).error().what.find("copyset money already"),
            std::string::npos);
  EXPECT_NE(found_copyset("money", {"audit", "shop"}, surveys).error().what.find("with other groups"),
            std::string::npos);
}

TEST(CopysetFounding, what_can_not_be_one_is_refused_with_the_reason) {
  auto surveys = two_and_two();
  surveys[0].trouble = "the group is failed";
  EXPECT_NE(refusal(surveys).find("can't join now: the group is failed"), std::string::npos);

  surveys = two_and_two();
  surveys.pop_back();
  EXPECT_NE(refusal(surveys).find("the primary of group audit"), std::string::npos);

  surveys = two_and_two();
  surveys[0].site = "elsewhere";
  EXPECT_NE(refusal(surveys).find("at different sites"), std::string::npos);

  surveys = two_and_two();
  surveys[0].generation = 2;
  EXPECT_NE(refusal(surveys).find("different generations, 1 and 2"), std::string::npos);

  surveys = two_and_two();
  surveys[0].copies[0].sync = true;
  EXPECT_NE(refusal(surveys).find("the copy of group audit is async and that of group bank is sync"),
            std::string::npos)
      << refusal(surveys);
  surveys[1].copies[0].sync = true;
  EXPECT_TRUE(found_copyset("money", {"audit", "bank"}, surveys).ok());

  surveys = two_and_two();
  surveys[0].copies.clear();
  EXPECT_NE(refusal(surveys).find("group bank has no pair"), std::string::npos);

  surveys = two_and_two();
  surveys[0].copies.push_back({"a3", "away", false});
  EXPECT_NE(refusal(surveys).find("two copies at site away"), std::string::npos);

  surveys = two_and_two();
  surveys[0].copies.push_back({"m1", "moon", false});
  EXPECT_NE(refusal(surveys).find("site moon holds no copy of group audit"), std::string::npos);
}

} // namespace
} // namespace rc::core
