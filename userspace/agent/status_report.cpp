// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/status_report.hpp"

#include <algorithm>
#include <cstdio>
#include <ctime>

namespace rc::agent {
namespace {

constexpr double ns = 1e-9;

std::optional<control::CheckpointStatus> checkpoint(Era era, std::uint64_t time_ns, std::uint64_t now_ns) {
  if (era.value == 0 || era.is_open())
    return std::nullopt;
  control::CheckpointStatus status;
  status.generation = era.generation();
  status.n = era.n();
  status.time = utc_text(time_ns);
  if (time_ns != 0 && now_ns >= time_ns)
    status.age_seconds = static_cast<double>(now_ns - time_ns) * ns;
  return status;
}

control::SyncState sync_state(const core::LinkStatus& link) {
  if (link.mode != core::LinkMode::Sync)
    return control::SyncState::NotSync;
  switch (link.sync) {
  case core::SyncPhase::Current:
    return control::SyncState::Current;
  case core::SyncPhase::Alone:
    return control::SyncState::Alone;
  default:
    return control::SyncState::NotCurrent;
  }
}

std::optional<control::SpaceStatus> space(std::uint64_t used, std::uint64_t bytes) {
  if (bytes == 0)
    return std::nullopt;
  control::SpaceStatus status;
  status.bytes = bytes;
  status.used = used;
  return status;
}

} // namespace

control::PairState to_control(core::PairState state) {
  switch (state) {
  case core::PairState::Simplex:
    return control::PairState::Simplex;
  case core::PairState::InitialCopy:
    return control::PairState::InitialCopy;
  case core::PairState::Duplex:
    return control::PairState::Duplex;
  case core::PairState::Suspending:
    return control::PairState::Suspending;
  case core::PairState::Suspended:
    return control::PairState::Suspended;
  case core::PairState::Failed:
    return control::PairState::Failed;
  case core::PairState::Pending:
    return control::PairState::Pending;
  }
  return control::PairState::Failed;
}

std::string utc_text(std::uint64_t real_ns) {
  if (real_ns == 0)
    return "";
  const auto seconds = static_cast<std::time_t>(real_ns / core::second);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char date[32];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  char text[48];
  std::snprintf(text, sizeof text, "%s.%03uZ", date,
                static_cast<unsigned>(real_ns % core::second / core::ms));
  return text;
}

void report_source(const core::SourceStatus& source, control::GroupStatus& group) {
  group.generation = source.lineage.empty() ? 0 : source.lineage.back().generation;
  if (source.state == "running" || source.state == "lost")
    group.state = control::GroupState::Active;
  else if (source.state == "waiting for confirmation")
    group.state = control::GroupState::Unconfirmed;
  else if (source.state == "stale")
    group.state = control::GroupState::LostBranch;
  else
    group.state = control::GroupState::Inactive;
  group.alone = source.alone;
  if (source.alone)
    group.alone_since = "checkpoint " + to_string(source.alone_since);
  group.ring = space(source.ring_used, source.ring_bytes);
  group.journal = space(source.spill_used, source.spill_bytes);
  group.written_bytes = source.captured_bytes;
  group.reason = source.reason;
  group.next_action = source.next_action;
}

control::PairStatus report_pair(const core::LinkStatus& link) {
  control::PairStatus pair;
  pair.target_site = link.site;
  pair.state = to_control(link.state);
  pair.sync = sync_state(link);
  pair.link = link.connected ? control::LinkState::Up : control::LinkState::Down;
  const bool has_image = link.complete.value != 0;
  if (has_image) {
    pair.lag_seconds = static_cast<double>(link.lag_ns) * ns;
    pair.lag_bytes = link.lag_bytes;
  }
  pair.complete = checkpoint(link.complete, link.image_time_ns, 0);
  if (link.copy_total_bytes != 0 &&
      (link.state == core::PairState::InitialCopy || link.state == core::PairState::Pending)) {
    control::ProgressStatus progress;
    progress.bytes_total = link.copy_total_bytes;
    progress.bytes_left = link.copy_total_bytes - std::min(link.copy_total_bytes, link.copy_done_bytes);
    pair.progress = progress;
  }
  pair.journal = space(link.peer_journal_used, link.peer_journal_bytes);
  pair.sent_bytes = link.sent_bytes;
  pair.reason = link.reason;
  pair.next_action = link.next_action;
  return pair;
}

control::PairStatus report_target(const core::TargetStatus& target, core::Now now,
                                  control::GroupStatus& group) {
  group.generation = target.position.lineage.empty() ? 0 : target.position.lineage.back().generation;
  group.state = target.taking_over          ? control::GroupState::TakingOver
                : target.update_in_progress ? control::GroupState::Updating
                                            : control::GroupState::Secondary;
  group.journal = space(target.journal_used, target.journal_bytes);
  group.reason = target.taking_over ? target.takeover_step : target.reason;
  group.next_action = target.next_action;

  control::PairStatus pair;
  pair.state = to_control(target.state);
  pair.link = target.connected ? control::LinkState::Up : control::LinkState::Down;
  pair.sync = target.current ? control::SyncState::Current : control::SyncState::NotCurrent;
  if (target.restartable && target.current)
    pair.lag_seconds = 0;
  else if (target.restartable && target.takeover_time_ns != 0 && now.real_ns >= target.takeover_time_ns)
    pair.lag_seconds = static_cast<double>(now.real_ns - target.takeover_time_ns) * ns;
  group.lag_seconds = pair.lag_seconds;
  group.restartable = target.restartable;
  group.current = target.current;
  group.image = checkpoint(target.takeover_checkpoint, target.takeover_time_ns, now.real_ns);
  pair.complete = checkpoint(target.position.applied, target.image_time_ns, now.real_ns);
  pair.journal = group.journal;
  pair.reason = target.reason;
  pair.next_action = target.next_action;
  return pair;
}

void worst_lag(control::GroupStatus& group) {
  group.lag_seconds.reset();
  for (const auto& pair : group.pairs) {
    if (!pair.lag_seconds) {
      group.lag_seconds.reset();
      return;
    }
    group.lag_seconds = std::max(group.lag_seconds.value_or(0), *pair.lag_seconds);
  }
}

} // namespace rc::agent
