// SPDX-License-Identifier: GPL-2.0-or-later
// Help and synopsis, from the verb table.
#include "ctl/verb.hpp"

namespace rc::ctl {
namespace {

// "--mode sync|async", "--to NODE"
std::string option_text(const Option& option) {
  std::string text = "--" + std::string(option.name);
  if (option.words.empty())
    return text + (option.value ? " " + std::string(option.value) : "");
  for (const char* word : option.words)
    text += (word == option.words.front() ? " " : "|") + std::string(word);
  return text;
}

constexpr const char* common =
    "  --json          one JSON value (or JSON lines) on stdout; docs/control-protocol.md\n"
    "  --socket PATH   of the agent (default /run/remotecopy/rcagent.sock)\n";

} // namespace

std::string synopsis(const Verb& verb) {
  std::string text = "rcctl " + std::string(verb.path);
  for (const Argument& argument : verb.arguments) {
    text += argument.required ? " " + std::string(argument.name) : " [" + std::string(argument.name) + "]";
    if (argument.many)
      text += "...";
  }
  for (const Option& option : verb.options) {
    const std::string one = option_text(option);
    text += option.required ? " " + one : " [" + one + "]";
    if (option.many)
      text += "...";
  }
  return text;
}

std::string help_of(const Verb& verb) {
  std::string text = synopsis(verb) + "\n\n" + verb.summary + ".\n";
  if (*verb.more)
    text += "\n" + std::string(verb.more) + "\n";
  std::vector<std::vector<std::string>> rows;
  for (const Argument& argument : verb.arguments)
    if (!argument.words.empty()) {
      std::string words;
      for (const char* word : argument.words)
        words += (words.empty() ? "" : ", ") + std::string(word);
      rows.push_back({argument.name, "one of " + words});
    }
  for (const Option& option : verb.options)
    rows.push_back({option_text(option), option.help});
  if (!rows.empty())
    text += "\n" + table(rows, "  ");
  return text + "\n" + common;
}

std::string help_of_all() {
  std::vector<std::vector<std::string>> rows;
  for (const Verb& verb : verbs())
    if (!verb.hidden)
      rows.push_back({verb.path, verb.summary});
  return "rcctl VERB [ARGUMENTS] [OPTIONS]: tells the agent of this node (rcagent) what to do, and shows "
         "what it does.\n\n" +
         table(rows, "  ") +
         "\nrcctl help VERB shows its options. Exit codes: 0 done or already so, 1 failed, 2 wrong usage, 3 "
         "agent not\n"
         "reachable, 4 no such object or not permitted, 5 timeout, 6 refused for safety (--force would do "
         "it).\n";
}

} // namespace rc::ctl
