// SPDX-License-Identifier: GPL-2.0-or-later
// What a Source and a Target tell about themselves, as plain values for rcctl, metrics and the inventory.
// Totals only grow within one life; whoever shows rates subtracts two readings. Times are ns, sizes bytes.
#pragma once

#include "core/pair_state.hpp"
#include "core/source_events.hpp"

namespace rc::core {

enum class SyncPhase {
  Off,         // an async link, or a sync link that has not caught up
  Waiting,     // writes wait for this link; the checkpoint that makes it current is on its way
  Current,     // the copy is current: its seal loses nothing
  Withholding, // acknowledgements stall: challenges are not answered, the deadline comes nearer
  Alone,       // writes complete alone
  Stopped,     // fence=stop: writes wait, and fail after the deadline
};
const char* to_string(SyncPhase phase);

struct LinkStatus {
  LinkSlot link = 0;
  std::string peer;
  std::string site;
  LinkMode mode = LinkMode::Async;
  bool connected = false;
  bool attached = false; // in the minimum that frees the ring
  PairState state = PairState::Simplex;
  std::string reason;
  std::string next_action;
  SyncPhase sync = SyncPhase::Off;
  Seq sent = 0;
  Seq durable = 0;
  Era complete{};                  // last checkpoint that is the copy's image
  std::uint64_t image_time_ns = 0; // stamp of the last checkpoint that a takeover there would show; 0: none
  std::uint64_t lag_ns = 0;    // how much work a takeover there would lose, in time; 0 when current or idle
  std::uint64_t lag_bytes = 0; // ... in bytes written since (a lower bound when lag_at_least)
  bool lag_at_least = false;   // the copy was away: at least so much
  std::uint64_t backlog_bytes = 0; // captured and not durable there
  bool from_spill = false;
  std::uint64_t sent_bytes = 0;
  std::uint64_t durable_bytes = 0;
  std::uint64_t copy_total_bytes = 0; // of the resync under way
  std::uint64_t copy_done_bytes = 0;  // durable there
  std::uint64_t peer_journal_used = 0;
  std::uint64_t peer_journal_bytes = 0;
  std::uint64_t resyncs = 0;      // since start
  std::uint64_t resync_bytes = 0; // copied in all of them
};

struct SourceStatus {
  std::string state; // "waiting for confirmation", "starting", "running", "lost", "stale"
  std::string reason;
  std::string next_action;
  StreamId stream{};
  std::vector<format::LineageEntry> lineage;
  Era era{};
  bool alone = false;
  Era alone_since{};
  Seq read = 0;
  Seq written = 0;
  Seq freed = 0;
  std::uint64_t captured_bytes = 0; // data of host writes
  std::uint64_t captured_records = 0;
  std::uint64_t ring_used = 0;
  std::uint64_t ring_bytes = 0;
  bool spilling = false;
  std::uint64_t spill_used = 0;
  std::uint64_t spill_bytes = 0;
  std::uint64_t checkpoints = 0;
  std::uint64_t overflows = 0;
  std::vector<LinkStatus> links;
};

struct TargetStatus {
  PairState state = PairState::Simplex;
  std::string reason;
  std::string next_action;
  bool connected = false;
  StreamId stream{};
  Seq received = 0;
  Seq durable = 0;
  format::Position position;
  std::uint64_t image_time_ns = 0;    // stamp of the image that is in the copy
  std::uint64_t takeover_time_ns = 0; // stamp of the newest data that a takeover here would show
  Era takeover_checkpoint{};          // the last whole checkpoint in it; Era{}: no image
  bool restartable = false;           // an image exists (or will exist after redo)
  bool current = false;               // now: nothing is lost by a takeover
  bool was_current = false;           // current up to current_until_ns (real time), loss after it is unknown
  std::uint64_t current_until_ns = 0;
  bool update_in_progress = false;
  bool draft = false;
  bool draft_in_place = false;
  std::uint64_t draft_bytes = 0;
  std::uint64_t received_bytes = 0;
  std::uint64_t applied_bytes = 0; // journal bytes that became part of an image
  std::uint64_t journal_used = 0;
  std::uint64_t journal_bytes = 0;
  std::uint64_t releases = 0;
  bool taking_over = false;
  std::string takeover_step;
};

} // namespace rc::core
