// SPDX-License-Identifier: GPL-2.0-or-later
// The command line, parsed: no effects. `rc-causal --help` prints help_text.
#pragma once

#include "causal/writer.hpp"

#include <variant>

namespace rc::causal {

struct VerifyOptions {
  struct Source {
    std::uint32_t device;
    std::string path;
  };
  std::vector<Source> devices;
  std::vector<std::string> logs;
  std::uint64_t log_offset = 0; // bytes of each log file that come before its first section
  std::uint64_t run = 0;
  bool acknowledged_all = false;
  std::uint64_t until_ns = ~0ULL;
  std::uint64_t min_contained = 0;
  bool json = false;
};

struct ReadLogOptions {
  std::string path;
  std::uint64_t log_offset = 0;
  std::uint64_t run = 0; // 0: all sections
  bool records = false;
  bool json = false;
};

struct HelpOptions {};

using Options = std::variant<WriteOptions, VerifyOptions, ReadLogOptions, HelpOptions>;

// Usage errors say what is wrong and what is right.
Result<Options> parse_options(const std::vector<std::string>& arguments);

extern const char* const help_text;

} // namespace rc::causal
