// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>

namespace rc::io {

// Are records compressed on their way to a peer that understands it? Auto: while the network is what is
// waited for.
enum class Compress : std::uint8_t { Off, Auto, Always };

} // namespace rc::io
