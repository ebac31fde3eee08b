// SPDX-License-Identifier: GPL-2.0-or-later
// From words to a verb's Invocation, by Boost.Program_options fed from the verb table; its exceptions end
// here.
#include "ctl/verb.hpp"

#include <algorithm>
#include <boost/program_options.hpp>
#include <optional>
#include <ostream>

namespace rc::ctl {
namespace {

namespace po = boost::program_options;

constexpr const char* default_socket = "/run/remotecopy/rcagent.sock";
constexpr const char* socket_variable = "REMOTECOPY_SOCKET"; // for a second agent on a test host

std::vector<std::string> words_of(const std::string& path) {
  std::vector<std::string> words(1);
  for (char c : path)
    if (c == ' ')
      words.emplace_back();
    else
      words.back().push_back(c);
  return words;
}

// The verb whose path the words begin with (global options may stand before), longest first; the words that
// are left.
struct Found {
  const Verb* verb = nullptr;
  std::vector<std::string> rest;
};

bool is_switch_before_verb(const std::string& word) {
  return word == "--json" || word == "--help" || word == "-h";
}

Found find_verb(const std::vector<std::string>& words) {
  std::vector<std::string> before, path;
  std::size_t at = 0;
  for (; at < words.size() && words[at].starts_with("-"); ++at) {
    before.push_back(words[at]);
    if (words[at] == "--socket" && at + 1 < words.size())
      before.push_back(words[++at]);
    else if (!is_switch_before_verb(words[at]) && !words[at].starts_with("--socket="))
      return {};
  }
  const Verb* best = nullptr;
  std::size_t best_words = 0;
  for (const Verb& verb : verbs()) {
    const auto wanted = words_of(verb.path);
    if (wanted.size() > best_words && words.size() - at >= wanted.size() &&
        std::equal(wanted.begin(), wanted.end(), words.begin() + static_cast<std::ptrdiff_t>(at))) {
      best = &verb;
      best_words = wanted.size();
    }
  }
  if (best)
    before.insert(before.end(), words.begin() + static_cast<std::ptrdiff_t>(at + best_words), words.end());
  return {best, before};
}

// "pair": what could follow.
Error unknown(const std::vector<std::string>& words) {
  if (words.front().starts_with("-") && !is_switch_before_verb(words.front()) &&
      !words.front().starts_with("--socket"))
    return {ErrorCode::Usage, "option '" + words.front() + "' stands before the verb",
            "write it after the verb"};
  std::string first;
  for (const std::string& word : words)
    if (!word.starts_with("-")) {
      first = word;
      break;
    }
  std::string possible;
  for (const Verb& verb : verbs())
    if (!verb.hidden && std::string(verb.path).starts_with(first + " "))
      possible += (possible.empty() ? "" : ", ") + std::string(verb.path);
  if (first.empty())
    return {ErrorCode::Usage, "an option of no verb: " + words.front(), "'rcctl help' lists the verbs"};
  if (!possible.empty())
    return {ErrorCode::Usage, "'" + first + "' is not complete", "one of: " + possible};
  return {ErrorCode::Usage, "there is no verb '" + first + "'", "'rcctl help' lists the verbs"};
}

std::string shorten(std::string text) {
  // Program_options says "the argument ('x') for option '--y' is invalid" and the like: good enough for
  // people.
  if (text.starts_with("the option "))
    text = text.substr(4);
  return text;
}

Result<Invocation> parse(const Verb& verb, const std::vector<std::string>& rest) {
  using Strings = std::vector<std::string>;
  po::options_description options;
  po::positional_options_description positional;
  options.add_options()("json", "")("help,h", "")("socket", po::value<Strings>());
  for (const Option& option : verb.options) {
    if (option.value)
      options.add_options()(option.name, po::value<Strings>());
    else
      options.add_options()(option.name, "");
  }
  for (const Argument& argument : verb.arguments) {
    options.add_options()(argument.name, po::value<Strings>());
    positional.add(argument.name, argument.many ? -1 : 1);
  }
  const std::string see = "rcctl help " + std::string(verb.path);
  Invocation invocation;
  po::variables_map map;
  try {
    const int style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
    po::store(po::command_line_parser(rest).options(options).positional(positional).style(style).run(), map);
  } catch (const po::too_many_positional_options_error&) {
    return Error{ErrorCode::Usage, "too many arguments for '" + std::string(verb.path) + "'", synopsis(verb)};
  } catch (const po::error& error) {
    return Error{ErrorCode::Usage, shorten(error.what()), see};
  }
  for (const auto& [name, value] : map) {
    if (const auto* strings = boost::any_cast<Strings>(&value.value()))
      invocation.values_[name] = *strings;
    else
      invocation.values_[name] = {};
  }
  if (invocation.has("help"))
    return invocation;
  for (const Argument& argument : verb.arguments) {
    if (argument.required && !invocation.has(argument.name))
      return Error{ErrorCode::Usage, std::string(argument.name) + " is missing", synopsis(verb)};
    const std::string given = invocation.text(argument.name);
    if (!argument.words.empty() && !given.empty() &&
        std::none_of(argument.words.begin(), argument.words.end(),
                     [&](const char* word) { return given == word; }))
      return Error{ErrorCode::Usage, "'" + given + "' is no " + argument.name, synopsis(verb)};
  }
  for (const Option& option : verb.options) {
    const auto given = invocation.all(option.name);
    if (option.required && given.empty())
      return Error{ErrorCode::Usage, "--" + std::string(option.name) + " is missing", synopsis(verb)};
    if (!option.many && given.size() > 1)
      return Error{ErrorCode::Usage, "--" + std::string(option.name) + " is given twice", synopsis(verb)};
    for (const std::string& value : given)
      if (!option.words.empty() && std::none_of(option.words.begin(), option.words.end(),
                                                [&](const char* word) { return value == word; }))
        return Error{ErrorCode::Usage, "--" + std::string(option.name) + " can't be '" + value + "'",
                     synopsis(verb)};
  }
  return invocation;
}

} // namespace

std::string Invocation::text(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() || found->second.empty() ? "" : found->second.back();
}

std::vector<std::string> Invocation::all(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::vector<std::string>{} : found->second;
}

const std::vector<Verb>& verbs() {
  static const std::vector<Verb> all = [] {
    std::vector<Verb> list;
    for (auto part :
         {status_verbs(), takeover_verbs(), topology_verbs(), copyset_verbs(), local_verbs(), hidden_verbs()})
      list.insert(list.end(), part.begin(), part.end());
    return list;
  }();
  return all;
}

int run(const std::vector<std::string>& words, Terminal& terminal) {
  const bool json = std::find(words.begin(), words.end(), "--json") != words.end();
  const bool asks = !words.empty() && (words[0] == "help" || words[0] == "--help" || words[0] == "-h");
  if (words.empty() || (asks && words.size() == 1)) {
    (asks ? terminal.out : terminal.err) << help_of_all();
    return asks ? Exit::done : Exit::usage;
  }
  const Found found = find_verb(asks ? std::vector<std::string>(words.begin() + 1, words.end()) : words);
  if (!found.verb)
    return report(unknown(asks ? std::vector<std::string>(words.begin() + 1, words.end()) : words), json,
                  terminal);
  if (asks) {
    terminal.out << help_of(*found.verb);
    return Exit::done;
  }
  Result<Invocation> invocation = parse(*found.verb, found.rest);
  if (!invocation)
    return report(invocation.error(), json, terminal);
  if (invocation->has("help")) {
    terminal.out << help_of(*found.verb);
    return Exit::done;
  }
  invocation->json = invocation->has("json");
  const char* from_environment = std::getenv(socket_variable);
  invocation->socket = invocation->has("socket")               ? invocation->text("socket")
                       : from_environment && *from_environment ? from_environment
                                                               : default_socket;
  return found.verb->run(*invocation, terminal);
}

} // namespace rc::ctl
