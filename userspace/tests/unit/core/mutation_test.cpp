// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/mutation.hpp"

#include <gtest/gtest.h>

namespace rc::core {
namespace {

TEST(Mutation, TheProductHasNone) {
  static_assert(!mutated(Mutation::BareNumbers));
  static_assert(!mutated(Mutation::NoGate));
}

TEST(Mutation, EachHasANameThatLeadsBack) {
  for (int i = 0; i <= static_cast<int>(Mutation::NoGate); ++i) {
    const auto mutation = static_cast<Mutation>(i);
    EXPECT_STRNE(to_string(mutation), "?") << i;
    EXPECT_EQ(mutation_from(to_string(mutation)), mutation);
  }
  EXPECT_EQ(mutation_from("nonsense"), Mutation::None);
}

} // namespace
} // namespace rc::core
