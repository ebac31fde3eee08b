// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/group_state_codec.hpp"
#include "tests/unit/format/samples.hpp"

#include <gtest/gtest.h>

namespace rc::format {
namespace {

TEST(GroupStateCodec, FullAndEmptyStatesComeBackAlike) {
  for (const GroupState& state : {samples::state(), GroupState{}}) {
    const auto decoded = decode_group_state(encode_group_state(state));
    ASSERT_TRUE(decoded.ok()) << decoded.error().text();
    EXPECT_EQ(*decoded, state);
  }
}

TEST(GroupStateCodec, EveryTruncationAndEveryExtraByteIsRefused) {
  Bytes bytes = encode_group_state(samples::state());
  for (std::size_t length = 0; length < bytes.size(); length++)
    EXPECT_FALSE(decode_group_state(ByteView(bytes).first(length)).ok()) << length;
  bytes.push_back(std::byte{0});
  EXPECT_FALSE(decode_group_state(bytes).ok());
}

TEST(GroupStateCodec, AnotherVersionIsRefused) {
  Bytes bytes = encode_group_state(samples::state());
  store(bytes.data(), group_state_version + 1);
  EXPECT_FALSE(decode_group_state(bytes).ok());
}

// As version 2 wrote it: without the two eras of a sync term. Version 1: without table and without the last
// flag of a draft, too.
TEST(GroupStateCodec, TheVersionsBeforeAreRead) {
  GroupState state;
  state.position.lineage = {{1, "P", 5, Era{}}};
  state.epoch = Epoch{3};
  Bytes bytes = encode_group_state(state);
  for (const auto& [version, less] :
       {std::pair{2u, 2 * sizeof(std::uint64_t)}, std::pair{1u, sizeof(std::uint8_t)}}) {
    bytes.resize(bytes.size() - less);
    store(bytes.data(), std::uint32_t{version});
    const auto decoded = decode_group_state(bytes);
    ASSERT_TRUE(decoded.ok()) << version << ": " << decoded.error().text();
    EXPECT_EQ(*decoded, state) << version;
  }
}

TEST(GroupStateCodec, AnyByteChangedGivesAValueOrAnError) {
  const Bytes bytes = encode_group_state(samples::state());
  for (std::size_t at = 0; at < bytes.size(); at++)
    for (int flip = 1; flip < 256; flip <<= 1) {
      Bytes bad = bytes;
      bad[at] ^= static_cast<std::byte>(flip);
      (void)decode_group_state(bad).ok();
    }
}

} // namespace
} // namespace rc::format
