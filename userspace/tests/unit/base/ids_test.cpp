// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/ids.hpp"

#include <gtest/gtest.h>

using namespace rc;

TEST(Era, compares_by_generation_first_and_open_is_above_all) {
  EXPECT_LT(Era::of(1, 900), Era::of(2, 1));
  EXPECT_LT(Era::of(2, 1), Era::of(2, 2));
  EXPECT_LT(Era::of((1 << 20) - 1, (1ULL << 40) - 1), Era::open());
}

TEST(Era, splits_into_what_it_was_made_of) {
  EXPECT_EQ(Era::of(7, 123).generation(), 7u);
  EXPECT_EQ(Era::of(7, 123).n(), 123u);
}

TEST(Era, is_told_to_people_as_generation_dot_number) {
  EXPECT_EQ(to_string(Era::of(2, 17)), "2.17");
  EXPECT_EQ(to_string(Era::open()), "open");
  EXPECT_EQ(to_string(Era{}), "none");
}
