// SPDX-License-Identifier: GPL-2.0-or-later
// rcctl's verbs as one table: parsing, help and completion all read it, so they can't disagree.
// Invariant: a verb is a value; only its `run` does something. A new verb is a new entry in one verbs_*.cpp.
#pragma once

#include "base/result.hpp"
#include "ctl/terminal.hpp"

#include <map>
#include <string>
#include <vector>

namespace rc::ctl {

// What completion offers for a value.
enum class Kind { None, Word, Path, Group, Node, Volume };

struct Argument {
  const char* name; // "GROUP"
  Kind kind = Kind::None;
  bool required = true;
  std::vector<const char*> words = {}; // Kind::Word: what is possible
  bool many = false;                   // the last one only: takes all that follows
};

struct Option {
  const char* name;  // "journal-size", without dashes
  const char* value; // "SIZE"; null: a switch
  const char* help;
  Kind kind = Kind::None;
  bool required = false;
  bool many = false;                   // may be given several times
  std::vector<const char*> words = {}; // Kind::Word
};

// A verb as it was called, values by name. Names are those of the table; asking for another is a programmer's
// error.
class Invocation {
public:
  bool json = false;
  std::string socket;

  bool has(const std::string& name) const { return values_.contains(name); }
  std::string text(const std::string& name) const; // the last one given; "" when not given
  std::vector<std::string> all(const std::string& name) const;

  std::map<std::string, std::vector<std::string>> values_;
};

// Exit codes (docs/cli.md).
enum Exit : int { done = 0, failed = 1, usage = 2, unreachable = 3, not_there = 4, timeout = 5, refused = 6 };

struct Verb {
  const char* path; // "pair create"
  const char* summary;
  std::vector<Argument> arguments;
  std::vector<Option> options;
  int (*run)(const Invocation& invocation, Terminal& terminal);
  const char* more = ""; // further lines of its help
  bool hidden = false;
};

const std::vector<Verb>& verbs();

// Parts of the table.
std::vector<Verb> local_verbs();    // ca, version
std::vector<Verb> topology_verbs(); // node, group, volume, pair, list, show
std::vector<Verb> copyset_verbs();  // copyset
std::vector<Verb> status_verbs();   // status, watch, events, wait
std::vector<Verb> takeover_verbs(); // takeover, confirm
std::vector<Verb> hidden_verbs();   // __complete, __schema

// `words` without the program's name.
int run(const std::vector<std::string>& words, Terminal& terminal);

// "rcctl pair create GROUP --to NODE ..."
std::string synopsis(const Verb& verb);
std::string help_of(const Verb& verb);
std::string help_of_all();

} // namespace rc::ctl
