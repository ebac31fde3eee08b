// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/control_json.hpp"

#include "format/control_wire.hpp"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <random>
#include <sstream>

using namespace rc;
using namespace rc::control;

namespace {

StatusReply full_report() {
  PairStatus pair;
  pair.group = "bank";
  pair.source = "pa";
  pair.target = "as";
  pair.target_site = "far";
  pair.state = PairState::InitialCopy;
  pair.link = LinkState::Up;
  pair.lag_seconds = 1.5;
  pair.lag_bytes = (1ULL << 63) + 7;
  pair.lag_at_least = true;
  pair.complete = CheckpointStatus{2, 17, "2026-11-20T10:22:28.000Z", 0.25};
  pair.progress = ProgressStatus{100, 40, 12.5, 3.2};
  pair.journal = SpaceStatus{1000, 10, std::nullopt};
  pair.reason = "initial copy";
  GroupStatus group;
  group.name = "bank";
  group.role = Role::Primary;
  group.state = GroupState::Active;
  group.generation = 2;
  group.ring = SpaceStatus{64, 3, 9.0};
  group.image = CheckpointStatus{1, 2, "", std::nullopt};
  group.volumes.push_back({"data", 0, 1 << 20, "/dev/mapper/bank-data", "/dev/vg/data", true, "slow"});
  group.pairs.push_back(pair);
  StatusReply report;
  report.time = "2026-11-20T10:22:28.123Z";
  report.node = "pa";
  report.groups.push_back(group);
  report.links.push_back(
      {"as", "as:7700", LinkState::Connecting, 0.04, 5000, 1000, "", "refused", "start rcagent there"});
  return report;
}

std::string message_of(const std::string& json) {
  const auto parsed = parse_object(json);
  if (!parsed)
    return parsed.error().what;
  const auto request = from_json<PairCreateRequest>(*parsed);
  return request ? "" : request.error().what;
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Enough of JSON schema for our own: type, properties, required, enum, items, minimum. Empty: valid.
std::string invalid(const Json& schema, const Json& value, const std::string& path) {
  const auto is = [&](const std::string& type) {
    return type == "object"    ? value.is_object()
           : type == "array"   ? value.is_array()
           : type == "string"  ? value.is_string()
           : type == "boolean" ? value.is_boolean()
           : type == "integer" ? value.is_number_integer()
           : type == "number"  ? value.is_number()
                               : value.is_null();
  };
  const Json& type = schema.at("type");
  const bool fits = type.is_string()
                        ? is(type)
                        : std::any_of(type.begin(), type.end(), [&](const Json& one) { return is(one); });
  if (!fits)
    return path + " is not " + type.dump();
  if (value.is_null())
    return "";
  if (schema.contains("enum") &&
      std::find(schema["enum"].begin(), schema["enum"].end(), value) == schema["enum"].end())
    return path + " is none of " + schema["enum"].dump();
  if (schema.contains("minimum") && value < schema["minimum"])
    return path + " is too small";
  if (value.is_object()) {
    for (const Json& name : schema.at("required"))
      if (!value.contains(name.get<std::string>()))
        return path + "." + name.get<std::string>() + " is missing";
    for (const auto& [name, inner] : value.items()) {
      if (!schema["properties"].contains(name))
        return path + "." + name + " is not in the schema";
      if (const auto wrong = invalid(schema["properties"][name], inner, path + "." + name); !wrong.empty())
        return wrong;
    }
  }
  if (value.is_array())
    for (const Json& inner : value)
      if (const auto wrong = invalid(schema.at("items"), inner, path + "[]"); !wrong.empty())
        return wrong;
  return "";
}

const std::filesystem::path schema_file = RC_SOURCE_DIR "/docs/schema/status-1.json";

} // namespace

TEST(ControlJson, a_report_with_every_field_comes_back_the_same) {
  const Json json = to_json(full_report());
  const auto back = from_json<StatusReply>(json);
  ASSERT_TRUE(back) << back.error().what;
  EXPECT_EQ(to_json(*back), json);
  const PairStatus& pair = back->groups[0].pairs[0];
  EXPECT_EQ(pair.lag_bytes, (1ULL << 63) + 7);
  EXPECT_EQ(pair.progress->seconds_left, 3.2);
  EXPECT_FALSE(pair.journal->seconds_to_full.has_value());
  EXPECT_EQ(back->links[0].state, LinkState::Connecting);
  EXPECT_TRUE(back->groups[0].volumes[0].update_in_progress);
}

TEST(ControlJson, what_is_not_known_is_null_and_never_zero) {
  StatusReply report = full_report();
  report.groups[0].pairs[0].lag_seconds.reset();
  EXPECT_TRUE(to_json(report)["groups"][0]["pairs"][0]["lag_seconds"].is_null());
  report.groups[0].pairs[0].lag_seconds = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(to_json(report)["groups"][0]["pairs"][0]["lag_seconds"].is_null());
}

TEST(ControlJson, unknown_fields_are_ignored_and_optional_ones_keep_their_default) {
  const auto json = parse_object(R"({"name":"sy","address":"sy:7700","colour":"red"})");
  const auto request = from_json<NodeAddRequest>(*json);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->name, "sy");
  EXPECT_EQ(request->site, "");
}

