// SPDX-License-Identifier: GPL-2.0-or-later
// Messages between the writers of several hosts: each sends its clock whenever it has changed; whoever
// receives it depends, from its next write on, on all that the sender knew to be completed. Not for hostile
// networks: there is no authentication; a message of another run is refused.
#pragma once

#include "causal/board.hpp"

#include <atomic>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace rc::causal {

class Peers {
public:
  Peers(const Shape& shape, std::uint16_t host, Board& board) : shape_(shape), host_(host), board_(board) {}
  ~Peers() { stop(); }
  Peers(const Peers&) = delete;
  Peers& operator=(const Peers&) = delete;

  // Addresses: unix:PATH or tcp:HOST:PORT. Listens at once; connects to peers in the background, again after
  // a loss, until stop(). Usage: an address that is none.
  Status start(const std::vector<std::string>& listen, const std::vector<std::string>& peers);
  void stop();

  std::uint64_t sent() const { return sent_; }
  std::uint64_t received() const { return received_; }

private:
  void accept_loop(int listener);
  void receive_loop(int fd);
  void send_loop(const std::string& address);
  int keep(int fd); // remembers fd for stop(); -1 once stopping
  void drop(int fd);

  const Shape shape_;
  const std::uint16_t host_;
  Board& board_;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::uint64_t> sent_ = 0;
  std::atomic<std::uint64_t> received_ = 0;
  std::mutex mutex_; // of what follows
  std::list<std::thread> threads_;
  std::vector<int> fds_;
};

} // namespace rc::causal
