// SPDX-License-Identifier: GPL-2.0-or-later
#include "causal/shape.hpp"

#include <bit>

namespace rc::causal {

std::uint64_t mix(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15ULL;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

std::string hex(std::uint64_t value) {
  static const char digits[] = "0123456789abcdef";
  std::string text(16, '0');
  for (std::size_t at = 16; at-- > 0; value >>= 4)
    text[at] = digits[value & 15];
  return text;
}

std::uint32_t Shape::stride() const { return sector_bytes << (std::bit_width(sizes) - 1); }

std::uint32_t Shape::smallest() const { return sector_bytes << std::countr_zero(sizes); }

std::uint32_t Shape::size_at(std::uint32_t slot) const {
  auto skip = static_cast<unsigned>(mix(mix(seed) ^ slot) % static_cast<unsigned>(std::popcount(sizes)));
  std::uint32_t left = sizes;
  while (skip-- > 0)
    left &= left - 1;
  return sector_bytes << std::countr_zero(left);
}

Place Shape::place_of(WriteId id) const {
  const std::uint32_t host = id.lane / lanes;
  const std::uint32_t turn = (id.lane % lanes + id.number) % devices;
  const std::uint64_t hash = mix(mix(seed ^ id.lane) + id.number);
  return {host * devices + turn, static_cast<std::uint32_t>(hash % span)};
}

Status Shape::valid() const {
  const auto usage = [](std::string what, std::string next) {
    return Status(Error{ErrorCode::Usage, std::move(what), std::move(next)});
  };
  if (run == 0)
    return usage("run id 0 means no run", "choose another");
  if (hosts == 0 || lanes == 0 || devices == 0)
    return usage("a run needs at least one host, one lane and one device", "");
  if (lane_total() > max_lanes)
    return usage(std::to_string(lane_total()) +
                     " lanes in all (hosts x writers x queue depth), a block has room for " +
                     std::to_string(max_lanes),
                 "use fewer writers or a smaller queue depth");
  if (sizes == 0 || stride() > max_block_bytes)
    return usage("block sizes must be powers of two from 512 to 1048576 bytes", "");
  if (span == 0)
    return usage("the working set holds no block", "use a larger --span or a larger device");
  return {};
}

} // namespace rc::causal
