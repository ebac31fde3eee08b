// SPDX-License-Identifier: GPL-2.0-or-later
// The backing devices of one host: what is on stable storage, and what a power cut may take or leave. A block
// whose writes were not flushed holds, after a cut, its stable value or any of the later ones.
#pragma once

#include "tests/sim/image.hpp"
#include "tests/sim/random.hpp"

#include <vector>

namespace rc::sim {

class Disk {
public:
  explicit Disk(const Image& content) : stable_(content) {}

  using Ticket = std::uint64_t;
  // A write is on its way: from here a cut may leave it on the disk. end(): it was answered.
  Ticket begin(std::uint32_t index, Value value) {
    pending_[index].push_back({value, ++tickets_, 0});
    return tickets_;
  }
  void end(std::uint32_t index, Ticket ticket) {
    for (auto& write : pending_[index])
      if (write.ticket == ticket)
        write.done = ++ended_;
  }
  void write(std::uint32_t index, Value value) { end(index, begin(index, value)); }

  // A flush makes stable what had ended when it began.
  std::uint64_t begin_flush() const { return ended_; }
  void end_flush(std::uint64_t begun) {
    for (std::uint32_t index = 0; index < blocks_max; ++index) {
      auto& writes = pending_[index];
      while (!writes.empty() && writes.front().done && writes.front().done <= begun) {
        stable_[index] = writes.front().value;
        writes.erase(writes.begin());
      }
    }
  }
  void power_cut(Random& random) {
    for (std::uint32_t index = 0; index < blocks_max; ++index) {
      auto& writes = pending_[index];
      if (const auto left = random.below(writes.size() + 1); left > 0)
        stable_[index] = writes[left - 1].value;
      writes.clear();
    }
  }
  // All writes under way end now (the process that issued them is gone, the disk goes on).
  void end_all() {
    for (auto& writes : pending_)
      for (auto& write : writes)
        if (!write.done)
          write.done = ++ended_;
  }

  Value read(std::uint32_t index) const {
    for (auto write = pending_[index].rbegin(); write != pending_[index].rend(); ++write)
      if (write->done)
        return write->value;
    return stable_[index];
  }
  Image content() const {
    Image image = stable_;
    for (std::uint32_t index = 0; index < blocks_max; ++index)
      image[index] = read(index);
    return image;
  }
  const Image& stable() const { return stable_; }
  bool unflushed(std::uint32_t index) const { return !pending_[index].empty(); }

private:
  struct Write {
    Value value;
    Ticket ticket;
    std::uint64_t done; // order of its end, 0: on its way
  };
  Image stable_;
  std::array<std::vector<Write>, blocks_max> pending_;
  Ticket tickets_ = 0;
  std::uint64_t ended_ = 0;
};

} // namespace rc::sim
