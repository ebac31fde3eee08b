// SPDX-License-Identifier: GPL-2.0-or-later
// Inside of links: one TLS connection over one TCP socket, as used by one thread. Calls block at most for the
// time given; wake() from any thread ends a wait early. The handshake ends with the peer's name, or refuses
// it.
#pragma once

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "io/tls.hpp"

#include <chrono>
#include <cstdint>

namespace rc::io {

std::string openssl_reason(); // empties OpenSSL's queue of errors

// A file descriptor that closes itself.
class Fd {
public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Fd& operator=(Fd&& other) noexcept;
  ~Fd();
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

private:
  int fd_;
};

// An eventfd: wake() makes a poll of it return.
class Waker {
public:
  Waker();
  void wake() const;
  void drain() const;
  int fd() const { return fd_.get(); }

private:
  Fd fd_;
};

class TlsConnection {
public:
  // `socket` must be non-blocking.
  TlsConnection(Fd socket, std::shared_ptr<TlsContext> context);
  ~TlsConnection();
  TlsConnection(const TlsConnection&) = delete;
  TlsConnection& operator=(const TlsConnection&) = delete;

  // Both sides verified, or an Error (NotPermitted: certificate; Timeout; Unreachable). Stops early when the
  // waker was woken.
  Status handshake(bool connecting, std::chrono::milliseconds timeout, const Waker& waker);
  const std::string& peer() const { return peer_; }
  std::string cipher() const;
  std::uint32_t round_trip_us() const;

  enum class Wants { Nothing, Read, Write }; // what the socket must become before it is worth trying again
  struct Moved {
    std::size_t bytes = 0;
    Wants wants = Wants::Nothing;
    bool closed = false; // by the peer, in order
  };
  Result<Moved> read(MutableByteView into);
  // Until what is moved is told, the same bytes are handed in again: they are encrypted once, and told when
  // the socket has taken all that became of them. One call of the system for many TLS records.
  Result<Moved> write(ByteView bytes);
  bool has_buffered() const; // bytes were taken from the socket already: poll would not tell
  int fd() const { return socket_.get(); }
  void shut_down();

private:
  Result<Moved> outcome(int returned, const char* what);
  Status seal(ByteView bytes);
  Fd socket_;
  std::shared_ptr<TlsContext> context_;
  ssl_st* ssl_;
  Bytes sealed_; // encrypted, sent up to sealed_at_
  std::size_t sealed_at_ = 0;
  std::size_t plain_ = 0; // bytes that became sealed_
  std::string peer_;
};

} // namespace rc::io
