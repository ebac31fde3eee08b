// SPDX-License-Identifier: GPL-2.0-or-later
// What every part of the agent shares: the main loop, who we are, the inventory (and the thread that writes
// status and events into it), the event log, and one worker thread for calls that block (libdevmapper, blkid,
// opening journals). Lives for as long as the process.
#pragma once

#include "agent/event_log.hpp"
#include "io/config.hpp"
#include "io/executor.hpp"
#include "io/inventory_writer.hpp"
#include "io/tls.hpp"
#include "io/worker.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>

namespace rc::agent {

struct Context {
  Context(boost::asio::io_context& loop_, io::Config config_, io::Inventory inventory_,
          std::unique_ptr<io::InventoryWriter> writer_, std::shared_ptr<io::TlsContext> tls_)
      : loop(loop_), config(std::move(config_)), inventory(std::move(inventory_)), writer(std::move(writer_)),
        tls(std::move(tls_)), events(*writer), worker("rc-setup") {}

  io::Executor executor() { return loop.get_executor(); }

  // Runs `blocking` on the worker thread and `then` with its result on the main thread.
  template <typename Blocking, typename Then> void in_background(Blocking blocking, Then then) {
    worker.run([this, blocking = std::move(blocking), then = std::move(then)]() mutable {
      auto result = std::make_shared<decltype(blocking())>(blocking());
      io::post(executor(), [result, then = std::move(then)]() mutable { then(std::move(*result)); });
    });
  }

  boost::asio::io_context& loop;
  io::Config config;
  io::Inventory inventory;
  std::unique_ptr<io::InventoryWriter> writer; // of status and events
  std::shared_ptr<io::TlsContext> tls;
  EventLog events;
  io::Worker worker;
};

} // namespace rc::agent
