// SPDX-License-Identifier: GPL-2.0-or-later
// Directed histories: a schedule that one mutation cannot survive, told with the pieces of a Cluster. The
// rest of the story (delays, order of disk writes) still comes from the seed. Each ends with the usual
// healing and convergence, so it is a test of the unchanged core, too.
#pragma once

#include "tests/sim/cluster.hpp"

namespace rc::sim {

struct Story {
  const char* name;
  const char* about;
  core::Mutation mutation; // that it is there to catch; None: any
  ClusterSettings (*settings)(ClusterSettings drawn);
  void (*tell)(Cluster& cluster);
};

const std::vector<Story>& stories();
const Story* find_story(const std::string& name);

// In force from now on in this process; only the build for mutants can.
void core_mutate(core::Mutation mutation);
bool core_can_mutate();

} // namespace rc::sim
