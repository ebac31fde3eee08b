// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/copyset_cbor.hpp"
#include "format/messages_cbor.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace rc::format {
namespace {

using nlohmann::json;

CopysetTable table() {
  return {"bank",
          Epoch{4},
          {"a", "S"},
          {{"a", "P"}, {"a", "S"}, {"b", "P"}, {"b", "S"}},
          {{"a", "P"}, {"b", "S"}},
          {{Epoch{1}, {"a", "b"}}, {Epoch{4}, {"a"}}}};
}

std::vector<CopysetMessage> one_of_each() {
  const LineageEntry entry{2, "S", 77, Era::of(1, 9)};
  RendezvousOrder order{{7, 8}, Era::of(1, 2), Era::of(1, 1), Era{}, std::nullopt, {}};
  order.sync = {
      9, 8, 7, 6, Era::of(1, 5), Era::of(1, 4), Era::of(1, 3), Era::of(1, 2), Era::of(1, 1), Era::of(1, 6)};
  RendezvousOrder takeover{
      {7, 8}, Era{}, Era{}, std::nullopt, TakeoverOrder{TakeoverOrder::Step::Lineage, entry}, {}};
  RendezvousReport report;
  report.promised = {1, 2};
  report.held = {{Era::of(1, 3), Era::of(1, 9), Epoch{1}}, {Era::of(1, 11), Era::of(1, 11), Epoch{4}}};
  report.released = Era::of(1, 2);
  report.complete = Era::of(1, 1);
  report.image = report.ending = report.closed = report.awaiting = true;
  report.takeover = entry;
  report.newest_generation = 3;
  report.entry = entry;
  report.sync = {9, 8, 7, Era::of(1, 5), Era::of(1, 4), Era::of(1, 3), true};
  std::vector<CopysetMessage> messages;
  const auto add = [&](auto body) {
    messages.push_back({{"a", "P"}, {"b", "S"}, Epoch{4}, std::move(body)});
  };
  add(CheckpointOrder{{1, ~0ULL}, CheckpointOrder::Step::Mark, Era::of(3, 5), 200'000});
  add(CheckpointReport{{1, 2}, true, Era::of(3, 6), Era::of(3, 5), true, false, true, entry});
  add(order);
  add(takeover);
  add(report);
  add(RendezvousReport{});
  add(TableMessage{table()});
  add(SwapMessage{Epoch{3}, table()});
  return messages;
}

// Two are equal when they are encoded alike; that every field is encoded is seen when one is missing (below).
TEST(CopysetCbor, EachMessageComesBackAlike) {
  for (const CopysetMessage& message : one_of_each()) {
    const Bytes bytes = encode_copyset(message);
    const auto decoded = decode_copyset(bytes);
    ASSERT_TRUE(decoded.ok()) << decoded.error().text();
    EXPECT_EQ(encode_copyset(*decoded), bytes);
    EXPECT_EQ(decoded->body.index(), message.body.index());
    EXPECT_EQ(decoded->to, message.to);
  }
  const auto table_back = decode_copyset(encode_copyset(one_of_each()[6]));
  EXPECT_EQ(std::get<TableMessage>(table_back->body).table, table());
}

TEST(CopysetCbor, AMissingOrWronglyTypedFieldIsNamed) {
  for (const CopysetMessage& message : one_of_each()) {
    const json whole = *decode_json(encode_copyset(message));
    for (const auto& [name, value] : whole.items()) {
      json without = whole;
      without.erase(name);
      const bool optional = name == "discard" || name == "takeover" || name == "sync";
      EXPECT_EQ(decode_copyset(encode_json(without)).ok(), optional) << name;
      json wrong = whole;
      wrong[name] = 1.5;
      const auto refused = decode_copyset(encode_json(wrong));
      ASSERT_FALSE(refused.ok()) << name;
      EXPECT_NE(refused.error().text().find(name == "m" ? "'m'" : name), std::string::npos)
          << refused.error().text();
    }
  }
}

TEST(CopysetCbor, WhatIsNotKnownIsRefusedUnlessItIsAField) {
  json order = *decode_json(encode_copyset(one_of_each()[0]));
  json later = order;
  later["hint"] = "of a later version";
  EXPECT_TRUE(decode_copyset(encode_json(later)).ok());
  order["step"] = 9;
  EXPECT_FALSE(decode_copyset(encode_json(order)).ok());
  order["m"] = "something_else";
  EXPECT_FALSE(decode_copyset(encode_json(order)).ok());
  json report = *decode_json(encode_copyset(one_of_each()[4]));
  std::swap(report["held"][0]["first"], report["held"][0]["last"]);
  EXPECT_FALSE(decode_copyset(encode_json(report)).ok());
}

TEST(CopysetCbor, AnyTruncationAndAnyByteChangedGivesAValueOrAnError) {
  for (const CopysetMessage& message : one_of_each()) {
    const Bytes bytes = encode_copyset(message);
    for (std::size_t length = 0; length < bytes.size(); ++length)
      EXPECT_FALSE(decode_copyset(ByteView(bytes).first(length)).ok());
    for (std::size_t at = 0; at < bytes.size(); ++at)
      for (int flip = 1; flip < 256; flip <<= 1) {
        Bytes bad = bytes;
        bad[at] ^= static_cast<std::byte>(flip);
        (void)decode_copyset(bad).ok();
      }
  }
}

} // namespace
} // namespace rc::format
