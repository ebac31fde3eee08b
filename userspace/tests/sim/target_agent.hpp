// SPDX-License-Identifier: GPL-2.0-or-later
// The agent of a copy: core::Target with its effects on the simulated kernel, journal and wires; its applier
// writes the copy's backing devices as io/applier.hpp says.
#pragma once

#include "core/target.hpp"
#include "tests/sim/agent.hpp"
#include "tests/sim/copyset_agent.hpp"

namespace rc::sim {

class TargetAgent : public Agent {
public:
  explicit TargetAgent(Host& host);

  void start() override;
  void link_up(int peer) override;
  void link_down(int peer, const std::string& reason) override;
  void arrive(int peer, const Packet& packet) override;
  void copyset_message(const format::CopysetMessage& message) override;
  void begin_seat_anew() override {
    if (copyset_)
      copyset_->begin_anew();
  }
  const core::Copyset* copyset() const override { return copyset_ ? &copyset_->core() : nullptr; }

  void take_over();      // command
  void take_over_site(); // command, at the site's master
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
  void act(const core::target::TellCopyset& action);
  void act(const core::target::Note& action);
  void of_the_copyset(const core::copyset::Action& action);

  struct Job; // an apply under way
  std::shared_ptr<Job> gather(const core::target::ApplyRecords& action) const;
  void write_on(const std::shared_ptr<Job>& job);
  void settle(const std::shared_ptr<Job>& job);

  std::unique_ptr<core::Target> core_;
  bool receiving_ = false; // agreed with the source, nothing was closed since
  ActionQueue<core::target::Action> queue_;
  std::unique_ptr<CopysetAgent> copyset_; // of a group that belongs to one
};

} // namespace rc::sim
