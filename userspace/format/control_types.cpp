// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/control_types.hpp"

#include <algorithm>

namespace rc::control {

using Tokens = std::vector<const char*>;

template <> const Tokens& tokens<Mode>() {
  static const Tokens all{"sync", "async"};
  return all;
}
template <> const Tokens& tokens<Role>() {
  static const Tokens all{"primary", "secondary"};
  return all;
}
template <> const Tokens& tokens<OnFull>() {
  static const Tokens all{"suspend", "throttle"};
  return all;
}
template <> const Tokens& tokens<Fence>() {
  static const Tokens all{"go", "stop"};
  return all;
}
template <> const Tokens& tokens<PairState>() {
  static const Tokens all{"simplex",   "initial_copy", "duplex", "suspending",
                          "suspended", "failed",       "pending"};
  return all;
}
template <> const Tokens& tokens<GroupState>() {
  static const Tokens all{"inactive", "active",      "unconfirmed", "secondary",
                          "updating", "taking_over", "lost_branch", "failed"};
  return all;
}
template <> const Tokens& tokens<LinkState>() {
  static const Tokens all{"down", "connecting", "up"};
  return all;
}
template <> const Tokens& tokens<SyncState>() {
  static const Tokens all{"not_sync", "not_current", "current", "alone"};
  return all;
}
template <> const Tokens& tokens<StepState>() {
  static const Tokens all{"planned", "running", "done", "failed", "skipped"};
  return all;
}
template <> const Tokens& tokens<Outcome>() {
  static const Tokens all{"created", "changed", "removed", "unchanged", "planned"};
  return all;
}
template <> const Tokens& tokens<Severity>() {
  static const Tokens all{"info", "notice", "warning", "error"};
  return all;
}
template <> const Tokens& tokens<EventKind>() {
  static const Tokens all{"exists", "create", "change", "destroy", "call", "response"};
  return all;
}
template <> const Tokens& tokens<PairAction>() {
  static const Tokens all{"delete", "suspend", "resume", "resync"};
  return all;
}

namespace {

// Not isalnum(): names mean the same in every locale.
bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

constexpr std::size_t name_bytes_max = 48;
constexpr std::size_t path_bytes_max = 255;

std::string quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

} // namespace

Status check_name(const char* what, std::string_view name) {
  const std::string intro = std::string(what) + " name " + quoted(name);
  const Error usage{ErrorCode::Usage, intro + " is not possible",
                    "use a letter or digit, then up to 47 letters, digits, '.', '_' or '-'"};
  if (name.empty())
    return Error{ErrorCode::Usage, std::string(what) + " name is missing", usage.next};
  if (name.size() > name_bytes_max || !is_letter_or_digit(name.front()))
    return usage;
  const bool good = std::all_of(name.begin(), name.end(), [](char c) {
    return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-';
  });
  return good ? Status{} : Status{usage};
}

Status check_group_name(std::string_view name) {
  if (Status status = check_name("group", name); !status)
    return status;
  if (name.find('-') != std::string_view::npos)
    return Error{ErrorCode::Usage, "group name " + quoted(name) + " holds a '-'",
                 "use '_' instead: its devices are called GROUP-VOLUME"};
  return {};
}

Status check_volume_name(std::string_view name) { return check_name("volume", name); }

Status check_path(const char* what, std::string_view path) {
  if (path.empty())
    return Error{ErrorCode::Usage, std::string(what) + " is missing", "give the path of a device or file"};
  const bool good = path.front() == '/' && path.size() <= path_bytes_max &&
                    std::none_of(path.begin(), path.end(), [](char c) {
                      return static_cast<unsigned char>(c) <= ' ' || static_cast<unsigned char>(c) == 0x7f;
                    });
  if (!good)
    return Error{ErrorCode::Usage, std::string(what) + " " + quoted(path) + " is not a usable path",
                 "give an absolute path without white space, at most 255 bytes"};
  return {};
}

Result<Address> parse_address(std::string_view text) {
  const Error usage{ErrorCode::Usage, "address " + quoted(text) + " is not HOST:PORT",
                    "write it like sy.example.net:7700 or [2001:db8::1]:7700"};
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos)
    return usage;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string_view::npos)
    return usage;
  const bool host_good =
      !host.empty() && host.size() <= 253 && std::all_of(host.begin(), host.end(), [](char c) {
        return is_letter_or_digit(c) || c == '.' || c == '-' || c == '_' || c == ':' || c == '%';
      });
  if (!host_good || port.empty() || port.size() > 5)
    return usage;
  std::uint32_t number = 0;
  for (char c : port) {
    if (c < '0' || c > '9')
      return usage;
    number = number * 10 + static_cast<std::uint32_t>(c - '0');
  }
  if (number == 0 || number > 65535)
    return usage;
  return Address{std::string(host), static_cast<std::uint16_t>(number)};
}

std::string to_string(const Address& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return (v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

std::string device_path(std::string_view group, std::string_view volume) {
  return "/dev/mapper/" + std::string(group) + "-" + std::string(volume);
}

} // namespace rc::control
