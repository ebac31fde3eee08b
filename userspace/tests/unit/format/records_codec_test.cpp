// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/records_codec.hpp"
#include "tests/unit/format/samples.hpp"

#include <gtest/gtest.h>

namespace rc::format {
namespace {

Bytes encoded(const RecordsMessage& message, std::uint32_t link_bit = 1 << 1) {
  return encode_records(outgoing_for_link(message, link_bit));
}

TEST(RecordsCodec, RecordsComeBackWithTheirData) {
  const RecordsMessage message = samples::message();
  const auto decoded = decode_records(encoded(message));
  ASSERT_TRUE(decoded.ok()) << decoded.error().text();
  EXPECT_EQ(decoded->stream, message.stream);
  ASSERT_EQ(decoded->records.size(), message.records.size());
  EXPECT_EQ(*decoded->data, *message.data);
  EXPECT_EQ(decoded->records[5].data_pos, 4711u) << "a failed record names its seq there";
}

TEST(RecordsCodec, ACopyRecordForAnotherLinkLosesItsDataOnly) {
  const RecordsMessage message = samples::message();
  const auto decoded = decode_records(encoded(message, 1 << 2));
  ASSERT_TRUE(decoded.ok()) << decoded.error().text();
  EXPECT_EQ(decoded->records[4].flags & DMRC_F_ELIDED, DMRC_F_ELIDED);
  EXPECT_EQ(decoded->records[4].length, 8192u);
  EXPECT_EQ(decoded->data->size(), message.data->size() - 8192);
  EXPECT_FALSE(message.records[4].flags & DMRC_F_ELIDED) << "the original stays";
}

TEST(RecordsCodec, PiecesThatFollowEachOtherAreOne) {
  const RecordsMessage message = samples::message();
  EXPECT_EQ(outgoing_for_link(message, 1 << 1).pieces.size(), 1u);
  EXPECT_EQ(outgoing_for_link(message, 1 << 2).pieces.size(), 2u);
}

TEST(RecordsCodec, AnyFlippedByteIsRefused) {
  const Bytes body = encoded(samples::message());
  for (std::size_t at = 0; at < body.size(); at++) {
    // data_pos of a record (of all but failed ones) means nothing on the wire
    const bool in_headers = at >= records_prefix_bytes && at < records_prefix_bytes + 7 * sizeof(Record);
    const std::size_t in_record = (at - records_prefix_bytes) % sizeof(Record);
    const std::size_t index = (at - records_prefix_bytes) / sizeof(Record);
    if (in_headers && in_record >= 48 && in_record < 56 && index != 5)
      continue;
    if (at >= 4 && at < 8)
      continue; // high half of the stream id: checked against the group's stream by the receiver
    Bytes bad = body;
    bad[at] ^= std::byte{0x40};
    EXPECT_FALSE(decode_records(bad).ok()) << "byte " << at;
  }
}

TEST(RecordsCodec, EveryTruncationIsRefused) {
  const Bytes body = encoded(samples::message());
  for (std::size_t length = 0; length < body.size(); length++)
    EXPECT_FALSE(decode_records(ByteView(body).first(length)).ok()) << length;
}

TEST(RecordsCodec, AGapARepetitionAndAForeignStreamAreRefused) {
  const auto refused = [](auto&& change) {
    RecordsMessage message = samples::message();
    change(message.records[1]);
    seal_header(message.records[1]);
    return !decode_records(
                encode_records({message.stream, message.records, {{message.data, 0, message.data->size()}}}))
                .ok();
  };
  EXPECT_FALSE(refused([](Record&) {}));
  EXPECT_TRUE(refused([](Record& r) { r.seq++; }));
  EXPECT_TRUE(refused([](Record& r) { r.seq--; }));
  EXPECT_TRUE(refused([](Record& r) { r.stream++; }));
}

TEST(RecordsCodec, GarbageIsRefusedWithoutHarm) {
  for (std::uint32_t seed = 0; seed < 2000; seed++)
    EXPECT_FALSE(decode_records(samples::bytes_of(16 + seed % 300, seed)).ok());
}

} // namespace
} // namespace rc::format
