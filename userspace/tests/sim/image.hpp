// SPDX-License-Identifier: GPL-2.0-or-later
// The content of a group's volumes, small enough to be copied for every record: one number for each block.
// All volumes have the same shape; a region has a few blocks, a write covers one block or a whole region.
#pragma once

#include "base/ids.hpp"

#include <array>
#include <cstdint>
#include <string>

namespace rc::sim {

using Value = std::uint32_t; // names the write that put it there; 0: zeroes

constexpr std::uint32_t block_sectors = 8;
constexpr std::uint32_t region_blocks = 2;
constexpr std::uint32_t region_sectors = block_sectors * region_blocks;
constexpr std::uint32_t volume_regions_max = 6;
constexpr std::uint32_t volume_blocks_max = volume_regions_max * region_blocks;
constexpr std::uint32_t volumes_max = 3;
constexpr std::uint32_t blocks_max = volumes_max * volume_blocks_max;

using Image = std::array<Value, blocks_max>;

struct Shape {
  std::uint32_t volumes = 2;
  std::uint32_t regions = 4; // of each volume
  std::uint32_t blocks() const { return regions * region_blocks; }
  std::uint64_t sectors() const { return std::uint64_t{regions} * region_sectors; }
};

constexpr std::uint32_t block_index(std::uint32_t volume, std::uint32_t block) {
  return volume * volume_blocks_max + block;
}

// Content of a record, found by its data_crc: what a record carries never changes on its way.
struct Payload {
  std::array<Value, region_blocks> values{};
};

inline std::string to_string(const Image& image, const Shape& shape) {
  std::string text;
  for (std::uint32_t v = 0; v < shape.volumes; ++v) {
    text += v ? " | " : "";
    for (std::uint32_t b = 0; b < shape.blocks(); ++b)
      text += (b ? " " : "") + std::to_string(image[block_index(v, b)]);
  }
  return text;
}

} // namespace rc::sim
