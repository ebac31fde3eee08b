// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace rc {

void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "<0>remotecopy: broken invariant: %s (%s:%d)\n", expression, file, line);
  std::abort();
}

} // namespace rc
