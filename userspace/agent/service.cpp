// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/service.hpp"

#include "base/log.hpp"

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <systemd/sd-daemon.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

namespace rc::agent {
namespace {

void ping(std::shared_ptr<boost::asio::steady_timer> timer, std::chrono::microseconds interval) {
  sd_notify(0, "WATCHDOG=1");
  timer->expires_after(interval);
  timer->async_wait([timer, interval](boost::system::error_code failed) {
    if (!failed)
      ping(timer, interval);
  });
}

} // namespace

void protect_process() {
  // On fault: buffers that are never touched cost nothing.
  if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0)
    log::warning(errno_error("cannot lock memory").text() + " (raise LimitMEMLOCK of the service)");
  if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) != 0)
    log::warning(errno_error("cannot become an I/O flusher").text() +
                 " (the service needs CAP_SYS_RESOURCE)");
}

void notify_ready(const std::string& status) { sd_notify(0, ("READY=1\nSTATUS=" + status).c_str()); }

void notify_stopping() { sd_notify(0, "STOPPING=1"); }

void start_watchdog(boost::asio::io_context& loop) {
  std::uint64_t microseconds = 0;
  if (sd_watchdog_enabled(0, &microseconds) > 0)
    ping(std::make_shared<boost::asio::steady_timer>(loop), std::chrono::microseconds(microseconds / 3));
}

} // namespace rc::agent
