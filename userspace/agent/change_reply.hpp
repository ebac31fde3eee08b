// SPDX-License-Identifier: GPL-2.0-or-later
// The answer to a command that made, changed or removed something: what came of it, of which object, in
// words.
#pragma once

#include "format/control_messages.hpp"

namespace rc::agent {

inline control::ChangeReply change(control::Outcome outcome, const std::string& object,
                                   const std::string& what) {
  control::ChangeReply reply;
  reply.outcome = outcome;
  reply.object = object;
  reply.what = what;
  return reply;
}

} // namespace rc::agent
