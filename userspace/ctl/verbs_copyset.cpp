// SPDX-License-Identifier: GPL-2.0-or-later
// Verbs of copysets: groups of several nodes with common checkpoints (docs/copyset.md).
#include "ctl/agent_call.hpp"
#include "ctl/change.hpp"
#include "ctl/status_view.hpp"

#include <algorithm>
#include <ostream>

namespace rc::ctl {
namespace {

int create_copyset(const Invocation& invocation, Terminal& terminal) {
  const control::CopysetCreateRequest request{invocation.text("NAME"), invocation.all("GROUP")};
  return change(request, invocation, terminal);
}

int list_copysets(const Invocation& invocation, Terminal& terminal) {
  const Result<control::ListReply> reply = ask<control::ListReply>(invocation, control::ListRequest{});
  if (!reply)
    return report(reply.error(), invocation.json, terminal);
  control::ListReply copysets;
  copysets.copysets = reply->copysets;
  if (invocation.json)
    print_json(copysets, terminal);
  else
    terminal.out << copyset_list_text(copysets.copysets);
  return Exit::done;
}

// The seats, and what the seats of this node are doing.
int show_copyset(const Invocation& invocation, Terminal& terminal) {
  const std::string name = invocation.text("NAME");
  const Result<control::ListReply> reply = ask<control::ListReply>(invocation, control::ListRequest{});
  if (!reply)
    return report(reply.error(), invocation.json, terminal);
  const auto& all = reply->copysets;
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.name == name; });
  if (found == all.end())
    return report({ErrorCode::NotFound, "this node knows no copyset \"" + name + "\"",
                   "'rcctl copyset list' shows what there is; only nodes with a seat know it"},
                  invocation.json, terminal);
  if (invocation.json) {
    control::ListReply one;
    one.copysets.push_back(*found);
    print_json(one, terminal);
    return Exit::done;
  }
  terminal.out << copyset_text(*found);
  const Result<control::StatusReply> status = ask<control::StatusReply>(invocation, control::StatusRequest{});
  if (!status)
    return report(status.error(), invocation.json, terminal);
  for (const control::GroupStatus& group : status->groups)
    if (group.copyset && group.copyset->name == name)
      terminal.out << "group " << group.name << " here: " << copyset_facts(*group.copyset) << "\n";
  return Exit::done;
}

} // namespace

std::vector<Verb> copyset_verbs() {
  return {
      {"copyset create",
       "Make groups of several nodes one copyset: common checkpoints from now on",
       {{"NAME"}, {"GROUP", Kind::Group, true, {}, true}},
       {},
       create_copyset,
       "The primaries are at one site, each group has one copy at each other site, sync or async alike for "
       "all groups of a site. May be run on any "
       "node that has a\n"
       "link to the nodes of all seats; it says which seat leads its site and which one is the registrar. "
       "Repeated, it brings\n"
       "seats that lack the copyset into it."},
      {"copyset list", "Show the copysets that this node has a seat of", {}, {}, list_copysets},
      {"copyset show",
       "Show the seats of a copyset, and what those of this node do",
       {{"NAME"}},
       {},
       show_copyset},
  };
}

} // namespace rc::ctl
