// SPDX-License-Identifier: GPL-2.0-or-later
// A made-up run without devices: lanes issue and complete writes in a random, seeded interleaving. It keeps
// the ghost history that the product must not need: who had really completed before what was issued, and in
// which order the writes reached each place. From it come images (any choice of a version per place) and the
// truth about them, reckoned the slow way.
#pragma once

#include "causal/ack_log.hpp"
#include "causal/image.hpp"

#include <random>
#include <vector>

namespace rc::causal::test {

struct Ghost {
  Block block;
  std::vector<bool> before;      // which writes (by index of issue) had completed when it was issued
  std::size_t turn = 0;          // its place in the order of writes at its place: 0, 1, 2...
  std::size_t completed = ~0ULL; // its place in the order of completions; none: in flight at the end
};

class History {
public:
  History(const Shape& shape, std::size_t writes, std::uint64_t seed);

  const Shape& shape() const { return shape_; }
  const std::vector<Ghost>& writes() const { return writes_; }
  const std::vector<std::size_t>& completions() const { return completions_; }
  AckLog log() const;

  // choice[place] = number of writes that have reached the place (0: old content). All places.
  using Cut = std::vector<std::size_t>;
  Cut everything() const;
  Cut nothing() const { return Cut(shape_.place_total()); }
  // What holds of all writes in `kept` (by index), at each place up to the last of them.
  Cut up_to(const std::vector<bool>& kept) const;
  Image image(const Cut& cut) const;
  bool holds(const Cut& cut, const Ghost& write) const { return cut[index_of(write)] > write.turn; }
  // The definition itself: every write that the cut holds has all that completed before it was issued.
  bool is_causal(const Cut& cut) const;

private:
  std::uint64_t index_of(const Ghost& write) const { return shape_.place_index(write.block.place); }
  void issue(std::uint32_t lane);
  void complete(std::size_t write);

  Shape shape_;
  std::vector<Ghost> writes_;
  std::vector<std::size_t> completions_;
  std::vector<std::vector<std::size_t>> at_place_;
  std::vector<std::size_t> in_flight_;  // per lane; ~0: none
  std::vector<Clock> known_;            // per host
  std::vector<std::vector<bool>> seen_; // per host: completed writes it knows of
};

Shape small_shape(std::uint16_t hosts, std::uint16_t lanes, std::uint16_t devices, std::uint32_t span);

} // namespace rc::causal::test
