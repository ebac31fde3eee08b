// SPDX-License-Identifier: GPL-2.0-or-later
// copyset.create: asks the nodes what they hold of the groups (call copyset.survey), has the core make the
// table (core/copyset_founding.hpp), and brings it to every seat's node (call copyset.join), primaries first.
// Idempotent: interrupted or repeated, it brings the table that exists to the seats that lack it. Nothing is
// changed before every node was asked and can be reached. Main thread.
#pragma once

#include "agent/copysets.hpp"
#include "agent/groups.hpp"
#include "agent/node_calls.hpp"

namespace rc::agent {

class CopysetCreation {
public:
  CopysetCreation(Context& context, Peers& peers, NodeCalls& calls, Groups& groups, Copysets& copysets,
                  std::function<void()> changed);

  void create(const control::CopysetCreateRequest& request, control::Reply<control::ChangeReply> reply);
  // A copy of a group that is in a copyset was made (anew) on that node: it must have the table before its
  // first record. Ok at once for a group on its own.
  void join_copy(const std::string& group, const std::string& node, std::function<void(Status)> then);
  // May a copy of the group be made on that node? Seats stay where they are.
  Status check_copy(const std::string& group, const std::string& node);

private:
  struct Work;
  void survey(const std::vector<std::string>& groups,
              std::function<void(std::vector<core::GroupSurvey>)> then);
  std::vector<core::GroupSurvey> own_survey(const std::vector<std::string>& groups);
  control::Json invitation(const core::Founding& founding);
  void found(std::shared_ptr<Work> work, const std::vector<core::GroupSurvey>& surveys);
  void invite_next(std::shared_ptr<Work> work);
  void invite(const std::string& node, const control::Json& invitation,
              std::function<void(Result<control::Json>)> then);
  void joined(const core::Founding& founding, control::Outcome outcome, NodeCalls::Answer answer);
  void accept(const control::Json& told, NodeCalls::Answer answer);
  Status acceptable(const core::Founding& founding);
  void learn_nodes(const control::Json& nodes);
  std::string site_of(const std::string& node);

  Context& context_;
  Peers& peers_;
  NodeCalls& calls_;
  Groups& groups_;
  Copysets& copysets_;
  std::function<void()> changed_;
};

} // namespace rc::agent
