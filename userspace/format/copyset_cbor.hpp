// SPDX-License-Identifier: GPL-2.0-or-later
// CBOR of a CopysetMessage (docs/wire.md, docs/copyset.md). Decoding is total: any bytes give a value or an
// Error. Unknown fields are ignored; a missing or wrongly typed field is an Error. What a table says is
// checked by the core.
#pragma once

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "format/copyset.hpp"

namespace rc::format {

Bytes encode_copyset(const CopysetMessage& message);
Result<CopysetMessage> decode_copyset(ByteView body);

} // namespace rc::format
