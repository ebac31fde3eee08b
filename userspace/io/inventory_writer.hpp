// SPDX-License-Identifier: GPL-2.0-or-later
// What the inventory is told in passing - status and events - written by a thread of its own over a
// connection of its own, so that a slow disk below the inventory delays nobody. Invariants: what was handed
// over is stored in order, of the status only the newest; all of it is stored when the destructor returns; no
// more than events_max wait (what comes then is counted and logged, not stored). Must not: carry what must be
// durable before an answer.
#pragma once

#include "io/inventory.hpp"
#include "io/worker.hpp"

#include <atomic>
#include <functional>
#include <optional>

namespace rc::io {

class InventoryWriter {
public:
  static constexpr std::size_t events_max = 10000;

  static Result<std::unique_ptr<InventoryWriter>> start(const Inventory& inventory);
  ~InventoryWriter();

  std::int64_t last_event() const { return last_event_; } // id of the newest when it started; 0: none
  // Owner's thread; none of them blocks for a disk.
  void store(control::StatusReply status);
  void append(control::EventInfo event); // with its id
  // `then` runs on the writer's thread, after what was handed over before.
  using Events = Result<std::vector<control::EventInfo>>;
  void read_events(const std::string& group, std::int64_t after, std::uint32_t limit,
                   std::function<void(Events)> then);

private:
  InventoryWriter(Inventory connection, std::int64_t last)
      : connection_(std::move(connection)), last_event_(last) {}
  void store_newest();

  Inventory connection_; // the writer's thread only
  std::int64_t last_event_;
  std::mutex mutex_;
  std::optional<control::StatusReply> status_; // the newest that is not being written yet
  std::atomic<std::size_t> waiting_{0};        // events
  std::size_t dropped_ = 0;                    // owner's thread
  Worker worker_{"rc-inventory"};              // last: ends before what it uses
};

} // namespace rc::io
