// SPDX-License-Identifier: GPL-2.0-or-later
// Waits, without blocking the loop, for something that no event tells.
#pragma once

#include "agent/context.hpp"

#include <chrono>
#include <functional>

namespace rc::agent {

// Calls `then` when `ready` says so or the time is over (its argument: ready?).
inline void wait_until(Context& context, std::function<bool()> ready, std::chrono::milliseconds most,
                       std::function<void(bool)> then) {
  static constexpr std::chrono::milliseconds step(50);
  if (ready() || most.count() <= 0) {
    then(ready());
    return;
  }
  auto timer = std::make_shared<boost::asio::steady_timer>(context.loop, step);
  timer->async_wait([&context, timer, ready = std::move(ready), most, then = std::move(then)](
                        boost::system::error_code) { wait_until(context, ready, most - step, then); });
}

} // namespace rc::agent
