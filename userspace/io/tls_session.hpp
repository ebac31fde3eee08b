// SPDX-License-Identifier: GPL-2.0-or-later
// One authenticated TLS connection, used by one thread at a time. Made by establish(), which lets nobody pass
// whose name is not allowed: before that nothing the other side says is given to anyone.
#pragma once

#include "base/bytes.hpp"
#include "io/socket.hpp"
#include "io/tls.hpp"

#include <functional>

namespace rc::io {

class TlsSession {
public:
  enum class Progress { Done, WantRead, WantWrite };
  struct Step {
    std::size_t bytes = 0; // moved; 0 unless Done
    Progress progress = Progress::Done;
  };

  TlsSession(Fd fd, std::shared_ptr<TlsContext> context, bool server);
  ~TlsSession();

  // Deadline, stop: see wait_for(). The server says one keep-alive frame when it has let the client in; the
  // client waits for that: with TLS 1.3 its own handshake ends before the server has looked at its
  // certificate.
  Status establish(const std::function<bool(const std::string& name)>& allowed, const WakeFd& stop,
                   Clock::time_point deadline);

  // As much as goes without waiting; Unreachable: closed or broken.
  Result<Step> read(MutableByteView into);
  Result<Step> write(ByteView bytes);
  void shutdown(); // says so to the other side, without waiting

  int fd() const { return fd_.get(); }
  bool server() const { return server_; }
  const std::string& peer() const { return peer_; }
  std::string cipher() const;

private:
  Status handshake(const WakeFd& stop, Clock::time_point deadline);
  Error broken(const char* what, int result) const;

  std::shared_ptr<TlsContext> context_;
  Fd fd_;
  ssl_st* ssl_ = nullptr;
  bool server_ = false;
  std::string peer_;
  std::uint64_t until_new_key_;
};

} // namespace rc::io
