// SPDX-License-Identifier: GPL-2.0-or-later
// What happened, told three times: to the log, to the inventory's history (in passing:
// io/inventory_writer.hpp), to whoever follows (`rcctl events`). Single-threaded, the main thread. Numbers
// grow by one from the newest that is stored. Failing to store an event is logged, never fatal.
#pragma once

#include "io/inventory_writer.hpp"

#include <functional>
#include <map>
#include <string>

namespace rc::agent {

class EventLog {
public:
  explicit EventLog(io::InventoryWriter& writer) : writer_(writer), last_(writer.last_event()) {}

  void add(control::Severity severity, control::EventKind kind, const std::string& object,
           const std::string& group, const std::string& text, const std::string& next_action = "");
  // Level as in base/log.hpp; 7 and above is only logged.
  void note(int level, const std::string& object, const std::string& group, const std::string& text,
            const std::string& next_action = "");

  using Follower = std::function<void(const control::EventInfo&)>;
  int follow(Follower follower);
  void unfollow(int id);

private:
  io::InventoryWriter& writer_;
  std::int64_t last_; // id
  std::map<int, Follower> followers_;
  int next_id_ = 1;
};

} // namespace rc::agent
