// SPDX-License-Identifier: GPL-2.0-or-later
// What the tests of checkpoints share: looks at a stream, and the question whether a cut of two groups is causal.
#pragma once

#include "harness.hpp"

namespace kt {

// All records that have a number by now, freed.
std::vector<dmrc_record> drain(Agent& agent);
uint64_t count(const std::vector<dmrc_record>& records, uint8_t type);
std::string text_of(const std::vector<dmrc_record>& records);
// Not only marked: the write itself has its number, and has ended.
void until_on_disk(Agent& agent, uint64_t seq);

// A chain of writes, each to the other group than the one before and issued when that one completed. `cut` makes a
// checkpoint of both groups and says whether it is valid; one that is must hold what its newest write depends on.
void cut_two_groups(int rounds, const std::function<bool(Agent& a, Agent& b)>& cut);

} // namespace kt
