// SPDX-License-Identifier: GPL-2.0-or-later
// Making a group's journal: checks of the place, then a formatted journal with the group's first state.
// Blocks: worker thread.
#pragma once

#include "base/result.hpp"
#include "format/group_state.hpp"

#include <string>

namespace rc::agent {

struct JournalOrder {
  std::string path;
  std::uint64_t bytes = 0; // 0: the device's size, or for a new file the default
  bool force = false;      // overwrite what is there
  bool dry_run = false;
  format::GroupState state;
};
struct JournalMade {
  std::uint64_t bytes = 0;
  std::string overwritten; // what was there
};

// Refused: mounted, in use, not blank without force, a journal already. Usage: too small.
Result<JournalMade> set_up_journal(const JournalOrder& order);

// The journal of a group that is gone: a file is removed, a device made blank. What is no journal (any more)
// is left alone.
Status release_journal(const std::string& path);

// Of a group that begins here: generation 1 of this site.
format::GroupState first_primary_state(const std::string& site);
// Of a copy that has nothing yet.
format::GroupState first_secondary_state();

} // namespace rc::agent
