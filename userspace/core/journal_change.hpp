// SPDX-License-Identifier: GPL-2.0-or-later
// What happens to the records in a node's journal in the same atomic step in which a state is stored: after a
// power cut either both or neither are found. In this order: trim or empty, then begin.
#pragma once

#include "base/ids.hpp"

#include <optional>

namespace rc::core {

struct JournalChange {
  struct Trim { // this record and all before it, older segments too
    StreamId stream{};
    Seq through = 0;
    bool operator==(const Trim&) const = default;
  };
  struct Begin { // records of this stream follow, from `first` on
    StreamId stream{};
    Seq first = 0;
    bool operator==(const Begin&) const = default;
  };
  std::optional<Trim> trim;
  bool empty = false; // drop everything
  std::optional<Begin> begin;
  bool none() const { return !trim && !empty && !begin; }
  bool operator==(const JournalChange&) const = default;
};

} // namespace rc::core
