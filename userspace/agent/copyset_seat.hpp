// SPDX-License-Identifier: GPL-2.0-or-later
// One seat of a copyset as this node holds it: the pure core::Copyset, entered by one event at a time, and
// the way of its actions to whoever carries them out. What it tells others leaves in the order in which the
// core said it. Invariant: a later life of the seat knows the facts that the earlier one was told.
// Must not: decide anything, know links or groups.
#pragma once

#include "core/copyset.hpp"

#include <deque>
#include <functional>
#include <memory>
#include <optional>

namespace rc::agent {

class CopysetSeat {
public:
  // All are called from within step().
  struct Ways {
    std::function<void(format::CopysetMessage)> send;
    std::function<void(const core::copyset::Action&)> order; // to the seat's Source or Target
    std::function<void(const core::copyset::Note&)> note;
    std::function<void(const core::copyset::TakeoverRefused&)> refused;
    std::function<core::Now()> now;
    std::function<std::uint64_t()> random_id;
  };
  CopysetSeat(core::CopysetConfig config, format::CopysetTable table, Ways ways);

  // May be called from within one of the ways: it is taken up when the event before it is done with.
  void step(core::copyset::Event event);
  // Other settings: a new life with the same table, as after a restart of the agent.
  void set_config(core::CopysetConfig config);

  const core::Copyset& core() const { return *core_; }
  const format::Seat& self() const { return config_.self; }

private:
  void begin(format::CopysetTable table);
  void carry_out(const core::copyset::Action& action);

  core::CopysetConfig config_;
  Ways ways_;
  std::unique_ptr<core::Copyset> core_;
  std::optional<core::copyset::Event> facts_; // the newest
  std::deque<core::copyset::Event> waiting_;
  bool busy_ = false;
};

} // namespace rc::agent
