// SPDX-License-Identifier: GPL-2.0-or-later
// Bytes of a GroupState inside the journal's superblock (docs/journal.md). Versioned and strict: what one
// version wrote is read whole or refused; no byte may be left over. The CRC is the superblock's.
#pragma once

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "format/group_state.hpp"

namespace rc::format {

inline constexpr std::uint32_t group_state_version = 3;
// Still read: 1, without the copyset's table; 2, without what a sync site of several copies needs.

Bytes encode_group_state(const GroupState& state);
Result<GroupState> decode_group_state(ByteView bytes);

} // namespace rc::format
