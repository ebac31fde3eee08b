// SPDX-License-Identifier: GPL-2.0-or-later
// Encoder, decoder and schema writer: three visitors over control_fields.hpp. nlohmann-json is told not to
// throw; where it still could (wrong type access), the type is checked first.
#include "format/control_json.hpp"

#include "format/control_fields.hpp"
#include "format/control_wire.hpp"

#include <cmath>
#include <limits>

namespace rc::control {
namespace {

constexpr int depth_max = 32;

// ---- encoder ----

Json encode(bool value) { return value; }
Json encode(const std::string& value) { return value; }
Json encode(double value) { return std::isfinite(value) ? Json(value) : Json(0.0); }
template <std::integral Number> Json encode(Number value) { return value; }
template <typename Enum>
requires std::is_enum_v<Enum> Json encode(Enum value) { return to_token(value); }
template <typename T> Json encode(const std::vector<T>& values);
template <typename T> Json encode(const std::optional<T>& value);
template <typename T>
requires std::is_class_v<T> Json encode(const T& value);

struct Encoder {
  Json object = Json::object();
  template <typename T> void operator()(const char* name, const T& value) { object[name] = encode(value); }
  template <typename T> void required(const char* name, const T& value) { (*this)(name, value); }
};

template <typename T> Json encode(const std::vector<T>& values) {
  Json array = Json::array();
  for (const T& value : values)
    array.push_back(encode(value));
  return array;
}
template <typename T> Json encode(const std::optional<T>& value) {
  if (!value)
    return nullptr;
  if constexpr (std::is_same_v<T, double>)
    if (!std::isfinite(*value))
      return nullptr;
  return encode(*value);
}
template <typename T>
requires std::is_class_v<T> Json encode(const T& value) {
  Encoder encoder;
  fields(encoder, value);
  return std::move(encoder.object);
}

// ---- decoder: returns what is wrong, empty when nothing is; `path` names the field ----

using Wrong = std::string;

Wrong wrong_type(const std::string& path, const char* wanted) {
  return "field '" + path + "' must be " + wanted;
}

Wrong decode(const Json& json, const std::string& path, bool& value) {
  if (!json.is_boolean())
    return wrong_type(path, "true or false");
  value = json.get<bool>();
  return {};
}
Wrong decode(const Json& json, const std::string& path, std::string& value) {
  if (!json.is_string())
    return wrong_type(path, "text");
  value = json.get_ref<const std::string&>();
  return {};
}
Wrong decode(const Json& json, const std::string& path, double& value) {
  if (!json.is_number())
    return wrong_type(path, "a number");
  value = json.get<double>();
  return {};
}
template <std::integral Number> Wrong decode(const Json& json, const std::string& path, Number& value) {
  using Limits = std::numeric_limits<Number>;
  const bool fits = json.is_number_unsigned()  ? std::in_range<Number>(json.get<std::uint64_t>())
                    : json.is_number_integer() ? std::in_range<Number>(json.get<std::int64_t>())
                                               : false;
  if (!fits)
    return wrong_type(path,
                      Limits::is_signed ? "a whole number" : "a whole number, not negative and in range");
  value = json.is_number_unsigned() ? static_cast<Number>(json.get<std::uint64_t>())
                                    : static_cast<Number>(json.get<std::int64_t>());
  return {};
}
template <typename Enum>
requires std::is_enum_v<Enum> Wrong decode(const Json& json, const std::string& path, Enum& value) {
  const auto found =
      json.is_string() ? from_token<Enum>(json.get_ref<const std::string&>()) : std::optional<Enum>{};
  if (!found)
    return wrong_type(path, ("one of " + token_list<Enum>()).c_str());
  value = *found;
  return {};
}
template <typename T> Wrong decode(const Json& json, const std::string& path, std::vector<T>& values);
template <typename T> Wrong decode(const Json& json, const std::string& path, std::optional<T>& value);
template <typename T>
requires std::is_class_v<T> Wrong decode(const Json& json, const std::string& path, T& value);

struct Decoder {
  const Json& object;
  const std::string& path;
  Wrong wrong = {};

