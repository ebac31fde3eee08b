// SPDX-License-Identifier: GPL-2.0-or-later
// Where rcctl's output goes and what people may be shown there. stdout is for results (one JSON value or a
// table), stderr for everything that went wrong. Numbers for people are made here; JSON has them plain.
#pragma once

#include "base/result.hpp"
#include "format/control_messages.hpp"

#include <iosfwd>
#include <string>
#include <vector>

namespace rc::ctl {

struct Terminal {
  std::ostream& out;
  std::ostream& err;
  bool interactive = false; // stdout is a terminal: redrawing and bars are allowed
  int columns = 100;
};

int exit_code(ErrorCode code);

// "rcctl: WHAT" and "  next: ..." on stderr; with json also {"error":{...}} on stdout. Returns the exit code.
int report(const Error& error, bool json, Terminal& terminal);

std::string bytes_text(std::uint64_t bytes); // "512 B", "1.5 MiB", "40.0 GiB"
std::string seconds_text(double seconds);    // "0.8 s", "42 s", "4 min 20 s", "3 h 05 min", "2 d 4 h"
std::string lag_text(const std::optional<double>& seconds, bool at_least); // "0.8 s", "> 42 s", "unknown"
std::string bar(double fraction, int width);                               // "[#####...]"

// "10", "512M", "1G", "1GiB", "1.5T": bytes, powers of 1024.
Result<std::uint64_t> parse_bytes(const std::string& text);
// "5", "5s", "500ms", "2m", "1h": seconds.
Result<double> parse_seconds(const std::string& text);

// Columns padded to their widest cell, two spaces between, no trailing blanks; `indent` before each line.
std::string table(const std::vector<std::vector<std::string>>& rows, const std::string& indent = "");

} // namespace rc::ctl
