// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/frame.hpp"

#include "base/crc32c.hpp"

#include <array>
#include <gtest/gtest.h>
#include <random>

namespace rc::format {
namespace {

using Buffer = std::array<std::byte, frame_header_bytes>;

TEST(Frame, HeaderComesBackAsItWasWritten) {
  const FrameHeader header{FrameType::Records, channel_of("db"), 12345, 99};
  Buffer buffer;
  write_frame_header(header, buffer);
  const auto parsed = parse_frame_header(buffer);
  ASSERT_TRUE(parsed.ok()) << parsed.error().text();
  EXPECT_EQ(*parsed, header);
}

TEST(Frame, AnyBitFlipIsRefused) {
  Buffer buffer;
  write_frame_header({FrameType::Message, 3, 100, 1}, buffer);
  for (std::size_t bit = 0; bit < buffer.size() * 8; bit++) {
    Buffer bad = buffer;
    bad[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    EXPECT_FALSE(parse_frame_header(bad).ok()) << "bit " << bit;
  }
}

TEST(Frame, GarbageIsRefused) {
  std::mt19937 random(1);
  for (int i = 0; i < 10000; i++) {
    Buffer buffer;
    for (std::byte& byte : buffer)
      byte = static_cast<std::byte>(random());
    EXPECT_FALSE(parse_frame_header(buffer).ok());
  }
}

TEST(Frame, LimitsHoldAlsoForAFrameWithARightCrc) {
  const auto refused = [](auto&& change) {
    Buffer buffer;
    write_frame_header({FrameType::Message, 3, 100, 1}, buffer);
    change(buffer.data());
    store(buffer.data() + 28, crc32c(ByteView(buffer).first(28)));
    return !parse_frame_header(buffer).ok();
  };
  EXPECT_FALSE(refused([](std::byte*) {}));
  EXPECT_TRUE(refused([](std::byte* at) { store(at + 12, message_body_bytes_max + 1); }));
  EXPECT_FALSE(refused([](std::byte* at) { store(at + 12, message_body_bytes_max); }));
  EXPECT_TRUE(refused([](std::byte* at) { store(at + 4, std::uint8_t{0}); }));
  EXPECT_TRUE(refused([](std::byte* at) { store(at + 4, std::uint8_t{7}); }));
  EXPECT_TRUE(refused([](std::byte* at) { store(at + 4, std::uint8_t{6}); })); // of a copyset, with channel
  EXPECT_TRUE(refused([](std::byte* at) { store(at + 6, std::uint8_t{1}); }));
  EXPECT_TRUE(refused([](std::byte* at) { store(at + 24, std::uint8_t{1}); }));
  EXPECT_TRUE(refused([](std::byte* at) { store(at + 8, std::uint32_t{0}); }));      // of no group
  EXPECT_TRUE(refused([](std::byte* at) { store(at + 4, std::uint8_t{2}); }));       // node with channel
  EXPECT_TRUE(refused([](std::byte* at) { store(at, std::uint32_t{0x32464352}); })); // magic
}

} // namespace
} // namespace rc::format
