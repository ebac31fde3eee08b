// SPDX-License-Identifier: GPL-2.0-or-later
// Control protocol values <-> JSON <-> messages on the socket (one JSON object and a NUL byte each):
//   {"method":"status","parameters":{...},"more":true}            request
//   {"parameters":{...}} or {"parameters":{...},"continues":true}  reply; "continues": more follow
//   {"error":{"code":"not_found","reason":"...","next_action":"..."}}  last reply of a call that failed
// Invariant: decoding is total. Whatever the bytes, the answer is a value or an Error that names the field.
#pragma once

#include "format/control_messages.hpp"

#include <nlohmann/json_fwd.hpp>

namespace rc::control {

using Json = nlohmann::json;

// Declared for every request and reply of control_messages.hpp, defined in control_json.cpp.
template <typename T> Json to_json(const T& value);
template <typename T> Result<T> from_json(const Json& json);

// JSON schema (the draft 2020-12 subset type, properties, required, enum, items) of T, from the same field
// list.
template <typename T> Json schema_of(const char* id, const char* title);

inline constexpr std::size_t request_bytes_max = 1 << 20;
inline constexpr std::size_t reply_bytes_max = 64 << 20;

struct CallMessage;  // request as received
struct ReplyMessage; // reply as received

// Bytes of one message, without the closing NUL. Text that is not UTF-8 is replaced, never refused.
std::string encode_call(const char* method, const Json& parameters, bool more);
std::string encode_reply(const Json& parameters, bool continues);
std::string encode_error(const Error& error);

// Not JSON, not an object, nested deeper than 32: an Error (Usage).
Result<Json> parse_object(std::string_view text);
Result<CallMessage> decode_call(std::string_view text);
// An Error in the reply is in ReplyMessage::error; Result's own Error: the bytes make no sense.
Result<ReplyMessage> decode_reply(std::string_view text);

// "refused" -> ErrorCode::Refused; an unknown word is Failed.
ErrorCode error_code_from(std::string_view token);

} // namespace rc::control