  std::string path_of(const char* name) const { return path.empty() ? name : path + "." + name; }
  template <typename T> void operator()(const char* name, T& value) {
    if (!wrong.empty())
      return;
    if (const auto found = object.find(name); found != object.end())
      wrong = decode(*found, path_of(name), value);
  }
  template <typename T> void required(const char* name, T& value) {
    if (wrong.empty() && !object.contains(name))
      wrong = "field '" + path_of(name) + "' is missing";
    (*this)(name, value);
  }
};

template <typename T> Wrong decode(const Json& json, const std::string& path, std::vector<T>& values) {
  if (!json.is_array())
    return wrong_type(path, "a list");
  values.clear();
  for (const Json& element : json) {
    T value{};
    if (Wrong wrong = decode(element, path + "[" + std::to_string(values.size()) + "]", value);
        !wrong.empty())
      return wrong;
    values.push_back(std::move(value));
  }
  return {};
}
template <typename T> Wrong decode(const Json& json, const std::string& path, std::optional<T>& value) {
  if (json.is_null()) {
    value.reset();
    return {};
  }
  return decode(json, path, value.emplace());
}
template <typename T>
requires std::is_class_v<T> Wrong decode(const Json& json, const std::string& path, T& value) {
  if (!json.is_object())
    return path.empty() ? "the parameters must be an object" : wrong_type(path, "an object");
  Decoder decoder{json, path};
  fields(decoder, value);
  return decoder.wrong;
}

// ---- schema ----

template <typename T> Json schema();

template <typename T> struct SchemaOf {
  static Json make() {
    if constexpr (std::is_same_v<T, bool>)
      return {{"type", "boolean"}};
    else if constexpr (std::is_same_v<T, std::string>)
      return {{"type", "string"}};
    else if constexpr (std::is_floating_point_v<T>)
      return {{"type", "number"}};
    else if constexpr (std::is_unsigned_v<T>)
      return {{"type", "integer"}, {"minimum", 0}};
    else if constexpr (std::is_integral_v<T>)
      return {{"type", "integer"}};
    else if constexpr (std::is_enum_v<T>) {
      Json words = Json::array();
      for (const char* token : tokens<T>())
        words.push_back(token);
      return {{"type", "string"}, {"enum", words}};
    } else
      return schema<T>();
  }
};
template <typename T> struct SchemaOf<std::vector<T>> {
  static Json make() { return {{"type", "array"}, {"items", SchemaOf<T>::make()}}; }
};
template <typename T> struct SchemaOf<std::optional<T>> {
  static Json make() {
    Json inner = SchemaOf<T>::make();
    inner["type"] = Json::array({inner["type"], "null"});
    return inner;
  }
};

struct SchemaWriter {
  Json properties = Json::object();
  Json names = Json::array();
  template <typename T> void operator()(const char* name, const T&) {
    properties[name] = SchemaOf<T>::make();
    names.push_back(name); // the encoder writes every field, so a reader may count on it
  }
  template <typename T> void required(const char* name, const T& value) { (*this)(name, value); }
};

template <typename T> Json schema() {
  SchemaWriter writer;
  const T value{};
  fields(writer, value);
  return {{"type", "object"}, {"properties", writer.properties}, {"required", writer.names}};
}

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Error usage(const std::string& what) {
  return {ErrorCode::Usage, what, "see docs/control-protocol.md; are rcctl and rcagent of one version?"};
}

} // namespace

template <typename T> Json to_json(const T& value) { return encode(value); }

template <typename T> Result<T> from_json(const Json& json) {
  T value{};
  if (const Wrong wrong = decode(json, "", value); !wrong.empty())
    return usage(wrong);
  return value;
}

template <typename T> Json schema_of(const char* id, const char* title) {
  Json whole = schema<T>();
  whole["$schema"] = "https://json-schema.org/draft/2020-12/schema";
  whole["$id"] = id;
  whole["title"] = title;
  return whole;
}

#define RC_CONTROL_VALUE(T)                                                                                  \
  template Json to_json<T>(const T&);                                                                        \
  template Result<T> from_json<T>(const Json&);                                                              \
  template Json schema_of<T>(const char*, const char*);

RC_CONTROL_VALUE(VersionRequest)
RC_CONTROL_VALUE(NodeAddRequest)
RC_CONTROL_VALUE(NodeRemoveRequest)
RC_CONTROL_VALUE(GroupCreateRequest)
RC_CONTROL_VALUE(GroupSetRequest)
RC_CONTROL_VALUE(GroupDeleteRequest)
RC_CONTROL_VALUE(VolumeCreateRequest)
RC_CONTROL_VALUE(VolumeDeleteRequest)
RC_CONTROL_VALUE(PairCreateRequest)
RC_CONTROL_VALUE(PairActionRequest)
RC_CONTROL_VALUE(CopysetCreateRequest)
RC_CONTROL_VALUE(ListRequest)
RC_CONTROL_VALUE(StatusRequest)
RC_CONTROL_VALUE(EventsRequest)
RC_CONTROL_VALUE(TakeoverRequest)
RC_CONTROL_VALUE(ConfirmRequest)
RC_CONTROL_VALUE(CopyPrepareRequest)
RC_CONTROL_VALUE(VersionReply)
RC_CONTROL_VALUE(ChangeReply)
RC_CONTROL_VALUE(ListReply)
RC_CONTROL_VALUE(StatusReply)
RC_CONTROL_VALUE(EventInfo)
RC_CONTROL_VALUE(EventsReply)
RC_CONTROL_VALUE(TakeoverReply)
#undef RC_CONTROL_VALUE

std::string encode_call(const char* method, const Json& parameters, bool more) {
  Json call = {{"method", method}, {"parameters", parameters}};
  if (more)
    call["more"] = true;
  return dump(call);
}

std::string encode_reply(const Json& parameters, bool continues) {
  Json reply = {{"parameters", parameters}};
  if (continues)
    reply["continues"] = true;
  return dump(reply);
}

std::string encode_error(const Error& error) {
  return dump(
      {{"error", {{"code", to_string(error.code)}, {"reason", error.what}, {"next_action", error.next}}}});
}

Result<Json> parse_object(std::string_view text) {
  bool too_deep = false;
  const auto watch_depth = [&](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > depth_max;
    return true;
  };
  Json json = Json::parse(text, watch_depth, false);
  if (json.is_discarded())
    return usage("the message is not JSON");
  if (too_deep)
    return usage("the message is nested too deeply");
  if (!json.is_object())
    return usage("the message is not a JSON object");
  return json;
}

Result<CallMessage> decode_call(std::string_view text) {
  Result<Json> json = parse_object(text);
  if (!json)
    return json.error();
  CallMessage call;
  if (!json->contains("method"))
    return usage("field 'method' is missing");
  if (Wrong wrong = decode((*json)["method"], "method", call.method); !wrong.empty())
    return usage(wrong);
  if (const auto more = json->find("more"); more != json->end())
    if (Wrong wrong = decode(*more, "more", call.more); !wrong.empty())
      return usage(wrong);
  call.parameters = Json::object();
  if (const auto parameters = json->find("parameters"); parameters != json->end()) {
    if (!parameters->is_object())
      return usage("field 'parameters' must be an object");
    call.parameters = std::move(*parameters);
  }
  return call;
}

Result<ReplyMessage> decode_reply(std::string_view text) {
  Result<Json> json = parse_object(text);
  if (!json)
    return json.error();
  ReplyMessage reply;
  reply.parameters = Json::object();
  if (const auto found = json->find("error"); found != json->end()) {
    if (!found->is_object())
      return usage("field 'error' must be an object");
    std::string code;
    Error error;
    for (const auto& [name, to] :
         {std::pair{"code", &code}, {"reason", &error.what}, {"next_action", &error.next}})
      if (const auto field = found->find(name); field != found->end())
        if (Wrong wrong = decode(*field, std::string("error.") + name, *to); !wrong.empty())
          return usage(wrong);
    error.code = error_code_from(code);
    reply.error = std::move(error);
    return reply;
  }
  if (const auto continues = json->find("continues"); continues != json->end())
    if (Wrong wrong = decode(*continues, "continues", reply.continues); !wrong.empty())
      return usage(wrong);
  const auto parameters = json->find("parameters");
  if (parameters == json->end() || !parameters->is_object())
    return usage("the reply has neither 'parameters' nor 'error'");
  reply.parameters = std::move(*parameters);
  return reply;
}

ErrorCode error_code_from(std::string_view token) {
  for (const ErrorCode code :
       {ErrorCode::Failed, ErrorCode::Usage, ErrorCode::NotFound, ErrorCode::NotPermitted, ErrorCode::Refused,
        ErrorCode::Unreachable, ErrorCode::Timeout, ErrorCode::Corrupt, ErrorCode::Full, ErrorCode::Again})
    if (token == to_string(code))
      return code;
  return ErrorCode::Failed;
}

} // namespace rc::control
