// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/log.hpp"

#include <atomic>
#include <string>
#include <unistd.h>

namespace rc::log {
namespace {
std::atomic<int> most_verbose_level{static_cast<int>(Level::Info)};
}

void set_level(Level most_verbose) { most_verbose_level = static_cast<int>(most_verbose); }

void line(Level level, std::string_view text) {
  if (static_cast<int>(level) > most_verbose_level)
    return;
  std::string whole = "<" + std::to_string(static_cast<int>(level)) + ">";
  whole.append(text).push_back('\n');
  // A log that can't be written must not stop replication; there is nobody to tell.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, whole.data(), whole.size());
}

} // namespace rc::log
