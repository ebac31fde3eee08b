// SPDX-License-Identifier: GPL-2.0-or-later
// What `rcctl wait --for` waits for, as a pure question about a status report. Not met is never silent: it
// comes with the reason, for the message after a timeout. Unknown lag is never "below".
#pragma once

#include "format/control_messages.hpp"

#include <string>

namespace rc::ctl {

struct Condition {
  enum class Kind {
    Connected, // every link of the pairs is up
    Synced,    // every pair is duplex, and sync pairs are current
    LagBelow,  // every pair's lag is known and below lag_seconds
    Drained,   // nothing that was written is still under way to any copy
    Active,    // the group's volumes accept writes here
  };
  Kind kind = Kind::Synced;
  double lag_seconds = 0;
};

// "connected", "synced", "drained", "active", "lag<5s"
Result<Condition> parse_condition(const std::string& text);

struct Judgement {
  bool met = false;
  std::string reason; // why not
};
// group, node empty: all. A group or pair that is not there (yet) is not met.
Judgement judge(const control::StatusReply& report, const Condition& condition, const std::string& group,
                const std::string& node);

} // namespace rc::ctl
