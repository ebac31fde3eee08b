// SPDX-License-Identifier: GPL-2.0-or-later
// Simulated time: what happens next. Events of one instant happen in the order in which they were planned, so
// that a seed has exactly one history. Time is ns since the beginning of the history, on no node's clock.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

namespace rc::sim {

using Time = std::uint64_t;
constexpr Time us = 1'000;
constexpr Time ms = 1'000'000;
constexpr Time second = 1'000 * ms;

class Scheduler {
public:
  Time now() const { return now_; }
  void after(Time delay, std::function<void()> what) { at(now_ + delay, std::move(what)); }
  void at(Time when, std::function<void()> what) {
    heap_.push_back({when < now_ ? now_ : when, ++planned_, std::move(what)});
    std::push_heap(heap_.begin(), heap_.end(), Later{});
  }
  // Runs the next event; false: nothing is planned before `until`, and time has come to `until`.
  bool step(Time until) {
    if (heap_.empty() || heap_.front().when > until) {
      now_ = std::max(now_, until);
      return false;
    }
    std::pop_heap(heap_.begin(), heap_.end(), Later{});
    Planned next = std::move(heap_.back());
    heap_.pop_back();
    now_ = next.when;
    ++done_;
    next.what();
    return true;
  }
  std::uint64_t done() const { return done_; }

private:
  struct Planned {
    Time when;
    std::uint64_t order;
    std::function<void()> what;
  };
  struct Later {
    bool operator()(const Planned& a, const Planned& b) const {
      return a.when != b.when ? a.when > b.when : a.order > b.order;
    }
  };
  std::vector<Planned> heap_;
  Time now_ = 0;
  std::uint64_t planned_ = 0;
  std::uint64_t done_ = 0;
};

} // namespace rc::sim
