// SPDX-License-Identifier: GPL-2.0-or-later
// Which words can come next on a command line: from the verb table, and names from the agent (asked only when
// a name is wanted). Pure but for `names`.
#pragma once

#include "format/control_messages.hpp"

#include <functional>
#include <string>
#include <vector>

namespace rc::ctl {

// `words`: after "rcctl"; the last one is unfinished, maybe empty. The single answer "<path>" means: a file
// name.
std::vector<std::string> completions(const std::vector<std::string>& words,
                                     const std::function<control::ListReply()>& names);

std::vector<std::string> split_lines(const std::string& text);

} // namespace rc::ctl
