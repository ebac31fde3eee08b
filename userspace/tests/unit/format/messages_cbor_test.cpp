// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/cbor_check.hpp"
#include "format/messages_cbor.hpp"
#include "tests/unit/format/samples.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace rc::format {
namespace {

using nlohmann::json;

std::vector<GroupMessage> one_of_each() {
  HelloMessage hello;
  hello.epoch = Epoch{3};
  hello.position = {samples::lineage(), Era::of(2, 9)};
  hello.stream = StreamId{~0ULL};
  hello.durable = 1000;
  hello.current = true;
  hello.update_in_progress = true;
  hello.closed = true;
  hello.closed_at = 999;
  hello.draft = samples::draft_info();
  hello.volume_sectors = {0, 2048, 1ULL << 40};
  hello.image_volumes = {1, 2};
  ResyncReadyMessage ready;
  ready.position = hello.position;
  ready.agreed = Era::of(1, 40);
  ready.full = true;
  ready.dirty = samples::draft_info().shipped;
  ready.draft = samples::draft_info();
  ready.image_volumes = {7};
  AttachMessage attach;
  attach.epoch = Epoch{3};
  attach.stream = StreamId{5};
  attach.from = 42;
  attach.source_lineage = samples::lineage();
  attach.agreed = Era::of(1, 1);
  attach.full = true;
  attach.keep_draft = true;
  attach.go_again = samples::draft_info().shipped;
  attach.copy_bytes = 1 << 30;
  WatermarksMessage marks{StreamId{5}, 7, Era::of(1, 2), Era::of(1, 1), 55, 1, 2, 3, 4, false};
  return {hello,
          ResumeMessage{Epoch{1}, StreamId{2}, 3},
          ResyncMessage{Epoch{1}, samples::lineage()},
          ready,
          attach,
          marks,
          ChallengeMessage{StreamId{1}, 2, 3},
          ChallengeAnswerMessage{StreamId{1}, 2},
          CurrentMessage{StreamId{1}, Era::of(1, 2)},
          CurrentStoredMessage{StreamId{1}},
          NotCurrentMessage{StreamId{1}, 2, "the lease ended"},
          GenerationMessage{samples::lineage(), true},
          RefusedMessage{"why", "what next", true}};
}

// Messages have no operator==: two are equal when they are encoded alike, and every field is encoded (next
// test).
TEST(MessagesCbor, EveryMessageComesBackAlike) {
  for (const GroupMessage& message : one_of_each()) {
    const Bytes body = encode_message(message);
    const auto decoded = decode_message(body);
    ASSERT_TRUE(decoded.ok()) << name_of(message) << ": " << decoded.error().text();
    EXPECT_EQ(decoded->index(), message.index());
    EXPECT_EQ(encode_message(*decoded), body) << name_of(message);
  }
}

TEST(MessagesCbor, EveryFieldTravels) {
  const auto hello = std::get<HelloMessage>(one_of_each()[0]);
  const auto back = std::get<HelloMessage>(*decode_message(encode_message(hello)));
  EXPECT_EQ(back.epoch, hello.epoch);
  EXPECT_EQ(back.position, hello.position);
  EXPECT_EQ(back.stream, hello.stream);
  EXPECT_EQ(back.durable, hello.durable);
  EXPECT_TRUE(back.current && back.update_in_progress && back.closed);
  EXPECT_EQ(back.closed_at, hello.closed_at);
  EXPECT_EQ(back.draft, hello.draft);
  EXPECT_EQ(back.volume_sectors, hello.volume_sectors);
  EXPECT_EQ(back.image_volumes, hello.image_volumes);
  const auto marks = std::get<WatermarksMessage>(*decode_message(encode_message(one_of_each()[5])));
  EXPECT_EQ(marks.durable, 7u);
  EXPECT_EQ(marks.complete_time_ns, 55u);
  EXPECT_EQ(marks.journal_slots, 4u);
  EXPECT_FALSE(marks.draft_complete);
}

TEST(MessagesCbor, AMissingOrWrongFieldIsRefusedAndAnUnknownOneIgnored) {
  for (const GroupMessage& message : one_of_each()) {
    const json whole = *decode_json(encode_message(message));
    for (const auto& [key, value] : whole.items()) {
      json less = whole;
      less.erase(key);
      EXPECT_EQ(decode_message(encode_json(less)).ok(),
                key == "draft" || key == "suspended" || key == "in_place" || key == "through")
          << name_of(message) << " without " << key;
      json wrong = whole;
      wrong[key] = -1.5;
      EXPECT_FALSE(decode_message(encode_json(wrong)).ok()) << name_of(message) << " with odd " << key;
    }
    json more = whole;
    more["from_the_future"] = {1, 2, 3};
    EXPECT_TRUE(decode_message(encode_json(more)).ok()) << name_of(message);
  }
}

TEST(MessagesCbor, EveryTruncationAndFlippedByteGivesAValueOrAnError) {
  for (const GroupMessage& message : one_of_each()) {
    const Bytes body = encode_message(message);
    for (std::size_t length = 0; length < body.size(); length++)
      EXPECT_FALSE(decode_message(ByteView(body).first(length)).ok());
    for (std::size_t at = 0; at < body.size(); at++)
      for (const int flip : {0x01, 0x20, 0x80, 0xff}) {
        Bytes bad = body;
        bad[at] ^= static_cast<std::byte>(flip);
        (void)decode_message(bad).ok();
      }
  }
}

TEST(MessagesCbor, GarbageNeverThrows) {
  for (std::uint32_t seed = 0; seed < 20000; seed++)
    (void)decode_message(samples::bytes_of(seed % 64, seed)).ok();
}

TEST(MessagesCbor, DeepNestingIsRefusedBeforeARecursiveParserSeesIt) {
  EXPECT_FALSE(decode_json(Bytes(1 << 20, std::byte{0x81})).ok());
  Bytes maps;
  for (int i = 0; i < 100000; i++)
    append_bytes(maps, Bytes{std::byte{0xa1}, std::byte{0x60}});
  EXPECT_FALSE(decode_json(maps).ok());
}

TEST(MessagesCbor, ClaimedLengthsAreNotBelieved) {
  const auto refused = [](std::initializer_list<int> values) {
    Bytes bytes;
    for (const int value : values)
      bytes.push_back(static_cast<std::byte>(value));
    return !check_cbor(bytes).ok() && !decode_json(bytes).ok();
  };
  EXPECT_TRUE(refused({0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}));
  EXPECT_TRUE(refused({0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}));
  EXPECT_TRUE(refused({0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0}));
  EXPECT_TRUE(refused({0x9f, 0xff}));       // indefinite
  EXPECT_TRUE(refused({0xa1, 0x01, 0x02})); // key is no text
  EXPECT_TRUE(refused({0x01, 0x02}));       // two items
  EXPECT_TRUE(refused({0xc1, 0x01}));       // tag
  EXPECT_TRUE(refused({}));
}

} // namespace
} // namespace rc::format
