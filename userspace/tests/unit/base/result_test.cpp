// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/bytes.hpp"
#include "base/result.hpp"

#include <gtest/gtest.h>

using namespace rc;

TEST(Result, holds_a_value_or_an_error) {
  const Result<int> good(3);
  const Result<int> bad(Error{ErrorCode::Full, "journal full", "add space"});
  EXPECT_TRUE(good);
  EXPECT_EQ(*good, 3);
  EXPECT_FALSE(bad);
  EXPECT_EQ(bad.error().code, ErrorCode::Full);
}

TEST(Result, error_grows_its_story_from_the_inside_out) {
  const Error inner = errno_error("open /x", ENOENT);
  const Error outer = inner.because("cannot start group g").then("create it with rcctl group create");
  EXPECT_EQ(outer.code, ErrorCode::NotFound);
  EXPECT_EQ(outer.text(),
            "cannot start group g: open /x: No such file or directory (create it with rcctl group create)");
}

TEST(BytesReader, turns_bad_instead_of_reading_beyond_the_end) {
  const Bytes bytes(6);
  BytesReader reader(bytes);
  EXPECT_EQ(reader.take<std::uint32_t>(), 0u);
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(reader.take<std::uint32_t>(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_TRUE(reader.left().empty());
}
