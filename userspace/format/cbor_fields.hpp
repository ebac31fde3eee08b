// SPDX-License-Identifier: GPL-2.0-or-later
// Fields of a CBOR map that came from a peer, taken out one by one with their types checked; for the codecs
// of messages. Nothing throws, nothing is allocated for a count that the bytes don't hold.
#pragma once

#include "format/messages.hpp"

#include <limits>
#include <nlohmann/json.hpp>

namespace rc::format {

inline constexpr std::size_t cbor_extent_bytes = 26; // volume, sector, sectors, era
inline constexpr std::size_t cbor_items_max = 4096;

inline nlohmann::json to_json(const LineageEntry& entry) {
  return nlohmann::json{
      {"generation", entry.generation}, {"site", entry.site}, {"id", entry.id}, {"base", entry.base.value}};
}

inline nlohmann::json to_json(const std::vector<LineageEntry>& lineage) {
  nlohmann::json list = nlohmann::json::array();
  for (const LineageEntry& entry : lineage)
    list.push_back(to_json(entry));
  return list;
}

// Takes fields out of a map. The first missing or wrong one is remembered; everything after it is zero.
class CborFields {
public:
  CborFields(const nlohmann::json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object())
      fail("it is no map");
  }

  std::uint64_t number(const char* name) {
    const nlohmann::json* value = field(name);
    if (value && !value->is_number_unsigned())
      fail(std::string("field '") + name + "' is no natural number");
    return ok() && value ? value->get<std::uint64_t>() : 0;
  }
  Era era(const char* name) { return Era{number(name)}; }
  Era optional_era(const char* name, Era missing) {
    return object_.is_object() && object_.contains(name) ? era(name) : missing;
  }
  StreamId stream(const char* name = "stream") { return StreamId{number(name)}; }
  Epoch epoch() { return Epoch{number("epoch")}; }
  bool flag(const char* name) {
    const nlohmann::json* value = field(name);
    if (value && !value->is_boolean())
      fail(std::string("field '") + name + "' is neither true nor false");
    return ok() && value ? value->get<bool>() : false;
  }
  // Missing: false, as an older version means it.
  bool optional_flag(const char* name) { return object_.is_object() && object_.contains(name) && flag(name); }
  std::string text(const char* name) {
    const nlohmann::json* value = field(name);
    if (value && !value->is_string())
      fail(std::string("field '") + name + "' is no text");
    return ok() && value ? value->get<std::string>() : std::string();
  }
  std::vector<Extent> extents(const char* name) {
    const nlohmann::json* value = field(name);
    if (value && (!value->is_binary() || value->get_binary().size() % cbor_extent_bytes != 0))
      fail(std::string("field '") + name + "' is no list of extents");
    std::vector<Extent> extents;
    if (!ok() || !value)
      return extents;
    const auto& packed = value->get_binary();
    extents.reserve(packed.size() / cbor_extent_bytes);
    for (std::size_t at = 0; at < packed.size(); at += cbor_extent_bytes) {
      const auto* from = reinterpret_cast<const std::byte*>(packed.data() + at);
      extents.push_back({load<VolumeNumber>(from), load<std::uint64_t>(from + 2),
                         load<std::uint64_t>(from + 10), Era{load<std::uint64_t>(from + 18)}});
      const Extent& extent = extents.back();
      if (extent.sectors == 0 || extent.sector + extent.sectors < extent.sector)
        fail(std::string("field '") + name + "' has an impossible extent");
    }
    return extents;
  }
  template <typename T> std::vector<T> numbers(const char* name) {
    std::vector<T> numbers;
    const nlohmann::json* value = field(name);
    if (value && (!value->is_array() || value->size() > 65536))
      fail(std::string("field '") + name + "' is no list of numbers");
    if (!ok() || !value)
      return numbers;
    for (const nlohmann::json& item : *value) {
      if (!item.is_number_unsigned() || item.get<std::uint64_t>() > std::numeric_limits<T>::max()) {
        fail(std::string("field '") + name + "' has something else than numbers");
        break;
      }
      numbers.push_back(static_cast<T>(item.get<std::uint64_t>()));
    }
    return numbers;
  }
  std::vector<LineageEntry> lineage(const char* name) {
    return list<LineageEntry>(name, [](CborFields& fields) { return fields.entry(); });
  }
  LineageEntry entry(const char* name) {
    const nlohmann::json* value = field(name);
    if (!value)
      return {};
    CborFields fields(*value, where_ + " " + name);
    LineageEntry entry = fields.entry();
    adopt(fields, name);
    return entry;
  }
  LineageEntry entry() { return {number("generation"), text("site"), number("id"), era("base")}; }
  // `each` makes a value of the fields of one item.
  template <typename T, typename Each> std::vector<T> list(const char* name, Each&& each) {
    std::vector<T> values;
    const nlohmann::json* value = field(name);
    if (value && (!value->is_array() || value->size() > cbor_items_max))
      fail(std::string("field '") + name + "' is no list");
    if (!ok() || !value)
      return values;
    for (const nlohmann::json& item : *value) {
      CborFields fields(item, where_ + " " + name);
      values.push_back(each(fields));
      if (!adopt(fields, name))
        break;
    }
    return values;
  }
  // A map inside; `each` takes its fields.
  template <typename Each> void map(const char* name, Each&& each) {
    if (const nlohmann::json* value = field(name)) {
      CborFields fields(*value, where_ + " " + name);
      each(fields);
      adopt(fields, name);
    }
  }
  // The same; missing: nothing.
  template <typename Each> void inside(const char* name, Each&& each) {
    if (!ok() || !object_.is_object() || !object_.contains(name))
      return;
    CborFields fields(object_[name], where_ + " " + name);
    each(fields);
    adopt(fields, name);
  }
  std::vector<std::string> texts(const char* name) {
    std::vector<std::string> texts;
    const nlohmann::json* value = field(name);
    if (value && (!value->is_array() || value->size() > cbor_items_max))
      fail(std::string("field '") + name + "' is no list of texts");
    if (!ok() || !value)
      return texts;
    for (const nlohmann::json& item : *value) {
      if (!item.is_string()) {
        fail(std::string("field '") + name + "' has something else than texts");
        break;
      }
      texts.push_back(item.get<std::string>());
    }
    return texts;
  }
  Position position() {
    const nlohmann::json* value = field("position");
    if (!value)
      return {};
    CborFields fields(*value, where_ + " position");
    Position position{fields.lineage("lineage"), fields.era("applied")};
    adopt(fields, "position");
    return position;
  }
  std::optional<DraftInfo> draft() {
    if (!object_.is_object() || !object_.contains("draft"))
      return std::nullopt;
    CborFields fields(object_["draft"], where_ + " draft");
    DraftInfo draft{fields.lineage("source_lineage"), fields.era("agreed"), fields.era("broken_at"),
                    fields.extents("shipped"), fields.number("from")};
    adopt(fields, "draft");
    return draft;
  }

  // What the types allow and the meaning doesn't.
  void refuse(std::string why) { fail(std::move(why)); }
  bool ok() const { return error_.empty(); }
  Error error() const { return Error{ErrorCode::Corrupt, where_ + ": " + error_, ""}; }

private:
  const nlohmann::json* field(const char* name) {
    if (!ok())
      return nullptr;
    const auto found = object_.find(name);
    if (found == object_.end()) {
      fail(std::string("field '") + name + "' is missing");
      return nullptr;
    }
    return &*found;
  }
  bool adopt(const CborFields& inner, const char* name) {
    if (!inner.ok())
      fail(std::string("in '") + name + "': " + inner.error_);
    return inner.ok();
  }
  void fail(std::string why) {
    if (ok())
      error_ = std::move(why);
  }

  const nlohmann::json& object_;
  std::string where_;
  std::string error_;
};

} // namespace rc::format
