// SPDX-License-Identifier: GPL-2.0-or-later
// The part of an agent that belongs to the copyset: core::Copyset of one seat, on the net between seats. What
// it wants of its seat's Source or Target, or of the kernel, goes to the agent that owns it.
#pragma once

#include "core/copyset.hpp"

#include <functional>
#include <optional>

namespace rc::sim {

class Host;

class CopysetAgent {
public:
  CopysetAgent(Host& host, std::function<void(const core::copyset::Action&)> of_the_seat);
  void start();
  void step(const core::copyset::Event& event);
  // Other settings: the seat's life begins anew, the process, its Source or Target go on.
  void begin_anew();
  const core::Copyset& core() const { return core_; }

private:
  void tick();

  Host& host_;
  std::function<void(const core::copyset::Action&)> of_the_seat_;
  core::Copyset core_;
  std::optional<core::copyset::Event> facts_; // last told by the Source or Target
};

} // namespace rc::sim
