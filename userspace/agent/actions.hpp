// SPDX-License-Identifier: GPL-2.0-or-later
// Executes the core's actions in their order. A barrier (a state that must be stable, a flag that must be
// stable) stops the queue until its answer came; what the core wants meanwhile queues behind it.
// Single-threaded; re-entrant: executing an action may make the core step and push more.
#pragma once

#include <deque>
#include <functional>
#include <utility>
#include <vector>

namespace rc::agent {

template <typename Action> class ActionQueue {
public:
  // `execute` begins one action; returns false when the queue must wait for passed_barrier().
  explicit ActionQueue(std::function<bool(Action&)> execute) : execute_(std::move(execute)) {}

  void push(std::vector<Action> actions) {
    for (auto& action : actions)
      queue_.push_back(std::move(action));
    pump();
  }

  void passed_barrier() {
    waiting_ = false;
    pump();
  }

  bool waiting() const { return waiting_; }

private:
  void pump() {
    if (pumping_)
      return;
    pumping_ = true;
    while (!waiting_ && !queue_.empty()) {
      Action action = std::move(queue_.front());
      queue_.pop_front();
      if (!execute_(action))
        waiting_ = true;
    }
    pumping_ = false;
  }

  std::function<bool(Action&)> execute_;
  std::deque<Action> queue_;
  bool waiting_ = false;
  bool pumping_ = false;
};

} // namespace rc::agent
