// SPDX-License-Identifier: GPL-2.0-or-later
#include "ctl/completion.hpp"

#include "ctl/verb.hpp"

#include <algorithm>
#include <set>

namespace rc::ctl {
namespace {

using Words = std::vector<std::string>;

constexpr const char* path_wanted = "<path>";

const Option common_options[] = {
    {"json", nullptr, ""}, {"help", nullptr, ""}, {"socket", "PATH", "", Kind::Path}};

const Option* find_option(const Verb* verb, const std::string& word) {
  if (!word.starts_with("--"))
    return nullptr;
  if (verb)
    for (const Option& option : verb->options)
      if (word.substr(2) == option.name)
        return &option;
  for (const Option& option : common_options)
    if (word.substr(2) == option.name)
      return &option;
  return nullptr;
}

Words values(Kind kind, const std::vector<const char*>& words,
             const std::function<control::ListReply()>& names) {
  std::set<std::string> found(words.begin(), words.end());
  if (kind == Kind::Path)
    return {path_wanted};
  if (kind == Kind::Group || kind == Kind::Node || kind == Kind::Volume) {
    const control::ListReply list = names();
    if (kind == Kind::Group)
      for (const auto& group : list.groups)
        found.insert(group.name);
    if (kind == Kind::Node)
      for (const auto& node : list.nodes)
        found.insert(node.name);
    if (kind == Kind::Volume)
      for (const auto& volume : list.volumes)
        found.insert(volume.name);
  }
  return {found.begin(), found.end()};
}

std::string joined(const Words& words, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i)
    text += (i ? " " : "") + words[i];
  return text;
}

} // namespace

Words split_lines(const std::string& text) {
  Words lines(1);
  for (char c : text)
    if (c == '\n')
      lines.emplace_back();
    else
      lines.back().push_back(c);
  if (lines.size() > 1 && lines.back().empty())
    lines.pop_back();
  return lines;
}

Words completions(const Words& words, const std::function<control::ListReply()>& names) {
  const std::string unfinished = words.empty() ? "" : words.back();
  // The words before it without options and their values; the verb they begin with.
  Words plain;
  const Verb* verb = nullptr;
  const Option* open = nullptr; // option that waits for its value
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (open) {
      open = nullptr;
      continue;
    }
    if (words[i].starts_with("-")) {
      const Option* option = find_option(verb, words[i]);
      open = option && option->value ? option : nullptr;
      continue;
    }
    plain.push_back(words[i]);
    for (const Verb& one : verbs())
      if (joined(plain, plain.size()) == one.path)
        verb = &one;
  }
  Words all;
  if (open) {
    all = values(open->kind, open->words, names);
  } else if (unfinished.starts_with("-")) {
    for (const Option& option : common_options)
      all.push_back("--" + std::string(option.name));
    if (verb)
      for (const Option& option : verb->options)
        all.push_back("--" + std::string(option.name));
  } else if (!verb) {
    const std::string before = plain.empty() ? "" : joined(plain, plain.size()) + " ";
    std::set<std::string> next;
    for (const Verb& one : verbs()) {
      const std::string path = one.path;
      if (one.hidden || !path.starts_with(before))
        continue;
      const std::string rest = path.substr(before.size());
      next.insert(rest.substr(0, rest.find(' ')));
    }
    if (plain.empty())
      next.insert("help");
    all.assign(next.begin(), next.end());
  } else {
    const std::string path = verb->path;
    const std::size_t path_words = 1 + static_cast<std::size_t>(std::count(path.begin(), path.end(), ' '));
    const std::size_t place = plain.size() - path_words;
    const auto& arguments = verb->arguments;
    if (place < arguments.size())
      all = values(arguments[place].kind, arguments[place].words, names);
    else if (!arguments.empty() && arguments.back().many)
      all = values(arguments.back().kind, arguments.back().words, names);
  }
  if (all == Words{path_wanted})
    return all;
  std::erase_if(all, [&](const std::string& word) { return !word.starts_with(unfinished); });
  return all;
}

} // namespace rc::ctl
