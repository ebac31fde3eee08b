// SPDX-License-Identifier: GPL-2.0-or-later
// Asks the other nodes about a primary that starts without a pair, and so without a copy that could confirm
// it: a site that took over, and was away before it was given pairs. It goes on when every node that can be
// asked knows no newer generation, and one of them holds a copy or none is missing (docs/pipeline.md,
// Takeover). In a copyset a host of the same site whose group took over with it (the same lineage entry) and
// is active stands for it as the holder of a copy does. Must not: decide for a primary that has pairs (core
// does). Main thread.
#pragma once

#include "agent/copysets.hpp"
#include "agent/groups.hpp"
#include "agent/node_calls.hpp"

#include <set>

namespace rc::agent {

class Witnesses {
public:
  Witnesses(Context& context, Peers& peers, NodeCalls& calls, Groups& groups, Copysets& copysets);

  void tick(); // once a second

private:
  struct Round; // all questions of one group
  void ask(const std::string& group, const io::Topology& topology);
  void ask_site(const std::shared_ptr<Round>& round, const std::function<void()>& answered);
  bool stands(const std::string& copyset, std::uint64_t entry) const; // a group of it, at this node
  void conclude(const Round& round);

  Context& context_;
  Peers& peers_;
  NodeCalls& calls_;
  Groups& groups_;
  Copysets& copysets_;
  std::set<std::string> asking_;            // groups
  std::map<std::string, std::string> told_; // by group: what was said last, to say each thing once
};

} // namespace rc::agent
