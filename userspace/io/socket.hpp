// SPDX-License-Identifier: GPL-2.0-or-later
// TCP sockets as file descriptors, non-blocking, with waits that another thread can end. Blocking calls, for
// threads of io only.
#pragma once

#include "base/result.hpp"

#include <chrono>
#include <cstdint>
#include <string>

namespace rc::io {

using Clock = std::chrono::steady_clock;

class Fd {
public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

private:
  int fd_ = -1;
};

// Wakes a thread that polls (eventfd). Any thread may wake.
class WakeFd {
public:
  WakeFd();
  void wake();
  void clear();
  int get() const { return fd_.get(); }

private:
  Fd fd_;
};

// Waits for `events` (POLLIN, POLLOUT) on fd until the deadline. Timeout; Again: `stop` was woken.
Status wait_for(int fd, short events, const WakeFd& stop, Clock::time_point deadline);

Result<Fd> connect_tcp(const std::string& host, std::uint16_t port, const WakeFd& stop,
                       Clock::time_point deadline);
Result<Fd> listen_tcp(const std::string& address, std::uint16_t port);
void prepare_tcp(int fd); // options of a connected socket
std::string peer_address(int fd);
std::uint16_t local_port(int fd);
std::uint32_t round_trip_us(int fd);

} // namespace rc::io
