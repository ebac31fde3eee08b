// SPDX-License-Identifier: GPL-2.0-or-later
// docs/meta-device.md, read side.
#include "meta_image.hpp"

#include <array>
#include <cstring>

namespace kt {

uint32_t crc32c(const void* data, size_t length, uint32_t crc) {
  static const auto table = [] {
    std::array<uint32_t, 256> t{};
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t c = i;
      for (int bit = 0; bit < 8; bit++)
        c = c & 1 ? (c >> 1) ^ 0x82F63B78 : c >> 1;
      t[i] = c;
    }
    return t;
  }();
  crc = ~crc;
  for (auto* p = static_cast<const uint8_t*>(data); length--; p++)
    crc = table[(crc ^ *p) & 255] ^ (crc >> 8);
  return ~crc;
}

namespace {

template <class T> T at(const uint8_t* p, size_t offset) {
  T value;
  memcpy(&value, p + offset, sizeof(value));
  return value;
}

bool valid(const uint8_t* super) {
  std::vector<uint8_t> copy(super, super + 512);
  memset(&copy[12], 0, 4);
  return !memcmp(super, "DMRCMETA", 8) && at<uint32_t>(super, 8) == 1 &&
         crc32c(copy.data(), 512) == at<uint32_t>(super, 12);
}

} // namespace

std::optional<MetaImage> parse_meta(const std::vector<uint8_t>& image) {
  const uint8_t *super = image.data(), *other = super + 4096;
  if (!valid(super) || (valid(other) && at<uint64_t>(other, 16) > at<uint64_t>(super, 16)))
    super = other;
  if (!valid(super))
    return std::nullopt;
  MetaImage m;
  m.sequence = at<uint64_t>(super, 16);
  m.flags = at<uint32_t>(super, 24);
  m.region_sectors = at<uint32_t>(super, 28);
  m.sectors = at<uint64_t>(super, 48);
  m.generation = at<uint64_t>(super, 56);
  m.ceiling = at<uint64_t>(super, 64);
  m.update_era = at<uint64_t>(super, 72);
  m.alone_since = at<uint64_t>(super, 80);
  m.volume = at<uint16_t>(super, 88);
  m.group = reinterpret_cast<const char*>(super + 104);
  uint64_t regions = (m.sectors + m.region_sectors - 1) / m.region_sectors;
  uint32_t id = crc32c(super + 32, 16);
  for (uint64_t r = 0; r < regions; r++) {
    const uint8_t* sector = &image.at(16384 + r / 62 * 512);
    bool believed = at<uint64_t>(sector, 8) == r / 62 && crc32c(sector + 4, 508, id) == at<uint32_t>(sector, 0);
    m.words.push_back(believed ? at<uint64_t>(sector, 16 + r % 62 * 8) : 1ULL << 63);
  }
  return m;
}

} // namespace kt
