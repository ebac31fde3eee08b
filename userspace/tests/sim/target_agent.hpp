// SPDX-License-Identifier: GPL-2.0-or-later
// The agent of a copy: core::Target with its effects on the simulated kernel, journal and wires; its applier
// writes the copy's backing devices as io/applier.hpp says.
#pragma once

#include "core/target.hpp"
#include "tests/sim/agent.hpp"

namespace rc::sim {

class TargetAgent : public Agent {
public:
  explicit TargetAgent(Host& host);

  void start() override;
  void link_up(int peer) override;
  void link_down(int peer, const std::string& reason) override;
  void arrive(int peer, const Packet& packet) override;

  void take_over(); // command
  const core::Target& core() const { return *core_; }
  core::TargetStatus status() const;
  bool settled() const { return queue_.empty(); } // nothing waits to be done

private:
  void step(const core::target::Event& event);
  void execute(const core::target::Action& action);
  void tick();
  void append_failed();

  void act(const core::target::StoreState& action);
  void act(const core::target::AppendJournal& action);
  void act(const core::target::SetUpdateInProgress& action);
  void act(const core::target::ApplyRecords& action);
  void act(const core::target::ReckonOwnDirty& action);
  void act(const core::target::SendMessage& action);
  void act(const core::target::CloseLink& action);
  void act(const core::target::BecomePrimary& action);
  void act(const core::target::TakeoverRefused& action);
  void act(const core::target::Note& action);

  struct Job; // an apply under way
  std::shared_ptr<Job> gather(const core::target::ApplyRecords& action) const;
  void write_on(const std::shared_ptr<Job>& job);
  void settle(const std::shared_ptr<Job>& job);

  std::unique_ptr<core::Target> core_;
  bool receiving_ = false; // agreed with the source, nothing was closed since
  ActionQueue<core::target::Action> queue_;
};

} // namespace rc::sim
