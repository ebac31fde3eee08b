// SPDX-License-Identifier: GPL-2.0-or-later
#include "causal/block.hpp"
#include "history.hpp"

#include <gtest/gtest.h>

using namespace rc;
using namespace rc::causal;

namespace {

Shape shape_of_sizes(std::uint16_t sizes) {
  return {.run = 0xabcdef, .seed = 9, .hosts = 2, .lanes = 3, .devices = 2, .sizes = sizes, .span = 64};
}

Block block_of(const Shape& shape, WriteId id) {
  Block block{.shape = shape, .id = id, .place = shape.place_of(id), .order = 8, .issued_ns = 9, .clock = {}};
  block.clock.assign(shape.lane_total(), 4);
  block.clock[id.lane] = id.number - 1;
  return block;
}

Bytes made(const Block& block, Payload payload = Payload::Random) {
  Bytes bytes(block.shape.size_at(block.place.slot));
  BlockMaker(block.shape, payload).make(block, bytes);
  return bytes;
}

} // namespace

TEST(Block, says_all_about_itself_in_every_size) {
  Shape shape = shape_of_sizes(0x7ff);
  shape.span = 1000;
  std::set<std::size_t> sizes;
  for (std::uint32_t number = 1; number < 200; number++) {
    const Block block = block_of(shape, {4, number});
    const Bytes bytes = made(block, number % 2 ? Payload::Random : Payload::Pattern);
    sizes.insert(bytes.size());
    const Finding finding = examine(shape, block.place, bytes);
    ASSERT_EQ(finding.found, Found::Whole);
    EXPECT_EQ(finding.block.id, block.id);
    EXPECT_EQ(finding.block.place, block.place);
    EXPECT_EQ(finding.block.clock, block.clock);
    EXPECT_EQ(finding.block.order, 8u);
    EXPECT_EQ(finding.block.issued_ns, 9u);
    EXPECT_EQ(finding.block.shape, shape);
  }
  EXPECT_EQ(sizes.size(), 11u);
}

TEST(Block, any_sector_of_another_write_is_found) {
  const Shape shape = shape_of_sizes(1 << 3);
  const Block block = block_of(shape, {1, 10});
  Block other = block;
  other.id.number = 25;
  other.clock[1] = 24;
  const Bytes whole = made(block);
  const Bytes zeroes(whole.size());
  for (const Bytes& mixed_in : {made(other), zeroes})
    for (std::size_t sector = 0; sector < whole.size() / sector_bytes; sector++) {
      Bytes bytes = whole;
      std::copy_n(mixed_in.begin() + static_cast<long>(sector * sector_bytes), sector_bytes,
                  bytes.begin() + static_cast<long>(sector * sector_bytes));
      const Finding finding = examine(shape, block.place, bytes);
      ASSERT_EQ(finding.found, Found::Torn) << sector;
      EXPECT_NE(finding.story.find("lane 1 number 10"), std::string::npos) << finding.story;
    }
}

TEST(Block, any_changed_bit_is_found) {
  const Shape shape = shape_of_sizes(1 << 1);
  const Block block = block_of(shape, {0, 3});
  const Bytes whole = made(block);
  for (std::size_t at = 0; at < whole.size(); at++) {
    Bytes bytes = whole;
    bytes[at] ^= std::byte{0x10};
    ASSERT_EQ(examine(shape, block.place, bytes).found, Found::Torn) << at;
  }
}

TEST(Block, the_tail_of_a_write_under_a_whole_small_block_of_an_earlier_run_is_torn) {
  const Shape shape = shape_of_sizes(1 << 3);
  const Block block = block_of(shape, {1, 10});
  Shape before = shape_of_sizes(1 << 0);
  before.run = 5;
  Bytes bytes = made(block);
  const Bytes old = made(block_of(before, {1, 2}));
  std::copy(old.begin(), old.end(), bytes.begin());
  EXPECT_EQ(examine(shape, block.place, bytes).found, Found::Torn);
}

TEST(Block, other_content_is_old) {
  const Shape shape = shape_of_sizes(1 << 3);
  Shape before = shape;
  before.run = 5;
  const Block block = block_of(before, {1, 10});
  EXPECT_EQ(examine(shape, block.place, made(block)).found, Found::Old);
  EXPECT_EQ(examine(shape, block.place, Bytes(4096)).found, Found::Old);
  EXPECT_EQ(examine(shape, block.place, Bytes(4096, std::byte{0xa5})).found, Found::Old);
}

TEST(Block, a_write_at_a_wrong_place_is_misplaced) {
  const Shape shape = shape_of_sizes(1 << 3);
  const Block block = block_of(shape, {1, 10});
  const Bytes bytes = made(block);
  Place wrong = block.place;
  wrong.slot ^= 1;
  EXPECT_EQ(examine(shape, wrong, bytes).found, Found::Misplaced);
  wrong = block.place;
  wrong.device ^= 1;
  EXPECT_EQ(examine(shape, wrong, bytes).found, Found::Misplaced);
}

TEST(Block, random_payload_repeats_nothing_and_pattern_repeats_all) {
  const Shape shape = shape_of_sizes(1 << 3);
  const auto words = [&](Payload payload) {
    std::set<std::uint64_t> seen;
    for (std::uint32_t number = 1; number <= 20; number++) {
      const Bytes bytes = made(block_of(shape, {0, number}), payload);
      for (std::size_t at = sector_bytes; at < bytes.size(); at += 8)
        if (at % sector_bytes < sector_bytes - 16)
          seen.insert(load<std::uint64_t>(bytes.data() + at));
    }
    return seen.size();
  };
  EXPECT_EQ(words(Payload::Random), 20u * 7 * 62);
  EXPECT_EQ(words(Payload::Pattern), 20u);
}

TEST(Shape, successive_writes_of_a_lane_go_to_successive_devices_of_its_host) {
  Shape shape = shape_of_sizes(1 << 3);
  shape.devices = 3;
  for (std::uint32_t number = 1; number < 50; number++) {
    EXPECT_EQ(shape.place_of({4, number}).device / 3, 1u);
    EXPECT_EQ((shape.place_of({4, number}).device + 1) % 3, shape.place_of({4, number + 1}).device % 3);
  }
}

TEST(Shape, refuses_what_no_block_can_carry) {
  Shape shape = shape_of_sizes(1 << 3);
  EXPECT_TRUE(shape.valid());
  shape.lanes = 51;
  EXPECT_EQ(shape.valid().error().code, ErrorCode::Usage);
  shape = shape_of_sizes(1 << 12);
  EXPECT_FALSE(shape.valid());
  shape = shape_of_sizes(1);
  shape.span = 0;
  EXPECT_FALSE(shape.valid());
}
