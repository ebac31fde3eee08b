// SPDX-License-Identifier: GPL-2.0-or-later
// What people don't type: completion (called by the shell) and the JSON schema of the status (the source of
// docs/schema).
#include "ctl/agent_call.hpp"
#include "ctl/completion.hpp"

#include <nlohmann/json.hpp>
#include <ostream>

namespace rc::ctl {
namespace {

constexpr auto completion_patience = std::chrono::milliseconds(200); // nobody waits for a tab

int complete(const Invocation& invocation, Terminal& terminal) {
  const auto names = [&]() -> control::ListReply {
    Result<io::ControlClient> client = io::ControlClient::connect(invocation.socket);
    if (!client)
      return {};
    Result<control::ListReply> list = client->call<control::ListReply>(
        control::ListRequest{}, io::ControlClient::Clock::now() + completion_patience);
    return list ? *list : control::ListReply{};
  };
  // One argument: the words of the line so far, the unfinished one last, each ended by a newline.
  for (const std::string& word : completions(split_lines(invocation.text("WORDS")), names))
    terminal.out << word << "\n";
  return Exit::done;
}

int schema(const Invocation&, Terminal& terminal) {
  terminal.out
      << control::schema_of<control::StatusReply>("remotecopy.status/1", "remotecopy status report").dump(2)
      << "\n";
  return Exit::done;
}

} // namespace

std::vector<Verb> hidden_verbs() {
  return {
      {"__complete", "Words that could come next", {{"WORDS"}}, {}, complete, "", true},
      {"__schema", "JSON schema of the status report", {}, {}, schema, "", true},
  };
}

} // namespace rc::ctl
