// SPDX-License-Identifier: GPL-2.0-or-later
// The installation's own certificate authority, as files in one directory: ca.crt, ca.key, NODE.crt, NODE.key
// (EC P-256, PEM; keys mode 0600, directory 0700). A node is the name in its certificate: CN and the one DNS
// name of it. Local and offline: no agent is needed. Invariant: an existing key or certificate is never
// overwritten; a file is there whole or not at all (written beside, fsynced, linked into place).
#pragma once

#include "base/result.hpp"

#include <string>

namespace rc::io {

inline constexpr const char* default_ca_dir = "/etc/remotecopy/ca";
inline constexpr int ca_days = 20 * 365;
inline constexpr int node_days = 5 * 365;

struct CaFiles {
  bool created = false; // false: it was there already and is whole
  std::string certificate;
  std::string key;
  std::string expires; // RFC 3339 UTC
};

// Refused when only one of the two files is there or they don't belong together.
Result<CaFiles> init_ca(const std::string& dir = default_ca_dir);

// Signs a new key for `node` (valid as server and client). Created = false when a certificate of this CA for
// the node is there. NotFound: no CA in `dir`. Usage: not a node name.
Result<CaFiles> issue_certificate(const std::string& node, const std::string& dir = default_ca_dir);

} // namespace rc::io
