// SPDX-License-Identifier: GPL-2.0-or-later
// Time as a value: the core has no clock, someone hands it the time with every event (each simulated node
// ticks at its own speed). boot_ns measures intervals (CLOCK_BOOTTIME: goes on during suspend, never steps);
// real_ns is only compared with the stamps of records, to tell people a lag; no decision rests on it.
#pragma once

#include <cstdint>

namespace rc::core {

struct Now {
  std::uint64_t boot_ns = 0;
  std::uint64_t real_ns = 0;
};

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t second = 1'000 * ms;

} // namespace rc::core
