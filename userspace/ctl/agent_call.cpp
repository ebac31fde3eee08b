// SPDX-License-Identifier: GPL-2.0-or-later
#include "ctl/agent_call.hpp"

#include "format/control_json.hpp"

#include <nlohmann/json.hpp>
#include <ostream>

namespace rc::ctl {

template <typename T> void print_json(const T& value, Terminal& terminal) {
  terminal.out << control::to_json(value).dump(-1, ' ', false, control::Json::error_handler_t::replace)
               << "\n"
               << std::flush;
}
template void print_json(const control::VersionReply&, Terminal&);
template void print_json(const control::ChangeReply&, Terminal&);
template void print_json(const control::ListReply&, Terminal&);
template void print_json(const control::StatusReply&, Terminal&);
template void print_json(const control::EventInfo&, Terminal&);
template void print_json(const control::TakeoverReply&, Terminal&);

namespace {
const char* outcome_word(control::Outcome outcome) {
  switch (outcome) {
  case control::Outcome::Created:
    return "created";
  case control::Outcome::Changed:
    return "changed";
  case control::Outcome::Removed:
    return "removed";
  case control::Outcome::Unchanged:
    return "already so";
  case control::Outcome::Planned:
    return "would do";
  }
  return "done";
}
} // namespace

int show_change(const control::ChangeReply& change, bool json, Terminal& terminal) {
  for (const std::string& warning : change.warnings)
    terminal.err << "rcctl: warning: " << warning << "\n";
  if (json) {
    print_json(change, terminal);
    return Exit::done;
  }
  terminal.out << outcome_word(change.outcome) << ": " << change.object;
  if (!change.what.empty())
    terminal.out << ": " << change.what;
  terminal.out << "\n";
  for (const std::string& detail : change.details)
    terminal.out << "  " << detail << "\n";
  if (change.meta_bytes)
    terminal.out << "  meta space needed: " << bytes_text(*change.meta_bytes) << "\n";
  if (change.device)
    terminal.out << "  hosts use: " << *change.device << "\n";
  if (!change.next_action.empty())
    terminal.out << "  next: " << change.next_action << "\n";
  return Exit::done;
}

} // namespace rc::ctl
