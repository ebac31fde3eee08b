// SPDX-License-Identifier: GPL-2.0-or-later
// A command that changes something: checked here, carried out by the agent, and its answer shown.
#pragma once

#include "ctl/agent_call.hpp"
#include "format/control_check.hpp"

namespace rc::ctl {

template <typename Request>
int change(const Request& request, const Invocation& invocation, Terminal& terminal) {
  if (Status good = control::check(request); !good)
    return report(good.error(), invocation.json, terminal);
  const Result<control::ChangeReply> reply = ask<control::ChangeReply>(invocation, request);
  if (!reply)
    return report(reply.error(), invocation.json, terminal);
  return show_change(*reply, invocation.json, terminal);
}

} // namespace rc::ctl
