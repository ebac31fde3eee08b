// SPDX-License-Identifier: GPL-2.0-or-later
// Executes core::Target for one group: link, journal, applier, volumes of the copy. See docs/pipeline.md,
// "Target". Main thread; what blocks runs on the worker or the applier's thread and comes back as an event.
#pragma once

#include "agent/actions.hpp"
#include "agent/group_runtime.hpp"
#include "core/target.hpp"
#include "io/applier.hpp"
#include "io/ring.hpp"

namespace rc::agent {

class TargetRuntime : public GroupRuntime, public std::enable_shared_from_this<TargetRuntime> {
public:
  TargetRuntime(RuntimeServices services, io::GroupRow row, VolumeSet volumes, io::PairRow pair);
  // Loads the volumes with role secondary, reads the journal's headers, then begins.
  void start(std::shared_ptr<io::Journal> journal);
  void journal_durable(StreamId stream, Seq durable);
  void journal_failed(const Error& error);

  // `refused` is called when the core refuses; success is services.become_primary.
  void take_over(std::function<void(Error)> refused);
  void mode_changed(const io::PairRow& pair);
  void settings_changed(const io::GroupRow& row);
  // Another node took over. The source of this copy is stale: it is not listened to any more, and it is told.
  // The image stays as it is until pair create gives this copy another source.
  void primary_moved(const std::string& primary, std::vector<format::LineageEntry> lineage);
  // The command that makes this copy one of the new primary's.
  std::string join_command() const;
  core::TargetStatus core_status() const;
  bool started() const { return core_ != nullptr; }
  const std::string& source() const { return pair_.source; }

  control::Role role() const override { return control::Role::Secondary; }
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
  struct Prepared {
    std::shared_ptr<io::Ring> ring;
    std::map<VolumeNumber, std::shared_ptr<io::Disk>> disks;
    core::JournalIndex index;
  };
  static Result<Prepared> prepare(const VolumeSet& set, io::Journal& journal);
  void begin(Prepared prepared);
  std::uint64_t lease_ns() const;
  core::JournalSpace space() const;
  void step(const core::target::Event& event);
  void step_later(core::target::Event event);
  void fail(const std::string& text, const std::string& next_action);
  void tell_changes();

  bool execute(core::target::Action& action); // false: a barrier
  bool execute(core::target::StoreState& action);
  bool execute(core::target::AppendJournal& action);
  bool execute(core::target::SetUpdateInProgress& action);
  bool execute(core::target::ApplyRecords& action);
  bool execute(core::target::ReckonOwnDirty& action);
  bool execute(core::target::SendMessage& action);
  bool execute(core::target::CloseLink& action);
  bool execute(core::target::BecomePrimary& action);
  bool execute(core::target::TakeoverRefused& action);
  bool execute(core::target::TellCopyset& action);
  bool execute(core::target::Note& action);

  RuntimeServices services_;
  io::GroupRow row_;
  VolumeSet volumes_;
  io::PairRow pair_;
  // The new primary's lineage; empty when only its name is known (until it tells again).
  std::optional<std::vector<format::LineageEntry>> moved_;
  std::shared_ptr<io::Journal> journal_;
  std::unique_ptr<core::Target> core_;
  ActionQueue<core::target::Action> actions_;
  std::shared_ptr<io::Ring> ring_; // for the region map; a secondary's ring carries nothing
  std::map<VolumeNumber, std::shared_ptr<io::Disk>> disks_;
  std::unique_ptr<io::Applier> applier_;
  std::function<void(Error)> takeover_refused_;
  std::uint32_t channel_;
  core::PairState told_state_ = core::PairState::Simplex;
  std::string since_;
  std::string failure_;
  std::string failure_next_;
  bool stopped_ = false;
};

} // namespace rc::agent
