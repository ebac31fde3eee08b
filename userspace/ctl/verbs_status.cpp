// SPDX-License-Identifier: GPL-2.0-or-later
// Verbs that look and wait: status, watch, events, wait.
#include "ctl/agent_call.hpp"
#include "ctl/status_view.hpp"
#include "ctl/wait_condition.hpp"
#include "format/control_check.hpp"

#include <ostream>
#include <thread>

namespace rc::ctl {
namespace {

using Clock = io::ControlClient::Clock;

constexpr auto reconnect_every = std::chrono::milliseconds(200);
constexpr auto reconnect_for = std::chrono::seconds(30);
constexpr double wait_interval_seconds = 0.2; // states are told at once anyway; lag only as often as this

Result<control::StatusRequest> status_request(const Invocation& invocation) {
  control::StatusRequest request;
  request.group = invocation.text("GROUP");
  if (invocation.has("interval")) {
    const Result<double> seconds = parse_seconds(invocation.text("interval"));
    if (!seconds)
      return seconds.error();
    request.interval_seconds = *seconds;
  }
  if (Status good = control::check(request); !good)
    return good.error();
  return request;
}

int status(const Invocation& invocation, Terminal& terminal) {
  const Result<control::StatusRequest> request = status_request(invocation);
  if (!request)
    return report(request.error(), invocation.json, terminal);
  const Result<control::StatusReply> reply = ask<control::StatusReply>(invocation, *request);
  if (!reply)
    return report(reply.error(), invocation.json, terminal);
  if (invocation.json)
    print_json(*reply, terminal);
  else
    terminal.out << status_text(*reply, terminal.columns, terminal.interactive);
  return Exit::done;
}

int watch(const Invocation& invocation, Terminal& terminal) {
  const Result<control::StatusRequest> request = status_request(invocation);
  if (!request)
    return report(request.error(), invocation.json, terminal);
  bool first = true;
  const auto show = [&](const control::StatusReply& reply) {
    if (invocation.json) {
      print_json(reply, terminal);
    } else if (terminal.interactive) {
      // Home, the text with each line's rest cleared, then the screen's rest: no flicker.
      std::string text = "\x1b[H" + std::string(first ? "\x1b[2J" : "");
      for (const char c : status_text(reply, terminal.columns, true))
        c == '\n' ? text += "\x1b[K\n" : text += c;
      terminal.out << text << "\x1b[J" << std::flush;
    } else {
      terminal.out << (first ? "" : "\n") << status_text(reply, terminal.columns, false) << std::flush;
    }
    first = false;
    return terminal.out.good();
  };
  const Result<control::StatusReply> last = ask_stream<control::StatusReply>(invocation, *request, show);
  return last ? Exit::done : report(last.error(), invocation.json, terminal);
}

int events(const Invocation& invocation, Terminal& terminal) {
  control::EventsRequest request;
  request.group = invocation.text("GROUP");
  for (const char* name : {"after", "limit"}) {
    if (!invocation.has(name))
      continue;
    const Result<std::uint64_t> number = parse_bytes(invocation.text(name));
    if (!number)
      return report({ErrorCode::Usage, std::string("--") + name + " must be a number", ""}, invocation.json,
                    terminal);
    if (std::string(name) == "after")
      request.after = static_cast<std::int64_t>(*number);
    else
      request.limit = static_cast<std::uint32_t>(std::min<std::uint64_t>(*number, 1u << 31));
  }
  if (Status good = control::check(request); !good)
    return report(good.error(), invocation.json, terminal);
  const auto show = [&](const control::EventsReply& reply) {
    for (const control::EventInfo& event : reply.events) {
      if (invocation.json)
        print_json(event, terminal);
      else
        terminal.out << event_line(event) << "\n";
    }
    if (reply.dump_complete)
      terminal.out << (invocation.json ? "{\"dump_complete\":true}\n" : "-\n");
    terminal.out << std::flush;
    return terminal.out.good();
  };
  if (invocation.has("follow")) {
    const Result<control::EventsReply> last = ask_stream<control::EventsReply>(invocation, request, show);
    return last ? Exit::done : report(last.error(), invocation.json, terminal);
  }
  Result<control::EventsReply> reply = ask<control::EventsReply>(invocation, request);
  if (!reply)
    return report(reply.error(), invocation.json, terminal);
  reply->dump_complete = false;
  show(*reply);
  return Exit::done;
}

int wait(const Invocation& invocation, Terminal& terminal) {
  const Result<Condition> condition = parse_condition(invocation.text("for"));
  if (!condition)
    return report(condition.error(), invocation.json, terminal);
  Clock::time_point deadline = Clock::time_point::max();
  if (invocation.has("timeout")) {
    const Result<double> seconds = parse_seconds(invocation.text("timeout"));
    if (!seconds || *seconds > 1e8)
      return report(seconds ? Error{ErrorCode::Usage, "--timeout is too long", ""} : seconds.error(),
                    invocation.json, terminal);
    deadline =
        Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(*seconds));
  }
  Result<control::StatusRequest> request = status_request(invocation);
  if (!request)
    return report(request.error(), invocation.json, terminal);
  request->interval_seconds = wait_interval_seconds;
  const std::string group = request->group, node = invocation.text("to");
  // The report may come from a node where the group is not known yet: ask for all, judge what is there.
  request->group.clear();

