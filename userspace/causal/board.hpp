// SPDX-License-Identifier: GPL-2.0-or-later
// The one place where the lanes of a host meet: which writes have completed, and which places are busy.
// Invariants: (1) a completion becomes visible to others only after its record was written to the log; (2)
// all clocks are read and raised under one lock, so a write's clock covers the clocks of all it depends on;
// (3) two writes to one place never overlap in time, so the versions of a place are ordered by their clocks.
// Records of lanes that complete while the log is being written go into one batch, written by one of them.
// Thread-safe. Knows nothing of devices and files: it writes the log through a function.
#pragma once

#include "causal/block.hpp"
#include "causal/log_format.hpp"

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

namespace rc::causal {

struct BoardStats {
  std::uint64_t writes = 0; // acknowledged
  std::uint64_t bytes = 0;
  std::uint64_t log_batches = 0;
  std::uint32_t longest_write_us = 0;
  std::uint64_t longest_stall_ns = 0; // longest time, since start(), in which no write was acknowledged
};

class Board {
public:
  // Writes all bytes or returns an error; called by one thread at a time.
  using AppendLog = std::function<Status(ByteView)>;

  Board(const Shape& shape, std::uint16_t host, AppendLog append);

  // The clock for the longest stall starts (CLOCK_MONOTONIC).
  void start(std::uint64_t now_ns);

  // Waits until nothing else writes to block.place, then fills in block.clock and block.order. False:
  // stopped.
  bool begin(Block& block);

  // The write was done: logs it, then makes it visible. False: stopped by an error, the write is not
  // acknowledged.
  bool complete(const Completion& done, std::uint32_t bytes);

  // Ends the run: begin() and complete() return false from now on. The first error stays.
  void fail(const Error& error);
  std::optional<Error> error() const;

  // A peer's clock: its writes up to these had completed. Entries of this host are ignored.
  void merge(const Clock& clock);
  // Waits until the clock differs from `known` or the board is stopped (then false), and puts it into
  // `known`.
  bool wait_for_news(Clock& known);
  void stop_news();

  // `now_ns`: CLOCK_MONOTONIC at the end of the run.
  BoardStats stats(std::uint64_t now_ns) const;

private:
  struct Lane {
    std::condition_variable wake;
    std::optional<Place> busy;
    bool logged = false;
  };
  struct Pending {
    Completion done;
    std::uint32_t bytes;
  };
  Lane& lane(WriteId id) { return *lanes_[id.lane % shape_.lanes]; }
  bool is_busy(Place place) const;
  void write_batch(std::unique_lock<std::mutex>& lock);
  void publish(const Pending& pending);
  void fail_locked(const Error& error);

  const Shape shape_;
  const std::uint16_t host_;
  const AppendLog append_;

  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::condition_variable place_free_;
  std::condition_variable news_;
  bool has_news_reader_ = false;
  bool news_stopped_ = false;
  std::size_t place_waiters_ = 0;
  Clock clock_;
  std::uint64_t order_ = 0;
  std::vector<Pending> pending_;
  bool writing_ = false;
  std::optional<Error> error_;
  BoardStats stats_;
  std::uint64_t last_publish_ns_ = 0;
};

std::uint64_t monotonic_ns();
std::uint64_t realtime_ns();

} // namespace rc::causal
