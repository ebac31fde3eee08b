// SPDX-License-Identifier: GPL-2.0-or-later
// Records that were read from the ring, with their data, until every link and the spill had them: so that the
// bytes are copied out of the ring once however many links there are. Bounded: what does not fit is taken
// from the ring again when it is needed (it lies there until freed). Main thread.
#pragma once

#include "format/records_codec.hpp"
#include "io/ring.hpp"

#include <deque>

namespace rc::agent {

class RecordCache {
public:
  explicit RecordCache(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  void clear();
  bool has_room() const { return bytes_ < bytes_max_; }
  void add(format::RecordsMessage chunk); // of the running stream; contiguous or beginning anew
  void forget_through(Seq seq);

  // Records [first, ...] of the ring, at most through `last`: from the cache where it has `first`, else taken
  // from the ring. Corrupt: the ring lacks what it should hold.
  Result<format::RecordsMessage> get(const io::RingSource& ring, Seq first, Seq last) const;

private:
  static Seq last_of(const format::RecordsMessage& chunk) { return chunk.records.back().seq; }
  std::deque<format::RecordsMessage> chunks_;
  std::size_t bytes_ = 0;
  std::size_t bytes_max_;
};

} // namespace rc::agent
