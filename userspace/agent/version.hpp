// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

namespace rc::agent {
inline constexpr const char* product_version = RC_VERSION; // from CMakeLists.txt
}
