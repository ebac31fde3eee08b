// SPDX-License-Identifier: GPL-2.0-or-later
#include "ctl/completion.hpp"

#include <algorithm>
#include <gtest/gtest.h>

using namespace rc;
using namespace rc::ctl;
using Words = std::vector<std::string>;

namespace {

control::ListReply names() {
  control::ListReply list;
  list.groups.push_back({"bank"});
  list.groups.push_back({"shop"});
  list.nodes.push_back({"sy"});
  control::VolumeInfo volume;
  volume.group = "bank";
  volume.name = "data";
  list.volumes.push_back(volume);
  return list;
}
Words complete(const Words& words) { return completions(words, names); }
bool offers(const Words& words, const std::string& word) {
  const Words all = complete(words);
  return std::find(all.begin(), all.end(), word) != all.end();
}

} // namespace

TEST(Completion, verbs_come_word_by_word) {
  EXPECT_TRUE(offers({""}, "pair"));
  EXPECT_TRUE(offers({""}, "help"));
  EXPECT_FALSE(offers({""}, "__complete"));
  EXPECT_EQ(complete({"pair", "re"}), (Words{"resume", "resync"}));
  EXPECT_EQ(complete({"takeo"}), Words{"takeover"});
  EXPECT_TRUE(complete({"nonsense", ""}).empty());
}

TEST(Completion, names_come_from_the_agent) {
  EXPECT_EQ(complete({"status", ""}), (Words{"bank", "shop"}));
  EXPECT_EQ(complete({"pair", "create", "b"}), Words{"bank"});
  EXPECT_EQ(complete({"pair", "create", "bank", "--to", ""}), Words{"sy"});
  EXPECT_TRUE(completions({"status", ""}, [] { return control::ListReply{}; }).empty());
}

TEST(Completion, what_can_be_taken_away_is_offered_by_name) {
  EXPECT_EQ(complete({"node", ""}), (Words{"add", "remove"}));
  EXPECT_EQ(complete({"node", "remove", ""}), Words{"sy"});
  EXPECT_EQ(complete({"group", "delete", ""}), (Words{"bank", "shop"}));
  EXPECT_EQ(complete({"volume", "delete", "bank", ""}), Words{"data"});
}

TEST(Completion, options_are_those_of_the_verb) {
  EXPECT_TRUE(offers({"pair", "create", "--"}, "--journal-size"));
  EXPECT_TRUE(offers({"pair", "create", "--"}, "--json"));
  EXPECT_FALSE(offers({"status", "--"}, "--journal"));
  EXPECT_EQ(complete({"takeover", "bank", "--dr"}), Words{"--dry-run"});
}

TEST(Completion, values_are_words_or_paths) {
  EXPECT_EQ(complete({"pair", "create", "bank", "--mode", ""}), (Words{"async", "sync"}));
  EXPECT_EQ(complete({"volume", "create", "bank", "data", "--device", "/de"}), Words{"<path>"});
  EXPECT_EQ(complete({"list", "p"}), Words{"pairs"});
}

TEST(Completion, options_before_an_argument_do_not_count_as_one) {
  EXPECT_EQ(complete({"pair", "suspend", "--to", "sy", "b"}), Words{"bank"});
  EXPECT_EQ(complete({"--json", "status", "b"}), Words{"bank"});
}
