// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/tls_session.hpp"

#include "format/frame.hpp"

#include <algorithm>
#include <array>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>

namespace rc::io {
namespace {

// A new key long before the limit of any cipher (2^24 full TLS records of AES-GCM).
constexpr std::uint64_t new_key_after_bytes = 32ULL << 30;

} // namespace

TlsSession::TlsSession(Fd fd, std::shared_ptr<TlsContext> context, bool server)
    : context_(std::move(context)), fd_(std::move(fd)), ssl_(SSL_new(context_->native())), server_(server),
      until_new_key_(new_key_after_bytes) {
  RC_ASSERT(ssl_ && SSL_set_fd(ssl_, fd_.get()));
  if (server)
    SSL_set_accept_state(ssl_);
  else
    SSL_set_connect_state(ssl_);
}

TlsSession::~TlsSession() { SSL_free(ssl_); }

Status TlsSession::handshake(const WakeFd& stop, Clock::time_point deadline) {
  for (;;) {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_);
    if (result == 1)
      return {};
    const int reason = SSL_get_error(ssl_, result);
    if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE)
      return broken("TLS handshake", result);
    const short events = reason == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
    if (Status ready = wait_for(fd_.get(), events, stop, deadline); !ready)
      return ready.error().because("TLS handshake");
  }
}

Status TlsSession::establish(const std::function<bool(const std::string&)>& allowed, const WakeFd& stop,
                             Clock::time_point deadline) {
  if (Status done = handshake(stop, deadline); !done)
    return done;
  auto name = peer_name(ssl_);
  if (!name)
    return name.error();
  peer_ = *name;
  if (!allowed(peer_))
    return Error{ErrorCode::NotPermitted, "node '" + peer_ + "' is not expected here",
                 "rcctl node add, if it belongs to this installation"};
  std::array<std::byte, format::frame_header_bytes> hello;
  format::write_frame_header({format::FrameType::KeepAlive, 0, 0, 1}, hello);
  std::size_t done = 0;
  while (done < hello.size()) {
    const auto left = MutableByteView(hello).subspan(done);
    const auto step = server_ ? write(left) : read(left);
    if (!step)
      return server_
                 ? step.error()
                 : step.error().because("'" + peer_ + "' did not let us in").then("does it know this node?");
    done += step->bytes;
    if (step->progress == Progress::Done)
      continue;
    const short events = step->progress == Progress::WantRead ? POLLIN : POLLOUT;
    if (Status ready = wait_for(fd_.get(), events, stop, deadline); !ready)
      return ready;
  }
  if (!server_) {
    const auto header = format::parse_frame_header(hello);
    if (!header)
      return header.error();
    if (header->type != format::FrameType::KeepAlive || header->number != 1)
      return Error{ErrorCode::Corrupt, "'" + peer_ + "' did not begin with a keep-alive frame", ""};
  }
  return {};
}

Result<TlsSession::Step> TlsSession::read(MutableByteView into) {
  ERR_clear_error();
  std::size_t bytes = 0;
  const int result = SSL_read_ex(ssl_, into.data(), into.size(), &bytes);
  if (result == 1)
    return Step{bytes, Progress::Done};
  switch (SSL_get_error(ssl_, result)) {
  case SSL_ERROR_WANT_READ:
    return Step{0, Progress::WantRead};
  case SSL_ERROR_WANT_WRITE:
    return Step{0, Progress::WantWrite};
  default:
    return broken("read", result);
  }
}

Result<TlsSession::Step> TlsSession::write(ByteView bytes) {
  ERR_clear_error();
  std::size_t written = 0;
  const int result = SSL_write_ex(ssl_, bytes.data(), bytes.size(), &written);
  if (result == 1) {
    until_new_key_ -= std::min<std::uint64_t>(until_new_key_, written);
    if (until_new_key_ == 0 && SSL_key_update(ssl_, SSL_KEY_UPDATE_NOT_REQUESTED) == 1)
      until_new_key_ = new_key_after_bytes;
    return Step{written, Progress::Done};
  }
  switch (SSL_get_error(ssl_, result)) {
  case SSL_ERROR_WANT_READ:
    return Step{0, Progress::WantRead};
  case SSL_ERROR_WANT_WRITE:
    return Step{0, Progress::WantWrite};
  default:
    return broken("write", result);
  }
}

void TlsSession::shutdown() {
  ERR_clear_error();
  SSL_shutdown(ssl_);
}

std::string TlsSession::cipher() const {
  const char* name = SSL_get_cipher_name(ssl_);
  return name ? name : "none";
}

Error TlsSession::broken(const char* what, int result) const {
  const int number = errno;
  const int reason = SSL_get_error(ssl_, result);
  if (reason == SSL_ERROR_ZERO_RETURN)
    return Error{ErrorCode::Unreachable, "the other side closed the connection", ""};
  if (const unsigned long code = ERR_get_error(); code != 0) {
    char text[256];
    ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    const long verify = SSL_get_verify_result(ssl_);
    std::string why = std::string(what) + ": " + text;
    if (verify != X509_V_OK)
      return Error{ErrorCode::NotPermitted, why + ": " + X509_verify_cert_error_string(verify),
                   "issue its certificate with this installation's CA: rcctl ca issue NODE"};
    if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
      return Error{ErrorCode::Unreachable, "the connection was cut", ""};
    return Error{reason == SSL_ERROR_SSL ? ErrorCode::NotPermitted : ErrorCode::Unreachable, why, ""};
  }
  if (number == 0)
    return Error{ErrorCode::Unreachable, "the connection was cut", ""};
  Error error = errno_error(what, number);
  error.code = ErrorCode::Unreachable;
  return error;
}

} // namespace rc::io
