// SPDX-License-Identifier: GPL-2.0-or-later
// The agreement rule (docs/design.md section 6): up to which checkpoint two copies hold the same history.
// Copies are compared through their lineage entries; bare numbers are never compared. Pure functions.
#pragma once

#include "format/lineage.hpp"

#include <optional>

namespace rc::core {

enum class Relation {
  Blank,       // one of the two has no history: everything differs
  Unrelated,   // histories without a common entry: everything differs
  Same,        // the same entries; the copy is at or behind the source
  SourceAhead, // the source's lineage goes on beyond the common entries, the copy's does not
  CopyAhead, // the copy's lineage goes on, the source's does not: the source is stale, another site took over
  Branched,  // both go on: a lost branch exists
};

struct Agreement {
  Relation relation = Relation::Blank;
  // Last point both hold: in the last common entry the earlier of the points where each left it (base of its
  // next entry, else its position). Meaningful unless Blank or Unrelated, where it is Era{} and all must be
  // copied.
  Era agreed{};
  bool full() const { return relation == Relation::Blank || relation == Relation::Unrelated; }
};

Agreement agree(const format::Position& source, const format::Position& copy);

// Highest generation in a lineage; 0 for a blank one.
std::uint64_t newest_generation(const std::vector<format::LineageEntry>& lineage);

// May `source` (whose volumes accept writes in its newest generation) feed `copy`? No when the copy knows a
// newer or a rival generation: `why` says it in words.
struct FeedCheck {
  bool allowed = true;
  bool source_is_stale = false; // the copy's side is newer: the source must stop
  std::string why;
  std::string next_action;
};
FeedCheck may_feed(const format::Position& source, const format::Position& copy);

std::string to_string(const std::vector<format::LineageEntry>& lineage); // "1@paris 2@lyon(base 1.40)"

} // namespace rc::core
