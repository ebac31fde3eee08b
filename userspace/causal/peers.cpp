// SPDX-License-Identifier: GPL-2.0-or-later
#include "causal/peers.hpp"

#include "base/crc32c.hpp"
#include "base/log.hpp"

#include <algorithm>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace rc::causal {
namespace {

constexpr std::uint64_t message_magic = 0x31474d434c435352ULL; // "RSCLCMG1"

constexpr std::chrono::milliseconds reconnect_after(50);

struct Header {
  std::uint64_t magic;
  std::uint64_t run;
  std::uint32_t crc; // of the clock
  std::uint32_t host;
};
static_assert(sizeof(Header) == 24);

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  std::string unix_path;
};

Result<Address> resolve(const std::string& text) {
  Address address;
  if (text.starts_with("unix:")) {
    address.unix_path = text.substr(5);
    auto* to = reinterpret_cast<sockaddr_un*>(&address.storage);
    if (address.unix_path.empty() || address.unix_path.size() >= sizeof to->sun_path)
      return Error{ErrorCode::Usage, text + ": the path is empty or too long", ""};
    to->sun_family = AF_UNIX;
    address.unix_path.copy(to->sun_path, address.unix_path.size());
    address.length = sizeof *to;
    return address;
  }
  const std::size_t colon = text.rfind(':');
  if (!text.starts_with("tcp:") || colon <= 4)
    return Error{ErrorCode::Usage, text + " is no address", "write unix:PATH or tcp:HOST:PORT"};
  const std::string host = text.substr(4, colon - 4);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int code = ::getaddrinfo(host.c_str(), text.c_str() + colon + 1, &hints, &found); code != 0)
    return Error{ErrorCode::Usage, text + ": " + ::gai_strerror(code), "write unix:PATH or tcp:HOST:PORT"};
  std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
  address.length = found->ai_addrlen;
  ::freeaddrinfo(found);
  return address;
}

int open_socket(const Address& address) {
  const int fd = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (fd >= 0 && address.unix_path.empty())
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); // a clock that waits is a dependency less
  return fd;
}

bool transfer(int fd, MutableByteView bytes, bool out) {
  while (!bytes.empty()) {
    const ssize_t n = out ? ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL)
                          : ::recv(fd, bytes.data(), bytes.size(), 0);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

} // namespace

Status Peers::start(const std::vector<std::string>& listen, const std::vector<std::string>& peers) {
  for (const std::string& text : listen) {
    const Result<Address> address = resolve(text);
    if (!address)
      return address.error();
    const int fd = open_socket(*address);
    const int on = 1;
    if (fd >= 0)
      ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (!address->unix_path.empty())
      ::unlink(address->unix_path.c_str());
    if (fd < 0 || ::bind(fd, reinterpret_cast<const sockaddr*>(&address->storage), address->length) != 0 ||
        ::listen(fd, 16) != 0) {
      const Error error = errno_error("listen on " + text);
      ::close(fd);
      return error;
    }
    keep(fd);
    const std::lock_guard lock(mutex_);
    threads_.emplace_back([this, fd] { accept_loop(fd); });
  }
  for (const std::string& text : peers) {
    if (const Result<Address> address = resolve(text); !address)
      return address.error();
    const std::lock_guard lock(mutex_);
    threads_.emplace_back([this, text] { send_loop(text); });
  }
  return {};
}

int Peers::keep(int fd) {
  const std::lock_guard lock(mutex_);
  if (fd >= 0 && stopping_) {
    ::close(fd);
    return -1;
  }
  if (fd >= 0)
    fds_.push_back(fd);
  return fd;
}

void Peers::drop(int fd) {
  const std::lock_guard lock(mutex_);
  std::erase(fds_, fd);
  ::close(fd);
}

void Peers::accept_loop(int listener) {
  for (;;) {
    const int fd = keep(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    if (stopping_) {
      if (fd >= 0)
        drop(fd);
      break;
    }
    if (fd < 0)
      continue;
    const std::lock_guard lock(mutex_);
    threads_.emplace_back([this, fd] { receive_loop(fd); });
  }
  drop(listener);
}

void Peers::receive_loop(int fd) {
  Bytes bytes(sizeof(Header) + shape_.lane_total() * sizeof(Clock::value_type));
  Clock clock(shape_.lane_total());
  while (transfer(fd, bytes, false)) {
    const auto header = load<Header>(bytes.data());
    const ByteView body = ByteView(bytes).subspan(sizeof header);
    if (header.magic != message_magic || header.run != shape_.run || crc32c(body) != header.crc) {
      log::error(
          "a message from a peer is not of this run: connection closed (start all hosts with one --run)");
      break;
    }
    std::memcpy(clock.data(), body.data(), body.size());
    board_.merge(clock);
    received_++;
  }
  drop(fd);
}

void Peers::send_loop(const std::string& text) {
  Clock known(shape_.lane_total());
  Bytes bytes(sizeof(Header) + known.size() * sizeof known[0]);
  while (!stopping_) {
    const Result<Address> address = resolve(text);
    const int fd = address ? keep(open_socket(*address)) : -1;
    if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&address->storage), address->length) != 0) {
      if (fd >= 0)
        drop(fd);
      std::this_thread::sleep_for(reconnect_after);
      continue;
    }
    bool up = true;
    while (up && board_.wait_for_news(known)) {
      std::memcpy(bytes.data() + sizeof(Header), known.data(), known.size() * sizeof known[0]);
      store(bytes.data(),
            Header{message_magic, shape_.run, crc32c(ByteView(bytes).subspan(sizeof(Header))), host_});
      up = transfer(fd, bytes, true);
      sent_ += up;
    }
    drop(fd);
    if (up)
      return;
    std::this_thread::sleep_for(reconnect_after);
  }
}

void Peers::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const int fd : fds_)
      ::shutdown(fd, SHUT_RDWR);
  }
  board_.stop_news();
  for (;;) {
    std::list<std::thread> threads;
    {
      const std::lock_guard lock(mutex_);
      threads.swap(threads_);
    }
    if (threads.empty())
      return;
    for (std::thread& thread : threads)
      thread.join();
  }
}

} // namespace rc::causal