  Judgement judgement{false, "no report yet"};
  const auto look = [&](const control::StatusReply& reply) {
    judgement = judge(reply, *condition, group, node);
    return !judgement.met && Clock::now() < deadline;
  };
  // An agent that is restarted while we wait is no failure; one that was never there is.
  bool seen = false;
  Clock::time_point gone{};
  for (;;) {
    Result<io::ControlClient> client = io::ControlClient::connect(invocation.socket);
    Error error;
    if (client) {
      seen = true;
      gone = {};
      const Result<control::StatusReply> last =
          client->stream<control::StatusReply>(*request, look, deadline);
      if (judgement.met || Clock::now() >= deadline)
        break;
      if (last)
        error = {ErrorCode::Unreachable, "rcagent ended the report", "see 'systemctl status rcagent'"};
      else if (client->connected())
        return report(from_agent(last.error(), *client), invocation.json, terminal);
      else
        error = last.error();
    } else {
      error = client.error();
    }
    if (gone == Clock::time_point{})
      gone = Clock::now();
    if (!seen || error.code != ErrorCode::Unreachable || Clock::now() - gone > reconnect_for)
      return report(error, invocation.json, terminal);
    if (Clock::now() >= deadline)
      break;
    std::this_thread::sleep_for(reconnect_every);
  }
  if (!judgement.met)
    return report({ErrorCode::Timeout, "not " + invocation.text("for") + " in time: " + judgement.reason,
                   "'rcctl status' shows the whole picture"},
                  invocation.json, terminal);
  if (invocation.json)
    terminal.out << "{\"met\":true}\n";
  else
    terminal.out << invocation.text("for") << "\n";
  return Exit::done;
}

const Option interval_option{"interval", "TIME", "how often (default 1s)"};

} // namespace

std::vector<Verb> status_verbs() {
  const Argument group{"GROUP", Kind::Group, false};
  return {
      {"status", "Show lag, state, reason and next action of groups and their copies", {group}, {}, status},
      {"watch",
       "Show the status live: progress, rate, time left, lag",
       {group},
       {interval_option},
       watch,
       "On a terminal it redraws the screen; else one report after the other. Ends with Ctrl-C."},
      {"events",
       "Show what happened",
       {group},
       {{"follow", nullptr, "then go on with new ones as they come; '-' marks the change"},
        {"after", "ID", "only events after this one"},
        {"limit", "N", "at most the newest N (default 100)"}},
       events,
       "With --json: one JSON object on each line. Ids grow by one: a reader sees a gap."},
      {"wait",
       "Wait until a group is as wanted",
       {group},
       {{"for", "CONDITION", "connected, synced, drained, active, or 'lag<5s'", Kind::Word, true},
        {"to", "NODE", "only the pair with this node", Kind::Node},
        {"timeout", "TIME", "give up after this time (exit 5)"}},
       wait,
       "connected  the links are up\n"
       "synced     every pair is duplex, sync pairs are current: a takeover there loses nothing\n"
       "drained    nothing that was written is still on its way\n"
       "active     this node's volumes accept writes\n"
       "lag<TIME   every pair's lag is known and below TIME\n"
       "An agent that is restarted meanwhile is waited for (30 s)."},
  };
}

} // namespace rc::ctl
