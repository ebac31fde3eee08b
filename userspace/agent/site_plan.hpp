// SPDX-License-Identifier: GPL-2.0-or-later
// The plans of a site's seats, each made as if its group were alone, as the one plan of the site. Pure.
#pragma once

#include "format/control_messages.hpp"

#include <string>
#include <vector>

namespace rc::agent {

struct SeatPlan {
  std::string group;
  std::string node;
  control::TakeoverReply plan;
};

// Refused if one is; the loss is that of the worst. `group`: the one that was named. Devices on other nodes
// than `here` are shown as NODE:DEVICE.
control::TakeoverReply site_plan(const std::string& copyset, const std::string& site,
                                 const std::string& group, const std::string& here,
                                 const std::vector<SeatPlan>& seats);

} // namespace rc::agent
