// SPDX-License-Identifier: GPL-2.0-or-later
// CRC-32C (Castagnoli, reflected, start and end inverted): the checksum of every record and every superblock.
// crc32c("123456789") == 0xe3069283. Chain: crc32c(b, crc32c(a)) == crc32c(a + b).
#pragma once

#include "base/bytes.hpp"

namespace rc {

std::uint32_t crc32c(ByteView bytes, std::uint32_t before = 0);

// The portable way, for comparison; same value.
std::uint32_t crc32c_by_table(ByteView bytes, std::uint32_t before = 0);

} // namespace rc
