// SPDX-License-Identifier: GPL-2.0-or-later
// SSE4.2 where the CPU has it, else eight tables. Both give the same value (unit test).
#include "base/crc32c.hpp"

#include <array>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace rc {
namespace {

using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t i = 0; i < 256; i++) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; bit++)
      value = (value >> 1) ^ ((value & 1) ? 0x82f63b78u : 0);
    tables[0][i] = value;
  }
  for (std::uint32_t i = 0; i < 256; i++)
    for (std::size_t t = 1; t < 8; t++)
      tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 0xff];
  return tables;
}

constexpr Tables tables = make_tables();

std::uint32_t update_by_table(ByteView bytes, std::uint32_t crc) {
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    const std::uint64_t word = load<std::uint64_t>(at) ^ crc;
    crc = 0;
    for (std::size_t i = 0; i < 8; i++)
      crc ^= tables[7 - i][(word >> (8 * i)) & 0xff];
  }
  for (; left > 0; left--, at++)
    crc = (crc >> 8) ^ tables[0][(crc ^ std::to_integer<std::uint32_t>(*at)) & 0xff];
  return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t update_by_instruction(ByteView bytes, std::uint32_t crc) {
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t wide = crc;
  for (; left >= 8; left -= 8, at += 8)
    wide = _mm_crc32_u64(wide, load<std::uint64_t>(at));
  crc = static_cast<std::uint32_t>(wide);
  for (; left > 0; left--, at++)
    crc = _mm_crc32_u8(crc, std::to_integer<unsigned char>(*at));
  return crc;
}
#endif

} // namespace

std::uint32_t crc32c_by_table(ByteView bytes, std::uint32_t before) {
  return ~update_by_table(bytes, ~before);
}

std::uint32_t crc32c(ByteView bytes, std::uint32_t before) {
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("sse4.2");
  if (has_instruction)
    return ~update_by_instruction(bytes, ~before);
#endif
  return crc32c_by_table(bytes, before);
}

} // namespace rc
