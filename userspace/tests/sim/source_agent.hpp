// SPDX-License-Identifier: GPL-2.0-or-later
// The agent of a primary: core::Source with its effects on the simulated kernel, journal and wires.
#pragma once

#include "core/source.hpp"
#include "tests/sim/agent.hpp"
#include "tests/sim/copyset_agent.hpp"

namespace rc::sim {

class SourceAgent : public Agent {
public:
  explicit SourceAgent(Host& host);

  void start() override;
  void link_up(int peer) override;
  void link_down(int peer, const std::string& reason) override;
  void arrive(int peer, const Packet& packet) override;
  void ring_committed() override;
  void copyset_message(const format::CopysetMessage& message) override;
  void begin_seat_anew() override {
    if (copyset_)
      copyset_->begin_anew();
  }
  const core::Copyset* copyset() const override { return copyset_ ? &copyset_->core() : nullptr; }

  // Commands.
  void suspend(int peer);
  void resume(int peer);
  void settings_changed();
  void force();

  const core::Source& core() const { return *core_; }
  core::SourceStatus status() const;
  bool loading() const { return loading_; }

private:
  void step(const core::source::Event& event);
  void execute(const core::source::Action& action);
  void tick();
  void read_ring();
  void attach();
  core::source::RingProgress progress() const;
  core::source::SpillDurable spill_durable(StreamId stream, Seq seq) const;

  void act(const core::source::StoreState& action);
  void act(const core::source::LoadVolumes& action);
  void act(const core::source::AttachRing& action);
  void act(const core::source::StartStream& action);
  void act(const core::source::FreeRing& action);
  void act(const core::source::AckRing& action);
  void act(const core::source::SetSync& action);
  void act(const core::source::PutCheckpoint& action);
  void act(const core::source::SendRecords& action);
  void act(const core::source::SendMessage& action);
  void act(const core::source::CloseLink& action);
  void act(const core::source::SpillRecords& action);
  void act(const core::source::TrimSpill& action);
  void act(const core::source::ReckonDirty& action);
  void act(const core::source::CopyRegion& action);
  void act(const core::source::PutEndOfCopying& action);
  void act(const core::source::StaleGeneration& action);
  void act(const core::source::TellCopyset& action);
  void act(const core::source::Note& action);
  void of_the_copyset(const core::copyset::Action& action);
  void mark(const core::copyset::PutCheckpoint& action);

  std::unique_ptr<core::Source> core_;
  ActionQueue<core::source::Action> queue_;
  std::unique_ptr<CopysetAgent> copyset_; // of a group that belongs to one
  StreamId stream_{};                     // whose records are read
  Seq read_ = 0;
  Seq found_ = 0; // reserved when the agent attached
  bool attached_ = false;
  bool reading_ = false;
  bool slow_start_ = false;
  bool loading_ = false;
  bool heard_ = false; // from a peer that holds a copy, or by command: the generation may be confirmed
};

} // namespace rc::sim
