// SPDX-License-Identifier: GPL-2.0-or-later
// One call to the agent on behalf of a verb: connect, ask, and tell apart "the agent is not there" (exit 3)
// from an error that the agent reported (a peer it can't reach is not exit 3).
#pragma once

#include "ctl/verb.hpp"
#include "io/control_socket.hpp"

namespace rc::ctl {

// What the agent said when it could not do something: its Unreachable is about others, not about itself.
inline Error from_agent(Error error, const io::ControlClient& client) {
  if (client.connected() && error.code == ErrorCode::Unreachable)
    error.code = ErrorCode::Failed;
  return error;
}

template <typename Answer, typename Request>
Result<Answer> ask(const Invocation& invocation, const Request& request) {
  Result<io::ControlClient> client = io::ControlClient::connect(invocation.socket);
  if (!client)
    return client.error();
  Result<Answer> answer = client->call<Answer>(request);
  if (!answer)
    return from_agent(answer.error(), *client);
  return answer;
}

template <typename Answer, typename Request>
Result<Answer>
ask_stream(const Invocation& invocation, const Request& request,
           const std::function<bool(const Answer&)>& on_reply,
           io::ControlClient::Clock::time_point deadline = io::ControlClient::Clock::time_point::max()) {
  Result<io::ControlClient> client = io::ControlClient::connect(invocation.socket);
  if (!client)
    return client.error();
  Result<Answer> answer = client->stream<Answer>(request, on_reply, deadline);
  if (!answer)
    return from_agent(answer.error(), *client);
  return answer;
}

// Prints what a changing verb did.
int show_change(const control::ChangeReply& change, bool json, Terminal& terminal);

// Prints a value as one JSON line.
template <typename T> void print_json(const T& value, Terminal& terminal);

} // namespace rc::ctl
