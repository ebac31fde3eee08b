// SPDX-License-Identifier: GPL-2.0-or-later
// One group as this node runs it: either a SourceRuntime (role primary) or a TargetRuntime. Executes what the
// pure core decides; decides nothing itself. Main thread only.
#pragma once

#include "agent/context.hpp"
#include "agent/copyset_port.hpp"
#include "agent/peers.hpp"
#include "agent/sessions.hpp"
#include "agent/volumes.hpp"
#include "format/messages.hpp"
#include "io/journal.hpp"

#include <memory>
#include <string>

namespace rc::agent {

// What a runtime may use and whom it tells. All outlive it.
struct RuntimeServices {
  Context& context;
  Peers& peers;
  Sessions& sessions;
  CopysetPort& copysets;
  // The runtime of this group must be replaced (a takeover completed): with its journal, in the new role.
  std::function<void(const std::string& group)> become_primary;
  // Something that `rcctl watch` should show at once.
  std::function<void(const std::string& group)> changed;
};

class GroupRuntime {
public:
  virtual ~GroupRuntime() = default;

  virtual control::Role role() const = 0;
  virtual void link_up(const std::string& peer) = 0;
  virtual void link_down(const std::string& peer, const std::string& reason) = 0;
  virtual void message(const std::string& peer, format::GroupMessage message) = 0;
  virtual void records(const std::string& peer, format::RecordsMessage message) = 0;
  virtual void damaged(const std::string& peer, const std::string& reason) = 0;
  virtual void tick() = 0;
  // What the group's seat in a copyset wants done here (core/copyset_events.hpp says what is for whom).
  virtual void of_copyset(const core::copyset::Action& action) = 0;

  // Role, state, lag, spaces, pairs; the caller adds names, volumes and what the inventory knows.
  virtual void fill_status(control::GroupStatus& status) = 0;
  // Ends all work of the runtime; the volumes stay as they are.
  virtual std::shared_ptr<io::Journal> stop() = 0;
};

} // namespace rc::agent
