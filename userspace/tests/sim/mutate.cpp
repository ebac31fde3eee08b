// SPDX-License-Identifier: GPL-2.0-or-later
// The one place of the simulator that knows whether its core has the mutations compiled in.
#include "tests/sim/stories.hpp"

namespace rc::sim {

#ifdef RC_TEST_BUILD
void core_mutate(core::Mutation mutation) { core::set_mutation(mutation); }
bool core_can_mutate() { return true; }
#else
void core_mutate(core::Mutation) {}
bool core_can_mutate() { return false; }
#endif

} // namespace rc::sim
