// SPDX-License-Identifier: GPL-2.0-or-later
// A message is a map with its name in "m" and its fields by name. Lists of extents are one byte string, 26
// bytes each (they may be long). Bytes from a peer are first walked through without recursion
// (cbor_check.hpp), since the library's parser recurses and may throw.
#include "format/messages_cbor.hpp"

#include "format/cbor_check.hpp"
#include "format/cbor_fields.hpp"

#include <nlohmann/json.hpp>

namespace rc::format {
namespace {

using nlohmann::json;

// --- values to JSON ---------------------------------------------------------------------------------

json to_json(const Position& position) {
  return json{{"lineage", to_json(position.lineage)}, {"applied", position.applied.value}};
}

json to_json(const std::vector<Extent>& extents) {
  std::vector<std::uint8_t> packed;
  packed.reserve(extents.size() * cbor_extent_bytes);
  for (const Extent& extent : extents) {
    const std::size_t at = packed.size();
    packed.resize(at + cbor_extent_bytes);
    auto* to = reinterpret_cast<std::byte*>(packed.data() + at);
    store(to, extent.volume);
    store(to + 2, extent.sector);
    store(to + 10, extent.sectors);
    store(to + 18, extent.era.value);
  }
  return json::binary(std::move(packed));
}

json to_json(const DraftInfo& draft) {
  return json{{"source_lineage", to_json(draft.source_lineage)},
              {"agreed", draft.agreed.value},
              {"broken_at", draft.broken_at.value},
              {"shipped", to_json(draft.shipped)},
              {"from", draft.from}};
}

json body_of(const HelloMessage& m) {
  json body{{"epoch", m.epoch.value},
            {"position", to_json(m.position)},
            {"stream", m.stream.value},
            {"durable", m.durable},
            {"current", m.current},
            {"update_in_progress", m.update_in_progress},
            {"closed", m.closed},
            {"closed_at", m.closed_at},
            {"volume_sectors", m.volume_sectors},
            {"image_volumes", m.image_volumes}};
  if (m.draft)
    body["draft"] = to_json(*m.draft);
  return body;
}
json body_of(const ResumeMessage& m) {
  return json{{"epoch", m.epoch.value}, {"stream", m.stream.value}, {"from", m.from}};
}
json body_of(const ResyncMessage& m) {
  return json{{"epoch", m.epoch.value}, {"source_lineage", to_json(m.source_lineage)}};
}
json body_of(const ResyncReadyMessage& m) {
  json body{{"position", to_json(m.position)},
            {"agreed", m.agreed.value},
            {"full", m.full},
            {"dirty", to_json(m.dirty)},
            {"image_volumes", m.image_volumes}};
  if (m.draft)
    body["draft"] = to_json(*m.draft);
  return body;
}
json body_of(const AttachMessage& m) {
  return json{{"epoch", m.epoch.value},
              {"stream", m.stream.value},
              {"from", m.from},
              {"source_lineage", to_json(m.source_lineage)},
              {"agreed", m.agreed.value},
              {"full", m.full},
              {"keep_draft", m.keep_draft},
              {"go_again", to_json(m.go_again)},
              {"copy_bytes", m.copy_bytes},
              {"in_place", m.in_place}};
}
json body_of(const WatermarksMessage& m) {
  return json{{"stream", m.stream.value},
              {"durable", m.durable},
              {"released", m.released.value},
              {"complete", m.complete.value},
              {"complete_time_ns", m.complete_time_ns},
              {"journal_used", m.journal_used},
              {"journal_bytes", m.journal_bytes},
              {"journal_slots_used", m.journal_slots_used},
              {"journal_slots", m.journal_slots},
              {"draft_complete", m.draft_complete},
              {"in_place", m.in_place}};
}
json body_of(const ChallengeMessage& m) {
  return json{{"stream", m.stream.value}, {"number", m.number}, {"lease_ns", m.lease_ns}};
}
json body_of(const ChallengeAnswerMessage& m) {
  return json{{"stream", m.stream.value}, {"number", m.number}};
}
json body_of(const CurrentMessage& m) { return json{{"stream", m.stream.value}, {"since", m.since.value}}; }
json body_of(const CurrentStoredMessage& m) { return json{{"stream", m.stream.value}}; }
json body_of(const NotCurrentMessage& m) {
  return json{{"stream", m.stream.value},
              {"closed_at", m.closed_at},
              {"reason", m.reason},
              {"through", m.through.value}};
}
json body_of(const GenerationMessage& m) {
  return json{{"lineage", to_json(m.lineage)}, {"primary", m.primary}};
}
json body_of(const RefusedMessage& m) {
  return json{{"reason", m.reason}, {"next_action", m.next_action}, {"suspended", m.suspended}};
}

// --- JSON to values ---------------------------------------------------------------------------------

using Fields = CborFields;

template <typename M> M parse(Fields& f);

template <> HelloMessage parse(Fields& f) {
  HelloMessage m;
  m.epoch = f.epoch();
  m.position = f.position();
  m.stream = f.stream();
  m.durable = f.number("durable");
  m.current = f.flag("current");
  m.update_in_progress = f.flag("update_in_progress");
  m.closed = f.flag("closed");
  m.closed_at = f.number("closed_at");
  m.draft = f.draft();
  m.volume_sectors = f.numbers<std::uint64_t>("volume_sectors");
  m.image_volumes = f.numbers<VolumeNumber>("image_volumes");
  return m;
}
template <> ResumeMessage parse(Fields& f) { return {f.epoch(), f.stream(), f.number("from")}; }
template <> ResyncMessage parse(Fields& f) { return {f.epoch(), f.lineage("source_lineage")}; }
template <> ResyncReadyMessage parse(Fields& f) {
  ResyncReadyMessage m;
  m.position = f.position();
  m.agreed = f.era("agreed");
  m.full = f.flag("full");
  m.dirty = f.extents("dirty");
  m.draft = f.draft();
  m.image_volumes = f.numbers<VolumeNumber>("image_volumes");
  return m;
}
template <> AttachMessage parse(Fields& f) {
  AttachMessage m;
  m.epoch = f.epoch();
  m.stream = f.stream();
  m.from = f.number("from");
  m.source_lineage = f.lineage("source_lineage");
  m.agreed = f.era("agreed");
  m.full = f.flag("full");
  m.keep_draft = f.flag("keep_draft");
  m.go_again = f.extents("go_again");
  m.copy_bytes = f.number("copy_bytes");
  m.in_place = f.optional_flag("in_place");
  return m;
}
template <> WatermarksMessage parse(Fields& f) {
  WatermarksMessage m;
  m.stream = f.stream();
  m.durable = f.number("durable");
  m.released = f.era("released");
  m.complete = f.era("complete");
  m.complete_time_ns = f.number("complete_time_ns");
  m.journal_used = f.number("journal_used");
  m.journal_bytes = f.number("journal_bytes");
  m.journal_slots_used = f.number("journal_slots_used");
  m.journal_slots = f.number("journal_slots");
  m.draft_complete = f.flag("draft_complete");
  m.in_place = f.optional_flag("in_place");
  return m;
}
template <> ChallengeMessage parse(Fields& f) {
  return {f.stream(), f.number("number"), f.number("lease_ns")};
}
template <> ChallengeAnswerMessage parse(Fields& f) { return {f.stream(), f.number("number")}; }
template <> CurrentMessage parse(Fields& f) { return {f.stream(), f.era("since")}; }
template <> CurrentStoredMessage parse(Fields& f) { return {f.stream()}; }
template <> NotCurrentMessage parse(Fields& f) {
  return {f.stream(), f.number("closed_at"), f.text("reason"), f.optional_era("through", Era::open())};
}
template <> GenerationMessage parse(Fields& f) { return {f.lineage("lineage"), f.flag("primary")}; }
template <> RefusedMessage parse(Fields& f) {
  return {f.text("reason"), f.text("next_action"), f.optional_flag("suspended")};
}

// --- names ---------------------------------------------------------------------------------------------

template <typename M> constexpr const char* name = nullptr;
template <> constexpr const char* name<HelloMessage> = "hello";
template <> constexpr const char* name<ResumeMessage> = "resume";
template <> constexpr const char* name<ResyncMessage> = "resync";
template <> constexpr const char* name<ResyncReadyMessage> = "resync_ready";
template <> constexpr const char* name<AttachMessage> = "attach";
template <> constexpr const char* name<RecordsMessage> = "records";
template <> constexpr const char* name<WatermarksMessage> = "watermarks";
template <> constexpr const char* name<ChallengeMessage> = "challenge";
template <> constexpr const char* name<ChallengeAnswerMessage> = "challenge_answer";
template <> constexpr const char* name<CurrentMessage> = "current";
template <> constexpr const char* name<CurrentStoredMessage> = "current_stored";
template <> constexpr const char* name<NotCurrentMessage> = "not_current";
template <> constexpr const char* name<GenerationMessage> = "generation";
template <> constexpr const char* name<RefusedMessage> = "refused";

template <std::size_t index = 0> Result<GroupMessage> parse_named(const std::string& wanted, Fields& fields) {
  if constexpr (index == std::variant_size_v<GroupMessage>) {
    return Error{ErrorCode::Corrupt, "message '" + wanted.substr(0, 40) + "' is not known here",
                 "both nodes should run the same version"};
  } else {
    using M = std::variant_alternative_t<index, GroupMessage>;
    if constexpr (!std::is_same_v<M, RecordsMessage>) {
      if (wanted == name<M>) {
        M message = parse<M>(fields);
        if (!fields.ok())
          return fields.error();
        return GroupMessage(std::move(message));
      }
    }
    return parse_named<index + 1>(wanted, fields);
  }
}

} // namespace

const char* name_of(const GroupMessage& message) {
  return std::visit([](const auto& m) { return name<std::decay_t<decltype(m)>>; }, message);
}

Bytes encode_message(const GroupMessage& message) {
  json body = std::visit(
      [](const auto& m) -> json {
        if constexpr (std::is_same_v<std::decay_t<decltype(m)>, RecordsMessage>) {
          RC_ASSERT(!"records are no CBOR message");
          return {};
        } else {
          return body_of(m);
        }
      },
      message);
  body["m"] = name_of(message);
  return encode_json(body);
}

Result<GroupMessage> decode_message(ByteView body) {
  auto decoded = decode_json(body);
  if (!decoded)
    return decoded.error().because("message");
  const json& object = *decoded;
  if (!object.is_object() || !object.contains("m") || !object["m"].is_string())
    return Error{ErrorCode::Corrupt, "message: it has no name", ""};
  const std::string wanted = object["m"].get<std::string>();
  Fields fields(object, "message '" + wanted.substr(0, 40) + "'");
  return parse_named(wanted, fields);
}

Bytes encode_json(const json& value) {
  const std::vector<std::uint8_t> packed = json::to_cbor(value);
  const auto view = std::as_bytes(std::span(packed));
  return Bytes(view.begin(), view.end());
}

Result<json> decode_json(ByteView body) {
  if (Status good = check_cbor(body); !good)
    return good.error();
  try {
    const auto* data = reinterpret_cast<const std::uint8_t*>(body.data());
    json value = json::from_cbor(data, data + body.size(), true, false);
    if (value.is_discarded())
      return Error{ErrorCode::Corrupt, "CBOR: holds a value that is not supported", ""};
    return value;
  } catch (const std::exception& error) {
    return Error{ErrorCode::Corrupt, std::string("CBOR: ") + error.what(), ""};
  }
}

} // namespace rc::format
