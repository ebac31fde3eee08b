// SPDX-License-Identifier: GPL-2.0-or-later
// A self-describing block: header, clock, payload, and a tag at the end of every 512-byte sector that names
// the write the sector belongs to, so that a block made of two writes is found even where its header is the
// old one. The checksum covers the whole block. Layout and figures: docs/causal-checker.md.
#pragma once

#include "base/bytes.hpp"
#include "causal/shape.hpp"

#include <optional>
#include <vector>

namespace rc::causal {

// clock[lane] = highest write of that lane that had completed, and was logged, before this one was issued.
using Clock = std::vector<std::uint32_t>;

struct Block {
  Shape shape;
  WriteId id;
  Place place;
  std::uint64_t order = 0;     // host-wide number of issue
  std::uint64_t issued_ns = 0; // CLOCK_REALTIME
  Clock clock;                 // lane_total() entries; clock[id.lane] == id.number - 1
};

enum class Payload { Random, Pattern }; // incompressible, also between blocks; or easily compressed

// Fills blocks. The random pool is made once; each block mixes it with a key of its own.
class BlockMaker {
public:
  BlockMaker(const Shape& shape, Payload payload);
  // `to` has shape.size_at(block.place.slot) bytes, block.clock lane_total() entries.
  void make(const Block& block, MutableByteView to) const;

private:
  Payload payload_;
  Bytes pool_;
};

// What lies at a place.
enum class Found {
  Old,       // nothing of this run: never written, or content from before it
  Whole,     // one write of this run, at its place
  Torn,      // bytes of this run that are not one whole write
  Misplaced, // a whole write of this run that belongs elsewhere
};

struct Finding {
  Found found = Found::Old;
  Block block;       // Whole and Misplaced
  std::string story; // Torn and Misplaced: what is there, in words
};

// `bytes` is exactly what lies at `place`.
Finding examine(const Shape& shape, Place place, ByteView bytes);

// Decodes a block whose checksum is right, of whatever run, that starts at the first byte; `bytes` may be
// longer.
std::optional<Block> decode(ByteView bytes);

} // namespace rc::causal
