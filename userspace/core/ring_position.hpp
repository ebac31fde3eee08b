// SPDX-License-Identifier: GPL-2.0-or-later
// Where one stream stands in the ring, in records and bytes: freed <= written, freed <= read. Remembers
// running totals for each record of the ring in one preallocated array, so that "how many bytes lie between
// two records" and "up to which record do so many bytes reach" cost nothing; no allocation per record.
#pragma once

#include "core/now.hpp"
#include "format/record.hpp"

#include <span>
#include <vector>

namespace rc::core {

class RingPosition {
public:
  void attach(StreamId stream, Seq freed, std::uint64_t data_bytes, std::uint64_t slots);
  void add(std::span<const format::Record> records); // contiguous after read()
  void set_written(Seq written);
  void set_freed(Seq freed);

  StreamId stream() const { return stream_; }
  Seq read() const { return read_; }
  Seq written() const { return written_ < read_ ? written_ : read_; }
  Seq freed() const { return freed_; }
  std::uint64_t data_bytes() const { return data_bytes_; }
  std::uint64_t used_bytes() const { return total(read_).ring - total(freed_).ring; } // of the data ring
  double used() const;              // 0..1, of the fuller of control and data ring
  double used_after(Seq seq) const; // the part of it that the records (seq, read()] take; seq is known
  // The first seq in [freed(), limit] after which the records use at most `part` of the ring, and none up to
  // the limit is a copy (copy slots are few).
  Seq keeping(double part, Seq limit) const;
  std::uint64_t copies_held() const { return total(read_).copies - total(freed_).copies; }

  // Totals are known for seq in [oldest_known(), read()].
  bool knows(Seq seq) const { return seq >= first_known_ && seq <= read_ && read_ - seq < totals_.size(); }
  // Bytes of the records (after, through] as they are sent to a link; `copies`: copy data goes to it too.
  std::uint64_t bytes(Seq after, Seq through, bool copies) const;
  // The last record in (after, limit] so that bytes(after, last) <= budget; `after` when not even one fits.
  Seq reach(Seq after, Seq limit, std::uint64_t budget, bool copies) const;

private:
  struct Total {              // of all records up to a seq
    std::uint64_t ring = 0;   // data of host writes: in the data ring
    std::uint64_t copy = 0;   // data of copy records: in copy slots
    std::uint64_t copies = 0; // copy records
  };
  const Total& total(Seq seq) const { return totals_[seq & mask_]; }

  StreamId stream_{};
  Seq read_ = 0;
  Seq written_ = 0;
  Seq freed_ = 0;
  Seq first_known_ = 0;
  std::uint64_t data_bytes_ = 0;
  std::uint64_t slots_ = 0;
  std::uint64_t mask_ = 0;
  std::vector<Total> totals_ = std::vector<Total>(1);
};

} // namespace rc::core
