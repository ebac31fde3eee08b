// SPDX-License-Identifier: GPL-2.0-or-later
// Each deliberate bug changes the output of at least one transcript (or breaks an invariant there): the
// stories would notice it. The harmless one (no gate, with the union rule) is the control that they don't cry
// wolf: copies stay identical, only the figures of the gate itself may differ.
#include "core/mutation.hpp"
#include "transcripts/story.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <sys/wait.h>
#include <unistd.h>

namespace rc::story {
namespace {

// A mutant may run into an assertion: that is noticed too, so each one runs in its own process.
bool noticed(core::Mutation mutation, const std::string& file) {
  const pid_t child = fork();
  if (child == 0) {
    core::set_mutation(mutation);
    std::freopen("/dev/null", "w", stderr);
    const std::string expected = read_text(file);
    _exit(play(expected) == expected ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

// Those of copysets are noticed by histories of several groups (run-sim --mutants), not by stories of one.
static_assert(!core::of_copysets(core::Mutation::ReleaseNotStored) &&
              core::of_copysets(core::Mutation::NoHold));
class Mutant : public testing::TestWithParam<int> {};

TEST_P(Mutant, IsNoticedByATranscript) {
  const auto mutation = static_cast<core::Mutation>(GetParam());
  std::string by;
  for (const std::string& file : story_files())
    if (noticed(mutation, file))
      by += " " + std::filesystem::path(file).stem().string();
  EXPECT_FALSE(by.empty()) << to_string(mutation) << " is not noticed";
  RecordProperty("noticed_by", by);
}

TEST(MutantControl, WithoutAMutationNothingIsNoticed) {
  for (const std::string& file : story_files())
    EXPECT_FALSE(noticed(core::Mutation::None, file)) << file;
}

std::string name_of(const testing::TestParamInfo<int>& info) {
  return to_string(static_cast<core::Mutation>(info.param));
}

INSTANTIATE_TEST_SUITE_P(All, Mutant, testing::Range(1, static_cast<int>(core::Mutation::NoHold)), name_of);

} // namespace
} // namespace rc::story
