// SPDX-License-Identifier: GPL-2.0-or-later
// The array has room for twice the slots, so totals are still known for what was freed lately.
#include "core/ring_position.hpp"

#include "base/assert.hpp"

#include <algorithm>
#include <bit>

namespace rc::core {

void RingPosition::attach(StreamId stream, Seq freed, std::uint64_t data_bytes, std::uint64_t slots) {
  stream_ = stream;
  read_ = written_ = freed_ = first_known_ = freed;
  data_bytes_ = data_bytes;
  slots_ = std::max<std::uint64_t>(slots, 1);
  const std::uint64_t size = std::bit_ceil(slots_) * 2;
  if (totals_.size() != size)
    totals_.assign(size, {});
  mask_ = size - 1;
  totals_[freed & mask_] = {};
}

void RingPosition::add(std::span<const format::Record> records) {
  Total sum = total(read_);
  for (const format::Record& record : records) {
    RC_ASSERT(record.seq == read_ + 1);
    if (record.type == DMRC_WRITE) {
      sum.ring += record.length;
    } else if (record.type == DMRC_COPY) {
      sum.copy += record.length;
      ++sum.copies;
    }
    ++read_;
    totals_[read_ & mask_] = sum;
  }
}

void RingPosition::set_written(Seq written) { written_ = std::max(written_, written); }

void RingPosition::set_freed(Seq freed) {
  RC_ASSERT(freed >= freed_ && freed <= read_ && freed <= written_);
  freed_ = freed;
}

double RingPosition::used() const { return used_after(freed_); }

double RingPosition::used_after(Seq seq) const {
  if (data_bytes_ == 0)
    return 0;
  RC_ASSERT(knows(seq));
  const double data =
      static_cast<double>(total(read_).ring - total(seq).ring) / static_cast<double>(data_bytes_);
  const double slots = static_cast<double>(read_ - seq) / static_cast<double>(slots_);
  return std::max(data, slots);
}

Seq RingPosition::keeping(double part, Seq limit) const {
  const auto small_enough = [&](Seq seq) {
    return used_after(seq) <= part && total(seq).copies == total(limit).copies;
  };
  if (freed_ >= limit || small_enough(freed_))
    return freed_;
  Seq low = freed_; // leaves too much
  Seq high = limit;
  while (high - low > 1) {
    const Seq middle = low + (high - low) / 2;
    (small_enough(middle) ? high : low) = middle;
  }
  return high;
}

std::uint64_t RingPosition::bytes(Seq after, Seq through, bool copies) const {
  RC_ASSERT(knows(after) && knows(through) && after <= through);
  const Total& to = total(through);
  const Total& from = total(after);
  return to.ring - from.ring + (copies ? to.copy - from.copy : 0);
}

Seq RingPosition::reach(Seq after, Seq limit, std::uint64_t budget, bool copies) const {
  if (bytes(after, limit, copies) <= budget)
    return limit;
  Seq low = after;  // fits
  Seq high = limit; // does not
  while (high - low > 1) {
    const Seq middle = low + (high - low) / 2;
    (bytes(after, middle, copies) <= budget ? low : high) = middle;
  }
  return low;
}

} // namespace rc::core
