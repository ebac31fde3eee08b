// SPDX-License-Identifier: GPL-2.0-or-later
// The node-local settings: /etc/remotecopy/remotecopy.toml, ten lines (docs/configuration.md). Topology is
// not here: rcctl makes it and the inventory keeps it. Invariant: an unknown or wrong key is refused with
// file, line and column; whatever is returned is complete and checked. Must not: read the certificate files,
// or write anything.
#pragma once

#include "base/log.hpp"
#include "base/result.hpp"
#include "format/control_types.hpp"
#include "io/compress.hpp"

#include <string>

namespace rc::io {

inline constexpr const char* default_config_path = "/etc/remotecopy/remotecopy.toml";

struct Config {
  std::string node; // required; the name in the certificate
  std::string site; // default: the node's name
  control::Address listen{"0.0.0.0", control::default_port};
  std::string certificate; // required; PEM
  std::string key;         // required; PEM, mode 0600
  std::string ca;          // required; PEM
  std::string state_dir = "/var/lib/remotecopy";
  std::string socket = "/run/remotecopy/rcagent.sock";
  Compress compress = Compress::Auto;      // "off" "auto" "always"
  log::Level log_level = log::Level::Info; // "error" "warning" "notice" "info" "debug"

  std::string inventory_path() const { return state_dir + "/inventory.db"; }
};

// Errors: NotFound (no file), NotPermitted, Usage (what, with "FILE:LINE:COLUMN: ").
Result<Config> read_config(const std::string& path = default_config_path);
Result<Config> parse_config(std::string_view text, const std::string& name_for_errors);

} // namespace rc::io
