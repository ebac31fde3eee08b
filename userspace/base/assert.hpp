// SPDX-License-Identifier: GPL-2.0-or-later
// RC_ASSERT: a programmer's error ends the process, in every build. The agent is built to be killed at any
// moment and to lose nothing, so stopping is always safe; going on with a broken invariant is not.
#pragma once

namespace rc {
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);
}

#define RC_ASSERT(expression)                                                                                \
  ((expression) ? (void)0 : ::rc::assertion_failed(#expression, __FILE__, __LINE__))
