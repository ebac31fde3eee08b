// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/tcp.hpp"

#include <cstring>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace rc::io {
namespace {

struct AddressesEnd {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, AddressesEnd>;

Result<Addresses> resolve(const std::string& host, std::uint16_t port, bool passive) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = (passive ? AI_PASSIVE : 0) | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int failed =
      getaddrinfo(host.empty() ? nullptr : host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (failed)
    return Error{ErrorCode::Unreachable, "cannot resolve " + host + ": " + gai_strerror(failed),
                 "check the name and /etc/hosts or DNS"};
  return Addresses(list);
}

std::string text_of(const sockaddr* address, socklen_t length) {
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  if (getnameinfo(address, length, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) !=
      0)
    return "unknown address";
  const bool v6 = std::strchr(host, ':') != nullptr;
  return (v6 ? "[" + std::string(host) + "]" : std::string(host)) + ":" + port;
}

Status connect_one(const Fd& socket, const addrinfo& address, std::chrono::milliseconds timeout,
                   const Waker& waker) {
  const std::string where = "connect to " + text_of(address.ai_addr, address.ai_addrlen);
  if (connect(socket.get(), address.ai_addr, address.ai_addrlen) == 0)
    return {};
  if (errno != EINPROGRESS)
    return errno_error(where);
  pollfd waits[2] = {{socket.get(), POLLOUT, 0}, {waker.fd(), POLLIN, 0}};
  const int ready = poll(waits, 2, static_cast<int>(timeout.count()));
  if (waits[1].revents)
    return Error{ErrorCode::Again, "stopped", ""};
  if (ready == 0)
    return Error{ErrorCode::Timeout, where + ": no answer", "check the network and the other node"};
  int number = 0;
  socklen_t length = sizeof number;
  getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &number, &length);
  return number == 0 ? Status() : Status(errno_error(where, number));
}

} // namespace

Result<Fd> listen_tcp(const std::string& address, std::uint16_t port) {
  const auto addresses = resolve(address, port, true);
  if (!addresses)
    return addresses.error();
  Error last{ErrorCode::Failed, "no address to listen on", ""};
  for (const addrinfo* one = addresses->get(); one; one = one->ai_next) {
    Fd fd(socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int on = 1;
    if (fd.valid())
      setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd.valid() && bind(fd.get(), one->ai_addr, one->ai_addrlen) == 0 && listen(fd.get(), 64) == 0)
      return fd;
    last = errno_error("listen on " + text_of(one->ai_addr, one->ai_addrlen));
  }
  return last;
}

std::uint16_t local_port(int socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0)
    return 0;
  const std::string text = text_of(reinterpret_cast<sockaddr*>(&address), length);
  return static_cast<std::uint16_t>(std::stoul(text.substr(text.rfind(':') + 1)));
}

Result<Fd> connect_tcp(const std::string& host, std::uint16_t port, std::chrono::milliseconds timeout,
                       const Waker& waker) {
  const auto addresses = resolve(host, port, false);
  if (!addresses)
    return addresses.error();
  Error last{ErrorCode::Unreachable, "no address for " + host, ""};
  for (const addrinfo* one = addresses->get(); one; one = one->ai_next) {
    Fd fd(socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid()) {
      last = errno_error("socket");
      continue;
    }
    const Status done = connect_one(fd, *one, timeout, waker);
    if (done)
      return fd;
    last = done.error();
    if (last.code == ErrorCode::Again)
      break;
  }
  return last;
}

std::string peer_address(int socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getpeername(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0)
    return "unknown address";
  return text_of(reinterpret_cast<sockaddr*>(&address), length);
}

} // namespace rc::io
