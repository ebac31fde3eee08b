// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/clock.hpp"

#include "base/assert.hpp"

#include <ctime>
#include <sys/random.h>

namespace rc::agent {
namespace {

std::uint64_t read_clock(clockid_t clock) {
  timespec value{};
  RC_ASSERT(clock_gettime(clock, &value) == 0);
  return static_cast<std::uint64_t>(value.tv_sec) * core::second + static_cast<std::uint64_t>(value.tv_nsec);
}

} // namespace

core::Now now() { return {.boot_ns = read_clock(CLOCK_BOOTTIME), .real_ns = read_clock(CLOCK_REALTIME)}; }

std::uint64_t random_id() {
  std::uint64_t id = 0;
  while ((id & 0xffffffff) == 0)
    RC_ASSERT(getrandom(&id, sizeof id, 0) == sizeof id);
  return id;
}

} // namespace rc::agent
