// SPDX-License-Identifier: GPL-2.0-or-later
// The agent as a service: what protects a process that block I/O depends on, and what systemd wants to hear.
#pragma once

#include "base/result.hpp"

#include <boost/asio/io_context.hpp>
#include <string>

namespace rc::agent {

// Locks all memory, tells the kernel that this process flushes I/O (prctl PR_SET_IO_FLUSHER): it must never
// wait for memory that only it can free. Warns and goes on where the rights are missing.
void protect_process();

void notify_ready(const std::string& status);
void notify_stopping();
// Pings systemd's watchdog from the main loop, for as long as that turns.
void start_watchdog(boost::asio::io_context& loop);

} // namespace rc::agent
