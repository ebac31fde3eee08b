// SPDX-License-Identifier: GPL-2.0-or-later
// `rc-causal write` of one host: opens devices and log, runs the lanes, sums up. Effects only; the order of
// things is board.hpp's. A run stops at its limits, at a signal, or at the first error.
#pragma once

#include "causal/board.hpp"

#include <atomic>
#include <string>
#include <vector>

namespace rc::causal {

struct WriteOptions {
  std::vector<std::string> devices;
  std::string log = "";  // "-": standard output
  std::uint64_t run = 0; // 0: random
  std::uint64_t seed = 1;
  std::uint16_t hosts = 1;
  std::uint16_t host = 0;
  std::uint16_t writers = 4;
  std::uint16_t queue_depth = 1; // lanes of each writer
  std::uint16_t sizes = 1 << 3;  // 4096
  std::uint64_t span_bytes = 0;  // per device; 0: 64 MiB, or the smallest device if that is less
  std::uint64_t rate = 0;        // writes per second; 0: as fast as possible
  double seconds = 0;            // 0: no limit
  std::uint64_t count = 0;       // 0: no limit
  std::uint64_t min_writes = 0;
  std::uint64_t fsync_every = 0; // of each lane; 0: never
  Payload payload = Payload::Random;
  bool direct = true;
  bool retry_errors = false;
  std::vector<std::string> listen; // unix:PATH or tcp:HOST:PORT
  std::vector<std::string> peers;
  bool json = false;
};

struct WriteSummary {
  Shape shape;
  std::uint16_t host = 0;
  BoardStats stats;
  double seconds = 0;
  std::uint64_t retried = 0; // writes that failed and were repeated
  std::uint64_t messages_sent = 0;
  std::uint64_t messages_received = 0;
};

// `stop` may be set at any time, from a signal handler too. An error after the start of writing is returned
// with nothing else: what was acknowledged is in the log.
Result<WriteSummary> run_writer(const WriteOptions& options, const std::atomic<bool>& stop);

} // namespace rc::causal
