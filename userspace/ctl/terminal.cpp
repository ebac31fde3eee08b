// SPDX-License-Identifier: GPL-2.0-or-later
#include "ctl/terminal.hpp"

#include "ctl/verb.hpp"
#include "format/control_json.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ostream>

namespace rc::ctl {
namespace {

std::string print(const char* format, double number) {
  char text[64];
  std::snprintf(text, sizeof text, format, number);
  return text;
}

// Bytes of UTF-8 are not columns.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

struct Number {
  double value;
  std::string unit;
};
std::optional<Number> split(const std::string& text) {
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc{} || !std::isfinite(value) || value < 0)
    return std::nullopt;
  return Number{value, std::string(end, text.data() + text.size())};
}

} // namespace

int exit_code(ErrorCode code) {
  switch (code) {
  case ErrorCode::Usage:
    return Exit::usage;
  case ErrorCode::NotFound:
  case ErrorCode::NotPermitted:
    return Exit::not_there;
  case ErrorCode::Refused:
    return Exit::refused;
  case ErrorCode::Unreachable:
    return Exit::unreachable;
  case ErrorCode::Timeout:
    return Exit::timeout;
  case ErrorCode::Failed:
  case ErrorCode::Corrupt:
  case ErrorCode::Full:
  case ErrorCode::Again:
    break;
  }
  return Exit::failed;
}

int report(const Error& error, bool json, Terminal& terminal) {
  if (json)
    terminal.out << control::encode_error(error) << "\n";
  terminal.err << "rcctl: " << error.what << "\n";
  if (!error.next.empty())
    terminal.err << "  next: " << error.next << "\n";
  return exit_code(error.code);
}

std::string bytes_text(std::uint64_t bytes) {
  static constexpr const char* units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024)
    return std::to_string(bytes) + " B";
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 1023.95 && unit + 1 < std::size(units); ++unit)
    value /= 1024;
  return print("%.1f ", value) + units[unit];
}

std::string seconds_text(double seconds) {
  if (!(seconds >= 0))
    return "unknown";
  if (seconds < 9.95)
    return print("%.1f s", seconds);
  if (seconds < 99.5)
    return print("%.0f s", seconds);
  const double whole = std::round(seconds);
  if (whole >= 1e9)
    return "very long";
  const auto total = static_cast<long>(whole);
  char text[64];
  if (total < 3600)
    std::snprintf(text, sizeof text, "%ld min %02ld s", total / 60, total % 60);
  else if (total < 48 * 3600)
    std::snprintf(text, sizeof text, "%ld h %02ld min", total / 3600, total / 60 % 60);
  else
    std::snprintf(text, sizeof text, "%ld d %ld h", total / 86400, total / 3600 % 24);
  return text;
}

std::string lag_text(const std::optional<double>& seconds, bool at_least) {
  if (!seconds)
    return "unknown";
  return (at_least ? "> " : "") + seconds_text(*seconds);
}

std::string bar(double fraction, int width) {
  const int inside = std::max(width - 2, 1);
  const double part = std::isfinite(fraction) ? std::clamp(fraction, 0.0, 1.0) : 0.0;
  const int full = static_cast<int>(part * inside); // full only when it is done
  return "[" + std::string(static_cast<std::size_t>(full), '#') +
         std::string(static_cast<std::size_t>(inside - full), '.') + "]";
}

Result<std::uint64_t> parse_bytes(const std::string& text) {
  const Error wrong{ErrorCode::Usage, "\"" + text + "\" is no size",
                    "write it like 512M, 20G or 1.5T (powers of 1024)"};
  const auto number = split(text);
  if (!number)
    return wrong;
  std::string unit = number->unit;
  if (unit.size() == 3 && unit.substr(1) == "iB")
    unit.resize(1);
  static const std::string letters = "KMGTP";
  double factor = 1;
  if (!unit.empty() && unit != "B") {
    const auto power = letters.find(static_cast<char>(std::toupper(static_cast<unsigned char>(unit[0]))));
    if (unit.size() != 1 || power == std::string::npos)
      return wrong;
    factor = std::pow(1024.0, static_cast<double>(power + 1));
  }
  const double bytes = number->value * factor;
  if (bytes >= 9.2e18)
    return wrong;
  return static_cast<std::uint64_t>(bytes);
}

Result<double> parse_seconds(const std::string& text) {
  const auto number = split(text);
  if (number) {
    if (number->unit.empty() || number->unit == "s")
      return number->value;
    if (number->unit == "ms")
      return number->value / 1000;
    if (number->unit == "m" || number->unit == "min")
      return number->value * 60;
    if (number->unit == "h")
      return number->value * 3600;
  }
  return Error{ErrorCode::Usage, "\"" + text + "\" is no time", "write it like 5s, 500ms, 2m or 1h"};
}

std::string table(const std::vector<std::vector<std::string>>& rows, const std::string& indent) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths.resize(std::max(widths.size(), i + 1));
      widths[i] = std::max(widths[i], width_of(row[i]));
    }
  std::string text;
  for (const auto& row : rows) {
    std::string line = indent;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size())
        line += std::string(widths[i] - width_of(row[i]) + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

} // namespace rc::ctl
