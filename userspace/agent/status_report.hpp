// SPDX-License-Identifier: GPL-2.0-or-later
// From what the core tells about itself to what people and monitors read (docs/control-protocol.md, status).
// Pure.
#pragma once

#include "core/now.hpp"
#include "core/status.hpp"
#include "format/control_messages.hpp"

namespace rc::agent {

control::PairState to_control(core::PairState state);
std::string utc_text(std::uint64_t real_ns); // RFC 3339; empty for 0

void report_source(const core::SourceStatus& source, control::GroupStatus& group);
control::PairStatus report_pair(const core::LinkStatus& link);
// Also fills what the group at a target shows.
control::PairStatus report_target(const core::TargetStatus& target, core::Now now,
                                  control::GroupStatus& group);
// Of a primary: the worst of its pairs; unknown when one is unknown.
void worst_lag(control::GroupStatus& group);

} // namespace rc::agent
