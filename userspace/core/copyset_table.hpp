// SPDX-License-Identifier: GPL-2.0-or-later
// Questions to a copyset's table. Pure functions.
#pragma once

#include "format/copyset.hpp"

#include <string>
#include <vector>

namespace rc::core {

// Why the table can't be used, in words; empty: it can.
std::string problem_of(const format::CopysetTable& table);
// Why `next` can't follow `now`; empty: it can.
std::string problem_of_swap(const format::CopysetTable& now, const format::CopysetTable& next);

std::vector<format::Seat> seats_of(const format::CopysetTable& table, const std::string& site);
// Of a site; nullptr: it has no seats.
const format::Seat* master_of(const format::CopysetTable& table, const std::string& site);
// The groups that were in the image when a marker was put under `epoch`; nullptr: not known any more.
const std::vector<std::string>* groups_at(const format::CopysetTable& table, Epoch epoch);
// The next table, in which a group is no longer part of the image. Its seats stay: checkpoints of earlier
// epochs still need its copies. A master or registrar that it held moves to another group at that site.
format::CopysetTable without(const format::CopysetTable& table, const std::string& group);

} // namespace rc::core
