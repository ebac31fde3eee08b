// SPDX-License-Identifier: GPL-2.0-or-later
// The valid checkpoints of the running stream, as the source saw them pass: how old an image is that ends at
// one of them and how many bytes were written since. For lag figures only; bounded, old ones are thinned out.
#pragma once

#include "format/record.hpp"

#include <deque>
#include <optional>

namespace rc::core {

struct PassedCheckpoint {
  Era era{};
  Seq marker = 0;
  Seq held = 0;
  std::uint64_t time_ns = 0;
  std::uint64_t host_bytes = 0; // written by hosts before it, since start
};

class CheckpointHistory {
public:
  void reset() { *this = {}; }
  void marker(const format::Record& record, std::uint64_t host_bytes);
  void verdict(const format::Record& record);
  // The newest one that lies wholly at or before `through`.
  std::optional<PassedCheckpoint> newest(Seq through) const;
  void forget_before(Seq seq); // keeps the newest one at or before seq
  std::uint64_t count() const { return count_; }

private:
  std::optional<PassedCheckpoint> open_;
  std::deque<PassedCheckpoint> passed_;
  std::uint64_t count_ = 0;
};

} // namespace rc::core
