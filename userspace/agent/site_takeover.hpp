// SPDX-License-Identifier: GPL-2.0-or-later
// takeover of a group that belongs to a copyset: the whole site takes over, led by the node that holds the
// site's master. Asks the node of every seat of the site for its plan (call takeover.plan), shows them as
// one, lets the core take over (docs/copyset.md, "Takeover of a site") and waits until all seats may write.
// What is stored at the seats says how far it got, so a restarted agent goes on. Main thread.
#pragma once

#include "agent/copysets.hpp"
#include "agent/groups.hpp"
#include "agent/node_calls.hpp"

namespace rc::agent {

class SiteTakeover {
public:
  using Answered = std::function<void(Result<control::TakeoverReply>)>;
  // Plan of one group at this node, as if it were on its own; nothing is done.
  using PlanHere = std::function<void(control::TakeoverRequest, Answered)>;
  SiteTakeover(Context& context, Peers& peers, NodeCalls& calls, Groups& groups, Copysets& copysets,
               PlanHere plan_here, std::function<void()> changed);

  bool concerns(const std::string& group) const { return copysets_.table_of(group) != nullptr; }
  void run(const control::TakeoverRequest& request, control::Reply<control::TakeoverReply> reply);
  // A plan that a stop of the agent interrupted; the seat may not have begun yet.
  void resume(const io::PlanRow& stored);

private:
  struct Work;
  void forward(const control::TakeoverRequest& request, const std::string& node, const std::string& master,
               control::Reply<control::TakeoverReply> reply);
  void ask_seats(const std::shared_ptr<Work>& work,
                 std::function<void(std::vector<Result<control::TakeoverReply>>)> then);
  void planned(const std::shared_ptr<Work>& work, const std::vector<Result<control::TakeoverReply>>& answers);
  void execute(const std::shared_ptr<Work>& work);
  void follow(const std::shared_ptr<Work>& work);
  void await_others(const std::shared_ptr<Work>& work);
  void end(const std::shared_ptr<Work>& work, const std::optional<Error>& error);

  Context& context_;
  Peers& peers_;
  NodeCalls& calls_;
  Groups& groups_;
  Copysets& copysets_;
  PlanHere plan_here_;
  std::function<void()> changed_;
};

} // namespace rc::agent
