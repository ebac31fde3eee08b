// SPDX-License-Identifier: GPL-2.0-or-later
// The one place where the agent asks for the time and for randomness; both go into the core as values.
#pragma once

#include "base/ids.hpp"
#include "core/now.hpp"

namespace rc::agent {

core::Now now();
std::uint64_t random_id(); // never 0, low 32 bits never 0

} // namespace rc::agent
