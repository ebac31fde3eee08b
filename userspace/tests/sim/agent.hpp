// SPDX-License-Identifier: GPL-2.0-or-later
// An agent process on a simulated host: steps the core and carries its actions out, in the order and with the
// barriers that source_events.hpp and target_events.hpp ask for. Dies by destruction: what it had asked of
// journal, kernel and wires goes its own way, answers find nobody.
#pragma once

#include "tests/sim/wire.hpp"

#include "core/copyset.hpp"
#include "core/status.hpp"

#include <deque>
#include <functional>
#include <optional>

namespace rc::sim {

class Host;

class Agent {
public:
  explicit Agent(Host& host) : host_(host) {}
  virtual ~Agent() = default;
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  virtual void start() = 0;
  virtual void link_up(int peer) = 0;
  virtual void link_down(int peer, const std::string& reason) = 0;
  virtual void arrive(int peer, const Packet& packet) = 0;
  virtual void ring_committed() {}
  virtual void copyset_message(const format::CopysetMessage&) {}
  virtual void begin_seat_anew() {}
  virtual const core::Copyset* copyset() const { return nullptr; }

protected:
  Host& host_;
};

// Actions wait in order; a barrier holds back all that follow until it is lifted.
template <typename Action> class ActionQueue {
public:
  template <typename Execute> void add(std::vector<Action> actions, Execute&& execute) {
    for (auto& action : actions)
      queue_.push_back(std::move(action));
    run(execute);
  }
  template <typename Execute> void lift(Execute&& execute) {
    barrier_ = false;
    run(execute);
  }
  void block() { barrier_ = true; }
  bool empty() const { return queue_.empty() && !barrier_; }

private:
  template <typename Execute> void run(Execute&& execute) {
    if (running_)
      return;
    running_ = true;
    while (!barrier_ && !queue_.empty()) {
      const Action action = std::move(queue_.front());
      queue_.pop_front();
      execute(action);
    }
    running_ = false;
  }
  std::deque<Action> queue_;
  bool barrier_ = false;
  bool running_ = false;
};

} // namespace rc::sim
