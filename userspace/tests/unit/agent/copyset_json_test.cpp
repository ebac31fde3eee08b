// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/copyset_json.hpp"

#include <gtest/gtest.h>

namespace rc::agent {
namespace {

core::GroupSurvey sample() {
  core::GroupSurvey survey;
  survey.group = "bank";
  survey.node = "a1";
  survey.site = "away";
  survey.primary = true;
  survey.trouble = "none";
  survey.generation = 3;
  survey.epoch = Epoch{5};
  survey.copies = {{"p1", "home", true}};
  format::CopysetTable table;
  table.name = "money";
  table.epoch = Epoch{5};
  table.registrar = {"bank", "away"};
  table.seats = {{"audit", "away"}, {"bank", "away"}};
  table.masters = {{"audit", "away"}};
  table.memberships = {{Epoch{1}, {"audit", "bank"}}, {Epoch{5}, {"bank"}}};
  survey.table = table;
  survey.holders = {{{"audit", "away"}, "a2"}, {{"bank", "away"}, "a1"}};
  return survey;
}

TEST(CopysetJson, a_survey_comes_back_as_it_was_told) {
  const auto survey = sample();
  const auto back = survey_from_json(survey_to_json(survey));
  EXPECT_EQ(back.group, survey.group);
  EXPECT_EQ(back.node, survey.node);
  EXPECT_EQ(back.site, survey.site);
  EXPECT_EQ(back.primary, survey.primary);
  EXPECT_EQ(back.trouble, survey.trouble);
  EXPECT_EQ(back.generation, survey.generation);
  EXPECT_EQ(back.epoch, survey.epoch);
  ASSERT_EQ(back.copies.size(), 1u);
  EXPECT_EQ(back.copies[0].node, "p1");
  EXPECT_EQ(back.copies[0].site, "home");
  EXPECT_TRUE(back.copies[0].sync);
  EXPECT_EQ(back.table, survey.table);
  EXPECT_EQ(back.holders, survey.holders);
}

TEST(CopysetJson, nonsense_gives_an_empty_value) {
  for (const char* text : {"null", "7", "[]", "{}", R"({"table":7,"copies":"x","holders":{}})",
                           R"({"epoch":-1,"copies":[3,null,{"node":4}],"group":[]})"}) {
    const auto json = nlohmann::json::parse(text);
    const auto survey = survey_from_json(json);
    EXPECT_EQ(survey.group, "");
    EXPECT_EQ(survey.epoch, Epoch{0});
    EXPECT_EQ(table_from_json(json).name, "");
    EXPECT_TRUE(holders_from_json(json).empty() || text[0] == '[');
  }
}

} // namespace
} // namespace rc::agent
