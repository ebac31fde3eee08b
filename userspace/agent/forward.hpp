// SPDX-License-Identifier: GPL-2.0-or-later
// A command that concerns the primary of a group, asked on another node, is sent there; the answer comes back
// as if this node had given it.
#pragma once

#include "agent/commands.hpp"

namespace rc::agent {

template <typename Answer, typename Request>
bool Commands::forwarded(const io::GroupRow& group, const Request& request,
                         const control::Reply<Answer>& reply) {
  if (group.role == control::Role::Primary)
    return false;
  if (group.primary_node.empty()) {
    reply(Error{ErrorCode::Refused,
                "group " + group.name + " has its primary on another node, which is not known here",
                "repeat the command there"});
    return true;
  }
  calls_.call(
      group.primary_node, Request::method, control::to_json(request),
      [reply, node = group.primary_node](const Result<control::Json>& answer) {
        if (answer)
          reply(control::from_json<Answer>(*answer));
        else
          reply(answer.error().because("primary node " + node));
      },
      std::chrono::seconds(180));
  return true;
}

} // namespace rc::agent
