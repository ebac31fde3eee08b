// SPDX-License-Identifier: GPL-2.0-or-later
// The core says what happens to a journal in its own words; io in its own. They never include each other.
#pragma once

#include "core/journal_change.hpp"
#include "io/journal.hpp"

namespace rc::agent {

inline io::JournalChange to_io(const core::JournalChange& change) {
  io::JournalChange result;
  if (change.trim)
    result.trim = io::JournalTrim{change.trim->stream, change.trim->through};
  result.empty = change.empty;
  if (change.begin)
    result.begin = io::JournalSegmentStart{change.begin->stream, change.begin->first};
  return result;
}

} // namespace rc::agent
