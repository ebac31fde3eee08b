// SPDX-License-Identifier: GPL-2.0-or-later
// Is this one well-formed CBOR item (RFC 8949) of the kind we use? Walks over it without recursion and
// without allocating by what it claims: definite lengths only, no tags, map keys are text, at most 32 levels,
// nothing behind it. What passes can be given to a recursive parser.
#pragma once

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace rc::format {

inline constexpr int cbor_levels_max = 32;

Status check_cbor(ByteView bytes);

} // namespace rc::format
