// SPDX-License-Identifier: GPL-2.0-or-later
// Executes core::Source for one group: ring, spill, links, volumes. See docs/pipeline.md, "Source".
// Main thread; what blocks runs on the worker and comes back as an event.
#pragma once

#include "agent/actions.hpp"
#include "agent/group_runtime.hpp"
#include "agent/record_cache.hpp"
#include "core/source.hpp"
#include "io/fd_watch.hpp"

#include <map>

namespace rc::agent {

class SourceRuntime : public GroupRuntime, public std::enable_shared_from_this<SourceRuntime> {
public:
  SourceRuntime(RuntimeServices services, io::GroupRow row, VolumeSet volumes, std::vector<io::PairRow> pairs,
                std::map<std::string, std::string> sites);
  // The journal was opened (or handed over by a takeover). Asks the kernel what is loaded, then begins.
  // `took_over`: it begins as the end of a takeover, not after a boot.
  void start(std::shared_ptr<io::Journal> journal, bool took_over = false);
  // Events of the journal, wired by whoever opened it.
  void spill_durable(StreamId stream, Seq durable);
  void journal_failed(const Error& error);

  // Commands.
  void volumes_changed(const VolumeSet& volumes);
  // Refused: the kernel target doesn't take one of them; then nothing is changed.
  Status settings_changed(const io::GroupRow& row);
  void add_pair(const io::PairRow& pair);
  void remove_pair(const std::string& peer);
  void suspend_pair(const std::string& peer, const std::string& reason);
  void resume_pair(const std::string& peer);
  void resync_pair(const std::string& peer, bool in_place);
  void force_confirm();
  // It waits for a confirmation and has no pair whose copy could give it.
  bool needs_witness() const;
  void nodes_asked(bool vouched, const std::string& what, const std::string& next_action);
  core::SourceStatus core_status() const;
  bool started() const { return core_ != nullptr; }
  const std::shared_ptr<io::Journal>& journal() const { return journal_; }

  control::Role role() const override { return control::Role::Primary; }
  void link_up(const std::string& peer) override;
  void link_down(const std::string& peer, const std::string& reason) override;
  void message(const std::string& peer, format::GroupMessage message) override;
  void records(const std::string& peer, format::RecordsMessage message) override;
  void damaged(const std::string& peer, const std::string& reason) override;
  void tick() override;
  void of_copyset(const core::copyset::Action& action) override;
  void fill_status(control::GroupStatus& status) override;
  std::shared_ptr<io::Journal> stop() override;

private:
  struct LinkInfo {
    std::string peer;
    io::PairRow pair;
    core::PairState told_state = core::PairState::Simplex; // last state in the event log
    std::string told_reason;
    std::string since;
  };
  void step(const core::source::Event& event);
  void begin(bool volumes_live, bool took_over);
  core::LinkConfig link_config(const io::PairRow& pair) const;
  const LinkInfo* link_of(const std::string& peer) const;
  const LinkInfo* link_of(core::LinkSlot slot) const;
  void tell_changes();

  bool execute(core::source::Action& action); // false: a barrier
  bool execute(core::source::StoreState& action);
  bool execute(core::source::LoadVolumes& action);
  bool execute(core::source::AttachRing& action);
  bool execute(core::source::StartStream& action);
  bool execute(core::source::FreeRing& action);
  bool execute(core::source::AckRing& action);
  bool execute(core::source::SetSync& action);
  bool execute(core::source::PutCheckpoint& action);
  bool execute(core::source::SendRecords& action);
  bool execute(core::source::SendMessage& action);
  bool execute(core::source::CloseLink& action);
  bool execute(core::source::SpillRecords& action);
  bool execute(core::source::TrimSpill& action);
  bool execute(core::source::ReckonDirty& action);
  bool execute(core::source::CopyRegion& action);
  bool execute(core::source::PutEndOfCopying& action);
  bool execute(core::source::StaleGeneration& action);
  bool execute(core::source::TellCopyset& action);
  bool execute(core::source::Note& action);
  void send_from_spill(const core::source::SendRecords& action);
  // Steps from inside an action go through the loop: the core is never entered twice.
  void step_later(core::source::Event event);

  void mark(const core::copyset::PutCheckpoint& action);
  void lift(const core::copyset::LiftHold& action);

  Status set_throttle(control::OnFull on_full);
  void watch_ring();
  void read_ring();
  void report_progress();
  void fail(const std::string& text, const std::string& next_action);

  RuntimeServices services_;
  io::GroupRow row_;
  VolumeSet volumes_;
  std::map<core::LinkSlot, LinkInfo> links_;
  std::map<std::string, std::string> sites_; // of nodes
  std::shared_ptr<io::Journal> journal_;
  std::unique_ptr<core::Source> core_;
  ActionQueue<core::source::Action> actions_;
  std::shared_ptr<io::Ring> ring_;
  std::unique_ptr<io::FdWatch> ring_watch_;
  RecordCache cache_;
  Seq next_read_ = 0;                    // 0: no stream
  std::optional<std::uint64_t> hold_us_; // how long the last hold of a common checkpoint was
  std::uint32_t channel_;
  std::string failure_; // of the runtime itself; shown instead of the core's reason
  std::string failure_next_;
  bool stopped_ = false;
};

} // namespace rc::agent
