// SPDX-License-Identifier: GPL-2.0-or-later
// Who we are and whom we believe: certificate, key and CA of this node, loaded once. TLS 1.3 only, both sides
// present a certificate of the installation's CA; a node's name is the common name of its certificate (a DNS
// subject alternative name, where there is one, counts instead). There is no plain-text mode.
#pragma once

#include "base/result.hpp"

#include <memory>
#include <mutex>
#include <set>
#include <string>

struct ssl_ctx_st;
struct ssl_st;

namespace rc::io {

struct TlsFiles {
  std::string ca;
  std::string certificate;
  std::string key;
};

class TlsContext {
public:
  // Error: unreadable, key and certificate don't match, expired, not of this CA. Says until when it is valid.
  static Result<std::shared_ptr<TlsContext>> load(const TlsFiles& files);
  virtual ~TlsContext() = default;
  virtual const std::string& own_name() const = 0;
  virtual std::int64_t valid_until_unix() const = 0; // of the own certificate
  virtual ssl_ctx_st* native() = 0;
};

// Names of nodes that may talk to us, shared with listener and links. Any thread.
class PeerNames {
public:
  void set(std::set<std::string> names);
  // Any node of the CA, named or not (a node that learns of its peers only now).
  void allow_any(bool any);
  bool allows(const std::string& name) const;

private:
  mutable std::mutex mutex_;
  std::set<std::string> names_;
  bool any_ = false;
};

// Name in the verified certificate of the other side.
Result<std::string> peer_name(const ssl_st* ssl);

// Measured once, in some milliseconds: AES-GCM or ChaCha20? A CPU that has AES instructions may be an
// emulated one, on which they are slow.
bool aes_is_faster();

} // namespace rc::io
