// SPDX-License-Identifier: GPL-2.0-or-later
// A void checkpoint leaves no trace: its records belong to the next valid one.
#include "core/checkpoint_history.hpp"

#include <algorithm>

namespace rc::core {

void CheckpointHistory::marker(const format::Record& record, std::uint64_t host_bytes) {
  open_ = PassedCheckpoint{format::era_of(record), record.seq, 0, record.time_ns, host_bytes};
}

void CheckpointHistory::verdict(const format::Record& record) {
  if (!open_ || open_->era != format::era_of(record))
    return;
  if (record.type == DMRC_HELD) {
    constexpr std::size_t most = 4096;
    if (passed_.size() >= most) { // a link is far behind: every other one is enough for a lag figure
      std::size_t kept = 0;
      for (std::size_t i = 0; i < passed_.size(); i += 2)
        passed_[kept++] = passed_[i];
      passed_.resize(kept);
    }
    open_->held = record.seq;
    passed_.push_back(*open_);
    ++count_;
  }
  open_.reset();
}

std::optional<PassedCheckpoint> CheckpointHistory::newest(Seq through) const {
  const auto after = std::upper_bound(passed_.begin(), passed_.end(), through,
                                      [](Seq seq, const PassedCheckpoint& each) { return seq < each.held; });
  if (after == passed_.begin())
    return std::nullopt;
  return *std::prev(after);
}

void CheckpointHistory::forget_before(Seq seq) {
  while (passed_.size() > 1 && passed_[1].held <= seq)
    passed_.pop_front();
}

} // namespace rc::core
