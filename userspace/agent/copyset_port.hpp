// SPDX-License-Identifier: GPL-2.0-or-later
// What the runtimes of groups say to the copysets, and how they are told. Main thread.
#pragma once

#include "core/copyset_events.hpp"

#include <optional>
#include <string>

namespace rc::agent {

class CopysetPort {
public:
  virtual ~CopysetPort() = default;

  // The runtime of the group begins, with the table that its journal holds. Without one the group is on its
  // own (or its runtime ends): nothing is done for it.
  virtual void group_begins(const std::string& group, const std::optional<format::CopysetTable>& table) = 0;
  // Facts of the group's Source or Target, and answers to what of_copyset() was asked.
  virtual void group_tells(const std::string& group, core::copyset::Event event) = 0;
  virtual void settings_changed(const std::string& group) = 0;
};

} // namespace rc::agent
