// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/crc32c.hpp"

#include <gtest/gtest.h>

using namespace rc;

TEST(Crc32c, has_the_value_of_the_published_check_string) {
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xe3069283u);
  EXPECT_EQ(crc32c_by_table(as_bytes("123456789")), 0xe3069283u);
}

TEST(Crc32c, both_ways_agree_at_every_length_and_alignment) {
  Bytes bytes(300);
  for (std::size_t i = 0; i < bytes.size(); i++)
    bytes[i] = static_cast<std::byte>(i * 37 + 11);
  for (std::size_t from = 0; from < 9; from++)
    for (std::size_t to = from; to < bytes.size(); to++) {
      const ByteView part = ByteView(bytes).subspan(from, to - from);
      ASSERT_EQ(crc32c(part), crc32c_by_table(part)) << from << ".." << to;
    }
}

TEST(Crc32c, chains_over_parts) {
  const auto whole = as_bytes("a record's data in two parts");
  EXPECT_EQ(crc32c(whole.subspan(9), crc32c(whole.first(9))), crc32c(whole));
}
