// SPDX-License-Identifier: GPL-2.0-or-later
// Each transcript has exactly the output that it says. RC_REWRITE=1 writes the real output into the files
// instead (then read the difference before committing it).
#include "transcripts/story.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace rc::story {
namespace {

class Transcript : public testing::TestWithParam<std::string> {};

TEST_P(Transcript, HasTheOutputItSays) {
  const std::string expected = read_text(GetParam());
  ASSERT_EQ(expected.substr(0, 2), "# ") << "a transcript opens with a sentence of intent";
  const std::string played = play(expected);
  if (std::getenv("RC_REWRITE")) {
    std::ofstream(GetParam()) << played;
    return;
  }
  EXPECT_EQ(played, expected);
}

std::string name_of(const testing::TestParamInfo<std::string>& info) {
  return std::filesystem::path(info.param).stem().string();
}

INSTANTIATE_TEST_SUITE_P(All, Transcript, testing::ValuesIn(story_files()), name_of);

} // namespace
} // namespace rc::story
