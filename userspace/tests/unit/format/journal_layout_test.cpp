// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/journal_layout.hpp"
#include "tests/unit/format/samples.hpp"

#include <gtest/gtest.h>

namespace rc::format {
namespace {

Superblock sample() {
  Superblock superblock;
  superblock.serial = 8;
  superblock.journal_id = 0xfeedface;
  superblock.geometry = *geometry_for(64 << 20);
  superblock.state = samples::state();
  superblock.checked_slot = 150;
  return superblock;
}

TEST(JournalLayout, AreasFillTheSpaceWithoutOverlap) {
  for (const std::uint64_t bytes : {8ull << 20, (8ull << 20) + 4095, 64ull << 20, 1ull << 40}) {
    const auto geometry = geometry_for(bytes);
    ASSERT_TRUE(geometry.ok());
    EXPECT_TRUE(check_geometry(*geometry).ok());
    EXPECT_LE(geometry->total_bytes(), bytes);
    EXPECT_GT(geometry->total_bytes() + 2 * journal_block_bytes, bytes);
  }
  EXPECT_FALSE(geometry_for(journal_bytes_min - 1).ok());
}

TEST(JournalLayout, SuperblockComesBackAlike) {
  const auto bytes = encode_superblock(sample());
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(bytes->size() % journal_block_bytes, 0u);
  const auto decoded = decode_superblock(*bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.error().text();
  EXPECT_EQ(*decoded, sample());
}

TEST(JournalLayout, AnyFlippedBitInWhatASuperblockSaysIsRefused) {
  const Bytes bytes = *encode_superblock(sample());
  const std::size_t used = 96 + load<std::uint32_t>(bytes.data() + 12);
  for (std::size_t bit = 0; bit < used * 8; bit++) {
    Bytes bad = bytes;
    bad[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    EXPECT_FALSE(decode_superblock(bad).ok()) << "bit " << bit;
  }
}

TEST(JournalLayout, NeverWrittenIsNotFoundAndForeignIsCorrupt) {
  EXPECT_EQ(decode_superblock(Bytes(4096)).error().code, ErrorCode::NotFound);
  EXPECT_EQ(decode_superblock(samples::bytes_of(4096, 3)).error().code, ErrorCode::Corrupt);
}

TEST(JournalLayout, AStateThatDoesNotFitIsRefusedNotCut) {
  Superblock superblock = sample();
  superblock.state.draft->shipped.assign(superblock_slot_bytes / 26, Extent{1, 2, 3, Era{}});
  const auto bytes = encode_superblock(superblock);
  ASSERT_FALSE(bytes.ok());
  EXPECT_EQ(bytes.error().code, ErrorCode::Full);
}

} // namespace
} // namespace rc::format
