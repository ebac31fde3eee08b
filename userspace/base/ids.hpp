// SPDX-License-Identifier: GPL-2.0-or-later
// Strong types for the numbers that must not be mixed up (docs/design.md, words). One line each.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>

namespace rc {

template <typename Tag, typename Number> struct Id {
  Number value{};
  auto operator<=>(const Id&) const = default;
};

using Seq = std::uint64_t; // place of a record in its stream: 1, 2, 3...; 0 = before the first
using StreamId = Id<struct StreamTag, std::uint64_t>; // random; value 0 = no stream
using VolumeNumber = std::uint16_t;                   // of a volume in its group
using Epoch = Id<struct EpochTag, std::uint64_t>;     // the registrar's counter

// Era (generation, n) as one number; see DMRC_ERA in the shared header.
struct Era {
  std::uint64_t value = 0;
  static constexpr int n_bits = 40;
  static constexpr Era of(std::uint64_t generation, std::uint64_t n) { return {(generation << n_bits) | n}; }
  static constexpr Era open() { return {~0ULL}; }
  constexpr std::uint64_t generation() const { return value >> n_bits; }
  constexpr std::uint64_t n() const { return value & ((1ULL << n_bits) - 1); }
  constexpr bool is_open() const { return value == ~0ULL; }
  auto operator<=>(const Era&) const = default;
};

// "2.17", "open", "none" (0).
std::string to_string(Era era);

} // namespace rc

template <typename Tag, typename Number> struct std::hash<rc::Id<Tag, Number>> {
  std::size_t operator()(const rc::Id<Tag, Number>& id) const noexcept {
    return std::hash<Number>{}(id.value);
  }
};
