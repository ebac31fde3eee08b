// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/ids.hpp"

namespace rc {

std::string to_string(Era era) {
  if (era.is_open())
    return "open";
  if (era.value == 0)
    return "none";
  return std::to_string(era.generation()) + "." + std::to_string(era.n());
}

} // namespace rc