TEST(ControlJson, an_error_names_the_field) {
  EXPECT_EQ(message_of(R"({})"), "field 'group' is missing");
  EXPECT_EQ(message_of(R"({"group":7})"), "field 'group' must be text");
  EXPECT_EQ(message_of(R"({"group":"g","to":"n","mode":"maybe"})"),
            "field 'mode' must be one of sync, async");
  EXPECT_EQ(message_of(R"({"group":"g","to":"n","mode":"sync","journal":"/j","volumes":{}})"),
            "field 'volumes' must be a list");
  EXPECT_EQ(message_of(R"({"group":"g","to":"n","mode":"sync","journal":"/j","volumes":[{"name":"a"}]})"),
            "field 'volumes[0].device' is missing");
  EXPECT_EQ(
      message_of(R"({"group":"g","to":"n","mode":"sync","journal":"/j","volumes":[],"journal_bytes":-1})"),
      "field 'journal_bytes' must be a whole number, not negative and in range");
  EXPECT_EQ(message_of(R"({"group":"g","to":"n","mode":"sync","journal":"/j","volumes":[],"force":1})"),
            "field 'force' must be true or false");
  EXPECT_EQ(
      message_of(R"({"group":"g","to":"n","mode":"sync","journal":"/j","volumes":[],"journal_bytes":1.5})"),
      "field 'journal_bytes' must be a whole number, not negative and in range");
}

TEST(ControlJson, numbers_out_of_range_are_refused) {
  const auto json = parse_object(R"({"name":"g","journal":"/j","ring_mib":4294967296})");
  EXPECT_FALSE(from_json<GroupCreateRequest>(*json));
}

TEST(ControlJson, text_that_is_no_json_object_is_an_error) {
  for (const char* bad : {"", "{", "[]", "7", "null", "{\"a\":1e999}", "{\"a\":}", "\xff\xfe"})
    EXPECT_FALSE(parse_object(bad)) << bad;
  std::string deep(1000, '[');
  deep = "{\"a\":" + deep + std::string(1000, ']') + "}";
  EXPECT_FALSE(parse_object(deep));
}

TEST(ControlJson, a_call_and_its_replies_come_back_the_same) {
  const auto call = decode_call(encode_call("status", Json{{"group", "bank"}}, true));
  ASSERT_TRUE(call);
  EXPECT_EQ(call->method, "status");
  EXPECT_TRUE(call->more);
  EXPECT_EQ(call->parameters["group"], "bank");
  EXPECT_TRUE(decode_call(R"({"method":"list"})")->parameters.is_object());

  const auto reply = decode_reply(encode_reply(Json::object(), true));
  ASSERT_TRUE(reply);
  EXPECT_TRUE(reply->continues);

  const auto failed = decode_reply(encode_error({ErrorCode::Refused, "mounted at /srv", "umount it"}));
  ASSERT_TRUE(failed);
  ASSERT_TRUE(failed->error);
  EXPECT_EQ(failed->error->code, ErrorCode::Refused);
  EXPECT_EQ(failed->error->what, "mounted at /srv");
  EXPECT_EQ(failed->error->next, "umount it");
}

TEST(ControlJson, calls_and_replies_that_make_no_sense_are_errors) {
  for (const char* bad :
       {R"({})", R"({"method":7})", R"({"method":"a","parameters":[]})", R"({"method":"a","more":1})"})
    EXPECT_FALSE(decode_call(bad)) << bad;
  for (const char* bad : {R"({})", R"({"error":"x"})", R"({"error":{"code":7}})", R"({"parameters":[]})",
                          R"({"parameters":{},"continues":"x"})"})
    EXPECT_FALSE(decode_reply(bad)) << bad;
}

TEST(ControlJson, every_error_code_survives_the_way) {
  for (int i = 0; i <= static_cast<int>(ErrorCode::Again); ++i)
    EXPECT_EQ(error_code_from(to_string(static_cast<ErrorCode>(i))), static_cast<ErrorCode>(i));
  EXPECT_EQ(error_code_from("something newer"), ErrorCode::Failed);
}

TEST(ControlJson, text_that_is_not_utf8_does_not_stop_a_report) {
  StatusReply report = full_report();
  report.groups[0].reason = "device \xff\xfe";
  const auto text = encode_reply(to_json(report), false);
  EXPECT_TRUE(decode_reply(text));
}

TEST(ControlJson, decoding_survives_damaged_bytes_and_truncation) {
  const std::string whole = encode_reply(to_json(full_report()), false);
  std::mt19937 random(20261120);
  std::size_t refused = 0, places = 0;
  const auto decode = [&](const std::string& text) {
    const auto reply = decode_reply(text);
    if (!reply || reply->error)
      ++refused;
    else if (!from_json<StatusReply>(reply->parameters))
      ++refused;
  };
  for (std::size_t i = 0; i < whole.size(); i += 3, ++places) {
    decode(whole.substr(0, i));
    std::string damaged = whole;
    damaged[i] = static_cast<char>(random());
    decode(damaged);
  }
  EXPECT_GT(refused, places); // every truncation, and much of the damage
}

TEST(ControlJson, the_shipped_schema_is_that_of_the_code) {
  const std::string shipped = read_file(schema_file);
  ASSERT_FALSE(shipped.empty()) << schema_file;
  EXPECT_EQ(Json::parse(shipped), schema_of<StatusReply>("remotecopy.status/1", "remotecopy status report"))
      << "make it again with 'rcctl __schema'; a field that was shipped may not change";
}

TEST(ControlJson, reports_fit_the_shipped_schema) {
  const Json schema = Json::parse(read_file(schema_file));
  EXPECT_EQ(invalid(schema, to_json(full_report()), ""), "");
  StatusReply empty;
  EXPECT_EQ(invalid(schema, to_json(empty), ""), "");
  Json wrong = to_json(full_report());
  wrong["groups"][0]["state"] = "fine";
  EXPECT_NE(invalid(schema, wrong, ""), "");
  wrong = to_json(full_report());
  wrong["groups"][0].erase("lag_seconds");
  EXPECT_NE(invalid(schema, wrong, ""), "");
}
