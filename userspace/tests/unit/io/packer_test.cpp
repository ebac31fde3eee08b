// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/packer.hpp"
#include "tests/unit/format/samples.hpp"

#include <gtest/gtest.h>

namespace rc::io {
namespace {

format::OutgoingRecords outgoing(bool compressible, std::size_t count = 20) {
  format::RecordsMessage message;
  message.stream = StreamId{0x1234abcd};
  Bytes data;
  for (Seq seq = 1; seq <= count; seq++) {
    format::Record record = format::samples::header(DMRC_WRITE, seq, 4096);
    const Bytes block = compressible ? Bytes(4096, static_cast<std::byte>(seq))
                                     : format::samples::bytes_of(4096, static_cast<std::uint32_t>(seq));
    format::seal_record(record, block);
    append_bytes(data, block);
    message.records.push_back(record);
  }
  message.data = std::make_shared<const Bytes>(std::move(data));
  return format::outgoing_for_link(message, 1);
}

TEST(Packer, WhatIsPackedComesBackAsItWas) {
  Packer packer;
  const auto records = outgoing(true);
  for (int i = 0; i < 3; i++) { // the same contexts again
    const auto packed = packer.pack(records);
    ASSERT_TRUE(packed);
    EXPECT_LT(packed->size(), records.body_bytes() / 4);
    const auto unpacked = packer.unpack(*packed);
    ASSERT_TRUE(unpacked) << unpacked.error().text();
    EXPECT_EQ(*unpacked, format::encode_records(records));
  }
}

TEST(Packer, WhatDoesNotGetSmallerIsLetPassAndTriedAgainLater) {
  Packer packer;
  EXPECT_FALSE(packer.pack(outgoing(false)));
  unsigned passed = 0;
  while (passed < 100 && !packer.pack(outgoing(true)))
    passed++;
  EXPECT_EQ(passed, 15u);
  EXPECT_FALSE(packer.pack(outgoing(true, 0))) << "too small to matter";
}

TEST(Packer, DamageAndLiesAboutTheLengthAreRefused) {
  Packer packer;
  const Bytes good = *packer.pack(outgoing(true));
  for (std::size_t length = 0; length < good.size(); length += 7)
    EXPECT_FALSE(packer.unpack(ByteView(good).first(length)).ok()) << length;
  for (const std::uint32_t wrong : {0u, 1u, 4096u, 16u << 20, 0xffffffffu}) {
    Bytes bad = good;
    store(bad.data(), wrong);
    EXPECT_FALSE(packer.unpack(bad).ok()) << wrong;
  }
  Bytes codec = good;
  codec[4] = std::byte{2};
  EXPECT_FALSE(packer.unpack(codec).ok());
  for (std::uint32_t seed = 0; seed < 500; seed++) {
    Bytes garbage = format::samples::bytes_of(8 + seed, seed);
    store(garbage.data(), std::uint32_t{4096});
    store(garbage.data() + 4, format::codec_zstd);
    EXPECT_FALSE(packer.unpack(garbage).ok());
  }
}

} // namespace
} // namespace rc::io
