// SPDX-License-Identifier: GPL-2.0-or-later
// A group's settings on their way between command, inventory and nodes: GroupSetRequest is what is asked or
// told, GroupRow what is stored. Pure.
#pragma once

#include "format/control_messages.hpp"
#include "io/inventory.hpp"

namespace rc::agent {

inline io::GroupRow with_settings(io::GroupRow row, const control::GroupSetRequest& settings) {
  if (settings.on_full)
    row.on_full = *settings.on_full;
  if (settings.fence)
    row.fence = *settings.fence;
  if (settings.checkpoint_ms != 0)
    row.checkpoint_ms = settings.checkpoint_ms;
  if (settings.ack_timeout_ms != 0)
    row.ack_timeout_ms = settings.ack_timeout_ms;
  return row;
}

// All of them, as other nodes are told.
inline control::GroupSetRequest settings_of(const io::GroupRow& row) {
  return {.name = row.name,
          .on_full = row.on_full,
          .fence = row.fence,
          .checkpoint_ms = row.checkpoint_ms,
          .ack_timeout_ms = row.ack_timeout_ms};
}

inline std::string settings_text(const io::GroupRow& row) {
  return std::string("on full ") + control::to_token(row.on_full) + ", fence " +
         control::to_token(row.fence) + ", checkpoint every " + std::to_string(row.checkpoint_ms) +
         " ms, acknowledgement timeout " + std::to_string(row.ack_timeout_ms) + " ms";
}

// A change of the acknowledgement timeout is a change of the lease under which a sync copy is current. The
// primary may only believe in a shorter one once no copy can hold a longer one.
inline bool shortens_lease(const io::GroupRow& from, const io::GroupRow& to) {
  return to.ack_timeout_ms < from.ack_timeout_ms;
}

} // namespace rc::agent
