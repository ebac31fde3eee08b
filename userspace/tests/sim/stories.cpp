// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/sim/stories.hpp"

#include <cstring>

namespace rc::sim {

const std::vector<Story>& stories() {
  static const std::vector<Story> all = {};
  return all;
}

const Story* find_story(const std::string& name) {
  for (const Story& story : stories())
    if (name == story.name)
      return &story;
  return nullptr;
}

#ifdef RC_TEST_BUILD
void core_mutate(core::Mutation mutation) { core::set_mutation(mutation); }
bool core_can_mutate() { return true; }
#else
void core_mutate(core::Mutation) {}
bool core_can_mutate() { return false; }
#endif

} // namespace rc::sim
