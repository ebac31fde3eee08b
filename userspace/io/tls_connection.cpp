// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/tls_connection.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace rc::io {
namespace {

constexpr std::size_t seal_bytes_max = 128 << 10; // so much is encrypted, then handed to the socket at once

} // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Fd::~Fd() {
  if (fd_ >= 0)
    close(fd_);
}

Waker::Waker() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) { RC_ASSERT(fd_.valid()); }

void Waker::wake() const {
  const std::uint64_t one = 1;
  // Full (EAGAIN) means that it is awake already.
  [[maybe_unused]] const ssize_t written = ::write(fd_.get(), &one, sizeof one);
}

void Waker::drain() const {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(fd_.get(), &count, sizeof count);
}

TlsConnection::TlsConnection(Fd socket, std::shared_ptr<TlsContext> context)
    : socket_(std::move(socket)), context_(std::move(context)), ssl_(SSL_new(context_->native())) {
  RC_ASSERT(ssl_ && SSL_set_fd(ssl_, socket_.get()) == 1);
  const int on = 1;
  setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

TlsConnection::~TlsConnection() { SSL_free(ssl_); }

Status TlsConnection::handshake(bool connecting, std::chrono::milliseconds timeout, const Waker& waker) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  if (connecting)
    SSL_set_connect_state(ssl_);
  else
    SSL_set_accept_state(ssl_);
  for (;;) {
    ERR_clear_error();
    errno = 0;
    const int returned = SSL_do_handshake(ssl_);
    if (returned == 1)
      break;
    const int why = SSL_get_error(ssl_, returned);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
      const long verified = SSL_get_verify_result(ssl_);
      if (verified != X509_V_OK)
        return Error{ErrorCode::NotPermitted,
                     std::string("the peer's certificate is refused: ") +
                         X509_verify_cert_error_string(verified),
                     "it must be issued by this installation's CA: rcctl ca issue NODE"};
      if (why == SSL_ERROR_SYSCALL && errno != 0)
        return errno_error("TLS handshake");
      const std::string reason = ERR_peek_error() ? openssl_reason() : "the peer hung up";
      return Error{ErrorCode::NotPermitted, "TLS handshake: " + reason,
                   "both nodes need certificates of the same CA, and TLS 1.3"};
    }
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0)
      return Error{ErrorCode::Timeout, "TLS handshake: no answer", "is that rcagent's port?"};
    pollfd waits[2] = {{socket_.get(), static_cast<short>(why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT), 0},
                       {waker.fd(), POLLIN, 0}};
    poll(waits, 2, static_cast<int>(left.count()));
    if (waits[1].revents)
      return Error{ErrorCode::Again, "stopped", ""};
  }
  auto name = peer_name(ssl_);
  if (!name)
    return name.error();
  peer_ = std::move(*name);
  // From here on what is encrypted is gathered in memory.
  BIO* memory = BIO_new(BIO_s_mem());
  RC_ASSERT(memory);
  SSL_set0_wbio(ssl_, memory);
  return {};
}

std::string TlsConnection::cipher() const {
  return std::string(SSL_get_version(ssl_)) + " " + SSL_get_cipher_name(ssl_);
}

std::uint32_t TlsConnection::round_trip_us() const {
  tcp_info info{};
  socklen_t length = sizeof info;
  return getsockopt(socket_.get(), IPPROTO_TCP, TCP_INFO, &info, &length) == 0 ? info.tcpi_rtt : 0;
}

Result<TlsConnection::Moved> TlsConnection::outcome(int returned, const char* what) {
  Moved moved;
  if (returned > 0) {
    moved.bytes = static_cast<std::size_t>(returned);
    return moved;
  }
  switch (SSL_get_error(ssl_, returned)) {
  case SSL_ERROR_WANT_READ:
    moved.wants = Wants::Read;
    return moved;
  case SSL_ERROR_WANT_WRITE:
    moved.wants = Wants::Write;
    return moved;
  case SSL_ERROR_ZERO_RETURN:
    moved.closed = true;
    return moved;
  case SSL_ERROR_SYSCALL:
    if (errno != 0) {
      Error error = errno_error(what);
      error.code = ErrorCode::Unreachable;
      return error;
    }
    [[fallthrough]];
  default:
    return Error{ErrorCode::Unreachable,
                 std::string(what) + ": " + (ERR_peek_error() ? openssl_reason() : "the peer hung up"), ""};
  }
}

Result<TlsConnection::Moved> TlsConnection::read(MutableByteView into) {
  ERR_clear_error();
  errno = 0;
  return outcome(SSL_read(ssl_, into.data(), static_cast<int>(std::min<std::size_t>(into.size(), 1 << 30))),
                 "receive");
}

Status TlsConnection::seal(ByteView bytes) {
  plain_ = 0;
  while (plain_ < std::min(bytes.size(), seal_bytes_max)) {
    ERR_clear_error();
    errno = 0;
    const std::size_t most = std::min(bytes.size() - plain_, seal_bytes_max);
    const int taken = SSL_write(ssl_, bytes.data() + plain_, static_cast<int>(most));
    if (taken <= 0) {
      const auto failed = outcome(taken, "send");
      return failed ? Error{ErrorCode::Unreachable, "send: the connection can't be written to", ""}
                    : failed.error();
    }
    plain_ += static_cast<std::size_t>(taken);
  }
  BIO* memory = SSL_get_wbio(ssl_);
  sealed_.resize(BIO_ctrl_pending(memory));
  sealed_at_ = 0;
  const int got = BIO_read(memory, sealed_.data(), static_cast<int>(sealed_.size()));
  RC_ASSERT(got == static_cast<int>(sealed_.size()));
  return {};
}

Result<TlsConnection::Moved> TlsConnection::write(ByteView bytes) {
  if (sealed_at_ == sealed_.size())
    if (Status sealed = seal(bytes); !sealed)
      return sealed.error();
  while (sealed_at_ < sealed_.size()) {
    const ssize_t sent = ::send(socket_.get(), sealed_.data() + sealed_at_, sealed_.size() - sealed_at_,
                                MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      sealed_at_ += static_cast<std::size_t>(sent);
    } else if (errno == EAGAIN) {
      return Moved{.wants = Wants::Write};
    } else if (errno != EINTR) {
      Error error = errno_error("send");
      error.code = ErrorCode::Unreachable;
      return error;
    }
  }
  return Moved{.bytes = plain_};
}

bool TlsConnection::has_buffered() const { return SSL_has_pending(ssl_) == 1; }

void TlsConnection::shut_down() {
  if (sealed_at_ != sealed_.size())
    return; // it would follow half of a record
  ERR_clear_error();
  SSL_shutdown(ssl_);
  char* bytes = nullptr;
  const long length = BIO_get_mem_data(SSL_get_wbio(ssl_), &bytes);
  if (length > 0 && bytes) [[maybe_unused]]
    const ssize_t sent =
        ::send(socket_.get(), bytes, static_cast<std::size_t>(length), MSG_NOSIGNAL | MSG_DONTWAIT);
}

} // namespace rc::io
