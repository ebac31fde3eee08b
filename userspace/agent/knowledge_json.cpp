// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/knowledge_json.hpp"

namespace rc::agent {
namespace {

using control::Json;

template <typename T> T value_of(const Json& json, const char* key, T otherwise = {}) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  if (!json.is_object() || found == json.end())
    return otherwise;
  if constexpr (std::is_same_v<T, bool>)
    return found->is_boolean() ? found->template get<bool>() : otherwise;
  else if constexpr (std::is_same_v<T, std::string>)
    return found->is_string() ? found->template get<std::string>() : otherwise;
  else
    return found->is_number_unsigned() ? found->template get<T>() : otherwise;
}

} // namespace

control::Json lineage_to_json(const std::vector<format::LineageEntry>& lineage) {
  Json list = Json::array();
  for (const auto& entry : lineage)
    list.push_back({{"generation", entry.generation},
                    {"site", entry.site},
                    {"id", entry.id},
                    {"base", entry.base.value}});
  return list;
}

std::vector<format::LineageEntry> lineage_from_json(const control::Json& json) {
  std::vector<format::LineageEntry> lineage;
  if (json.is_array())
    for (const auto& entry : json)
      lineage.push_back({.generation = value_of<std::uint64_t>(entry, "generation"),
                         .site = value_of<std::string>(entry, "site"),
                         .id = value_of<std::uint64_t>(entry, "id"),
                         .base = Era{value_of<std::uint64_t>(entry, "base")}});
  return lineage;
}

namespace {

Json copy_to_json(const core::TargetStatus& copy) {
  return {{"connected", copy.connected},
          {"stream", copy.stream.value},
          {"received", copy.received},
          {"durable", copy.durable},
          {"lineage", lineage_to_json(copy.position.lineage)},
          {"applied", copy.position.applied.value},
          {"image_time_ns", copy.image_time_ns},
          {"takeover_time_ns", copy.takeover_time_ns},
          {"takeover_checkpoint", copy.takeover_checkpoint.value},
          {"restartable", copy.restartable},
          {"current", copy.current},
          {"was_current", copy.was_current},
          {"current_until_ns", copy.current_until_ns},
          {"update_in_progress", copy.update_in_progress},
          {"draft", copy.draft},
          {"draft_in_place", copy.draft_in_place},
          {"draft_bytes", copy.draft_bytes},
          {"received_bytes", copy.received_bytes},
          {"taking_over", copy.taking_over}};
}

core::TargetStatus copy_from_json(const Json& json) {
  core::TargetStatus copy;
  copy.connected = value_of<bool>(json, "connected");
  copy.stream = StreamId{value_of<std::uint64_t>(json, "stream")};
  copy.received = value_of<std::uint64_t>(json, "received");
  copy.durable = value_of<std::uint64_t>(json, "durable");
  if (json.is_object() && json.contains("lineage"))
    copy.position.lineage = lineage_from_json(json["lineage"]);
  copy.position.applied = Era{value_of<std::uint64_t>(json, "applied")};
  copy.image_time_ns = value_of<std::uint64_t>(json, "image_time_ns");
  copy.takeover_time_ns = value_of<std::uint64_t>(json, "takeover_time_ns");
  copy.takeover_checkpoint = Era{value_of<std::uint64_t>(json, "takeover_checkpoint")};
  copy.restartable = value_of<bool>(json, "restartable");
  copy.current = value_of<bool>(json, "current");
  copy.was_current = value_of<bool>(json, "was_current");
  copy.current_until_ns = value_of<std::uint64_t>(json, "current_until_ns");
  copy.update_in_progress = value_of<bool>(json, "update_in_progress");
  copy.draft = value_of<bool>(json, "draft");
  copy.draft_in_place = value_of<bool>(json, "draft_in_place");
  copy.draft_bytes = value_of<std::uint64_t>(json, "draft_bytes");
  copy.received_bytes = value_of<std::uint64_t>(json, "received_bytes");
  copy.taking_over = value_of<bool>(json, "taking_over");
  return copy;
}

} // namespace

Json knowledge_to_json(const core::NodeKnowledge& knowledge) {
  Json json = {{"node", knowledge.node},
               {"site", knowledge.site},
               {"primary", knowledge.primary},
               {"primary_live", knowledge.primary_live}};
  if (knowledge.copy)
    json["copy"] = copy_to_json(*knowledge.copy);
  if (knowledge.source)
    json["source"] = {{"state", knowledge.source->state},
                      {"lineage", lineage_to_json(knowledge.source->lineage)},
                      {"era", knowledge.source->era.value},
                      {"alone", knowledge.source->alone},
                      {"captured_bytes", knowledge.source->captured_bytes}};
  return json;
}

core::NodeKnowledge knowledge_from_json(const Json& json) {
  core::NodeKnowledge knowledge;
  knowledge.node = value_of<std::string>(json, "node");
  knowledge.site = value_of<std::string>(json, "site");
  knowledge.reachable = true;
  knowledge.primary = value_of<bool>(json, "primary");
  knowledge.primary_live = value_of<bool>(json, "primary_live");
  if (json.is_object() && json.contains("copy"))
    knowledge.copy = copy_from_json(json["copy"]);
  if (json.is_object() && json.contains("source")) {
    core::SourceStatus source;
    const Json& told = json["source"];
    source.state = value_of<std::string>(told, "state");
    if (told.is_object() && told.contains("lineage"))
      source.lineage = lineage_from_json(told["lineage"]);
    source.era = Era{value_of<std::uint64_t>(told, "era")};
    source.alone = value_of<bool>(told, "alone");
    source.captured_bytes = value_of<std::uint64_t>(told, "captured_bytes");
    knowledge.source = std::move(source);
  }
  return knowledge;
}

} // namespace rc::agent
