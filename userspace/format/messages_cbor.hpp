// SPDX-License-Identifier: GPL-2.0-or-later
// CBOR of every GroupMessage except Records, and of the JSON objects that nodes exchange (docs/wire.md).
// Decoding is total: any bytes give a value or an Error, never a throw, never deep recursion. Unknown fields
// are ignored (nodes of mixed versions); a missing or wrongly typed field is an Error.
#pragma once

#include "format/messages.hpp"

#include <nlohmann/json_fwd.hpp>

namespace rc::format {

// RecordsMessage has no CBOR form (records_codec.hpp): a programmer's error.
Bytes encode_message(const GroupMessage& message);
Result<GroupMessage> decode_message(ByteView body);
const char* name_of(const GroupMessage& message); // "hello", "resume"...

Bytes encode_json(const nlohmann::json& value);
// One well-formed CBOR item, at most 32 levels deep, nothing behind it.
Result<nlohmann::json> decode_json(ByteView body);

} // namespace rc::format
