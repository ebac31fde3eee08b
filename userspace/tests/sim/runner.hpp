// SPDX-License-Identifier: GPL-2.0-or-later
// Runs histories in child processes, so that one that breaks an assertion of the core is a result like any
// other.
#pragma once

#include "tests/sim/counters.hpp"
#include "tests/sim/settings.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace rc::sim {

struct RunOptions {
  std::uint64_t first = 1;
  std::uint64_t seeds = 1;
  std::uint64_t seconds = 60; // length of the faulty part
  core::Mutation mutation = core::Mutation::None;
  ModelMutation model = ModelMutation::None;
  bool stop_at_first = false;
  int groups = 1;    // more: histories of a copyset
  std::string story; // a directed history instead of a random one
};

struct Failure {
  std::uint64_t seed = 0;
  std::string reason;
};

struct RunResult {
  std::uint64_t passed = 0;
  std::uint64_t events = 0;
  std::uint64_t events_least = ~std::uint64_t{0}; // of a history that passed
  std::vector<Failure> failures;
  Counters counters;
};

RunResult run_seeds(const RunOptions& options);
// One history with its trace: the last `lines` of it and the reason, on stdout. True: it passed.
bool show_seed(const RunOptions& options, std::size_t lines);

} // namespace rc::sim
