// SPDX-License-Identifier: GPL-2.0-or-later
// A status report as text for people: lag first, and for everything that is not as it should be the reason
// and the next action. Pure: the same report is the same text. Monitors read the JSON, never this.
#pragma once

#include "format/control_messages.hpp"

#include <string>

namespace rc::ctl {

std::string status_text(const control::StatusReply& report, int columns, bool with_bar);

std::string takeover_text(const control::TakeoverReply& plan); // forecast, sites, steps
std::string copyset_list_text(const std::vector<control::CopysetInfo>& copysets);
std::string copyset_text(const control::CopysetInfo& copyset);
std::string copyset_facts(const control::CopysetStatus& copyset); // what a seat does, in one line
std::string event_line(const control::EventInfo& event);

} // namespace rc::ctl
