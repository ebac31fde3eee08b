// SPDX-License-Identifier: GPL-2.0-or-later
// The first table of a copyset, made of what the nodes say about its groups: seats from the pairs, masters
// and registrar by a rule that any node comes to by itself. Pure. What can't be a copyset is refused with the
// reason and what to do; nothing has changed then.
#pragma once

#include "base/result.hpp"
#include "format/copyset.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rc::core {

// A seat and the node that holds it: the only one that may speak for it.
struct SeatHolder {
  format::Seat seat;
  std::string node;
  auto operator<=>(const SeatHolder&) const = default;
};

// What a node says of a group of which it is the primary, or of a seat that it holds already.
struct GroupSurvey {
  struct Copy {
    std::string node;
    std::string site;
    bool sync = false;
  };
  std::string group;
  std::string node;
  std::string site;
  bool primary = false;
  std::string trouble; // why its primary can't join now, in words
  std::uint64_t generation = 0;
  Epoch epoch{};
  std::vector<Copy> copies;
  std::optional<format::CopysetTable> table; // of the copyset that the group belongs to
  std::vector<SeatHolder> holders;           // of that table
};

struct Founding {
  format::CopysetTable table;
  std::vector<SeatHolder> holders; // primaries first: they must have the table before their copies
  bool exists = false;             // at least one seat has this table already
};

Result<Founding> found_copyset(const std::string& name, std::vector<std::string> groups,
                               const std::vector<GroupSurvey>& surveys);

// Who may speak for the seat; nullptr: nobody.
const std::string* holder_of(const std::vector<SeatHolder>& holders, const format::Seat& seat);

} // namespace rc::core
