// SPDX-License-Identifier: GPL-2.0-or-later
// Who the primary of a group is, told by the primary's own node to the other nodes and heard there (call
// group.primary, docs/wire.md). Told when a group becomes active here, and again on each new link, until it
// was answered. A node that holds a copy of an older primary remembers it: it feeds on the old one no more,
// says so in its status, and tells the old primary that it is stale. Nodes of a common group learn each
// other's addresses the same way. Invariant: only a newer generation of the same history is believed, and
// only from the node that claims it for itself. Must not: change whose copy a node holds (that is pair
// create). Main thread.
#pragma once

#include "agent/groups.hpp"

#include <map>
#include <set>

namespace rc::agent {

class PrimaryNews {
public:
  PrimaryNews(Context& context, Peers& peers, NodeCalls& calls, Groups& groups,
              std::function<void()> changed);

  // What a node answered: what it is in the group ("copy", "primary", "none"), and for a copy of another node
  // the command that makes it one of the teller's.
  struct Answer {
    std::string role;
    std::string command;
  };
  using Answers = std::map<std::string, Result<Answer>>; // by node; of those with a link

  void tick(); // once a second: tells who has not been told
  void link_down(const std::string& peer);
  // The groups whose primary names the node, as far as it has told this node: group and primary.
  std::vector<std::pair<std::string, std::string>> groups_with(const std::string& node) const;
  // While a change of a group's settings is under way the news does not tell them.
  void hold_settings(const std::string& group, bool hold);
  bool holds_settings(const std::string& group) const { return held_.contains(group); }
  // Tells all now; `then` when each has answered or failed.
  void tell(const std::string& group, std::function<void(const Answers&)> then);

private:
  using Json = control::Json;
  Json news_of(const std::string& group, const io::Topology& topology);
  void tell_one(const std::string& group, const std::string& peer, const Json& news,
                std::function<void(const Result<Answer>&)> then);
  void hear(const std::string& peer, const Json& news, NodeCalls::Answer answer);
  void take_settings(const std::string& peer, const std::string& group, const Json& told);
  void learn_nodes(const std::string& peer, const std::string& group, const Json& nodes);

  Context& context_;
  Peers& peers_;
  NodeCalls& calls_;
  Groups& groups_;
  std::function<void()> changed_;
  std::map<std::pair<std::string, std::string>, Json> told_; // (peer, group): what it has answered
  std::set<std::pair<std::string, std::string>> asked_;      // not answered yet
  struct Heard {
    std::string primary;
    std::set<std::string> nodes; // that it names
  };
  std::map<std::string, Heard> heard_; // by group: of those whose copy is here
  std::set<std::string> held_;         // groups whose settings are not told now
};

} // namespace rc::agent
