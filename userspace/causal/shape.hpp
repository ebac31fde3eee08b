// SPDX-License-Identifier: GPL-2.0-or-later
// The shape of a run: everything from which the place of every write follows. A *lane* is a strand of a
// writer with at most one write in flight; its writes are numbered 1, 2, 3... Where write n of a lane goes is
// a pure function of the shape, so the verifier knows the place of every number without having seen its block
// or a log. Invariant: one place always has one size, so a newer write there covers an older one wholly.
// Lanes and devices are numbered over all hosts: host * (count per host) + own index. Hosts share no device.
#pragma once

#include "base/result.hpp"

#include <cstdint>
#include <string>

namespace rc::causal {

constexpr std::uint32_t sector_bytes = 512;
constexpr std::uint32_t max_block_bytes = 1 << 20;
constexpr std::uint32_t max_lanes = 100; // of all hosts: their clock fits into the first sector of a block

struct Place {
  std::uint32_t device = 0; // over all hosts
  std::uint32_t slot = 0;   // its byte offset: slot * stride
  bool operator==(const Place&) const = default;
};

// A write of the run: `number` >= 1.
struct WriteId {
  std::uint32_t lane = 0; // over all hosts
  std::uint32_t number = 0;
  bool operator==(const WriteId&) const = default;
};

struct Shape {
  std::uint64_t run = 0; // random, not 0
  std::uint64_t seed = 0;
  std::uint16_t hosts = 1;
  std::uint16_t lanes = 1;   // per host
  std::uint16_t devices = 1; // per host
  std::uint16_t sizes = 0;   // bit i set: blocks of 512 << i bytes occur
  std::uint32_t span = 0;    // slots per device

  bool operator==(const Shape&) const = default;

  std::uint32_t lane_total() const { return std::uint32_t{hosts} * lanes; }
  std::uint32_t device_total() const { return std::uint32_t{hosts} * devices; }
  std::uint64_t place_total() const { return std::uint64_t{device_total()} * span; }
  std::uint64_t place_index(Place place) const { return std::uint64_t{place.device} * span + place.slot; }
  std::uint32_t stride() const; // bytes from slot to slot: the largest block
  std::uint32_t smallest() const;
  std::uint64_t offset_of(std::uint32_t slot) const { return std::uint64_t{slot} * stride(); }
  std::uint64_t device_bytes() const { return offset_of(span); }

  std::uint32_t size_at(std::uint32_t slot) const;

  // Successive writes of a lane go to successive devices, so each depends on one of another volume (where the
  // host has more than one).
  Place place_of(WriteId id) const;

  // Usage: a value that no run can have, or more lanes than a block can name.
  Status valid() const;
};

// A good mixing function (splitmix64's finalizer): every input bit changes half of the output bits.
std::uint64_t mix(std::uint64_t value);

std::string hex(std::uint64_t value);

} // namespace rc::causal
