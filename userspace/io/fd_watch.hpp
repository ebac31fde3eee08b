// SPDX-License-Identifier: GPL-2.0-or-later
// Calls back on the owner's executor when a file descriptor becomes readable, once per arm(). Watches a
// duplicate: the caller keeps its own descriptor. Single-threaded: the executor's thread.
#pragma once

#include "base/result.hpp"
#include "io/executor.hpp"

#include <functional>
#include <memory>

namespace rc::io {

class FdWatch {
public:
  static Result<std::unique_ptr<FdWatch>> create(const Executor& executor, int fd);
  virtual ~FdWatch() = default;
  // One call of `readable` at the next readiness; never after destruction.
  virtual void arm(std::function<void()> readable) = 0;
  // Likewise for what poll calls POLLPRI (of a ring: the group's state has changed; asking for the state ends
  // it).
  virtual void arm_urgent(std::function<void()> urgent) = 0;
};

} // namespace rc::io
