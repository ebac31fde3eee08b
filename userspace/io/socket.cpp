// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/socket.hpp"

#include <algorithm>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace rc::io {
namespace {

// What lies in the kernel unsent stays small: what is said now is not late because of what was said before.
constexpr int unsent_bytes_max = 512 << 10;

using Addresses = std::unique_ptr<addrinfo, void (*)(addrinfo*)>;

Result<Addresses> resolve(const std::string& host, std::uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(host.empty() ? nullptr : host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0)
    return Error{ErrorCode::Unreachable, "address '" + host + "': " + gai_strerror(error),
                 "correct the address"};
  return Addresses(found, freeaddrinfo);
}

void set_option(int fd, int level, int name, int value) { setsockopt(fd, level, name, &value, sizeof value); }

Status finish_connect(int fd, const WakeFd& stop, Clock::time_point deadline) {
  if (Status ready = wait_for(fd, POLLOUT, stop, deadline); !ready)
    return ready;
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  return error ? Status(errno_error("connect", error)) : Status();
}

} // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Fd::~Fd() {
  if (fd_ >= 0)
    close(fd_);
}

WakeFd::WakeFd() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { RC_ASSERT(fd_); }

void WakeFd::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t done = write(fd_.get(), &one, sizeof one); // full: it is awake already
}

void WakeFd::clear() {
  std::uint64_t count;
  [[maybe_unused]] const ssize_t done = read(fd_.get(), &count, sizeof count);
}

Status wait_for(int fd, short events, const WakeFd& stop, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0)
      return Error{ErrorCode::Timeout, "no answer in time", ""};
    pollfd polled[2] = {{fd, events, 0}, {stop.get(), POLLIN, 0}};
    const int ready = poll(polled, 2, static_cast<int>(std::min<std::int64_t>(left, 60'000)));
    if (ready < 0 && errno != EINTR)
      return errno_error("poll");
    if (ready > 0 && polled[1].revents)
      return Error{ErrorCode::Again, "stopped", ""};
    if (ready > 0 && polled[0].revents)
      return {};
  }
}

Result<Fd> connect_tcp(const std::string& host, std::uint16_t port, const WakeFd& stop,
                       Clock::time_point deadline) {
  auto addresses = resolve(host, port, AI_ADDRCONFIG);
  if (!addresses)
    return addresses.error();
  Error last{ErrorCode::Unreachable, "no address", ""};
  for (const addrinfo* address = addresses->get(); address; address = address->ai_next) {
    Fd fd(socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
      last = errno_error("socket");
      continue;
    }
    const int done = connect(fd.get(), address->ai_addr, address->ai_addrlen);
    Status connected;
    if (done != 0)
      connected =
          errno == EINPROGRESS ? finish_connect(fd.get(), stop, deadline) : Status(errno_error("connect"));
    if (connected) {
      prepare_tcp(fd.get());
      return fd;
    }
    last = connected.error();
    if (last.code == ErrorCode::Again)
      break;
  }
  return last.because(host + " port " + std::to_string(port));
}

Result<Fd> listen_tcp(const std::string& address, std::uint16_t port) {
  auto addresses = resolve(address, port, AI_PASSIVE);
  if (!addresses)
    return addresses.error();
  const addrinfo* first = addresses->get();
  Fd fd(socket(first->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd)
    return errno_error("socket");
  set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (first->ai_family == AF_INET6)
    set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (bind(fd.get(), first->ai_addr, first->ai_addrlen) != 0 || listen(fd.get(), 64) != 0)
    return errno_error("cannot listen on " + address + " port " + std::to_string(port))
        .then("choose another address or port in the settings, or stop what uses it");
  return fd;
}

void prepare_tcp(int fd) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, unsent_bytes_max);
}

std::string peer_address(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  char host[NI_MAXHOST], port[NI_MAXSERV];
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0 ||
      getnameinfo(reinterpret_cast<sockaddr*>(&address), length, host, sizeof host, port, sizeof port,
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "unknown address";
  std::string name = host;
  if (name.starts_with("::ffff:"))
    name.erase(0, 7);
  return (name.find(':') == std::string::npos ? name : "[" + name + "]") + ":" + port;
}

std::uint16_t local_port(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0)
    return 0;
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                                             : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
}

std::uint32_t round_trip_us(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 ? info.tcpi_rtt : 0;
}

} // namespace rc::io
