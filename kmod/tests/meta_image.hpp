// SPDX-License-Identifier: GPL-2.0-or-later
// The metadata device read as docs/meta-device.md says, by an implementation that shares nothing with the kernel's.
#pragma once

#include "dm.hpp"

#include <optional>

namespace kt {

struct MetaImage {
  uint64_t sequence, sectors, generation, ceiling, update_era, alone_since;
  uint32_t flags, region_sectors;
  uint16_t volume;
  std::string group;
  std::vector<uint64_t> words; // bit 63: open

  bool open(uint64_t region) const { return words[region] >> 63; }
  uint64_t era(uint64_t region) const { return words[region] & ((1ULL << 60) - 1); }
};

uint32_t crc32c(const void* data, size_t length, uint32_t crc = 0); // crc: of what precedes
// Nothing when no superblock is valid.
std::optional<MetaImage> parse_meta(const std::vector<uint8_t>& image);

} // namespace kt
