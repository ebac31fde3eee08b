// SPDX-License-Identifier: GPL-2.0-or-later
// What a Source tells about itself. Decides nothing.
#include "core/source_parts.hpp"

#include <algorithm>

namespace rc::core {

const char* to_string(SyncPhase phase) {
  switch (phase) {
  case SyncPhase::Off:
    return "off";
  case SyncPhase::Waiting:
    return "waiting";
  case SyncPhase::Current:
    return "current";
  case SyncPhase::Withholding:
    return "withholding";
  case SyncPhase::Alone:
    return "alone";
  case SyncPhase::Stopped:
    return "stopped";
  }
  return "?";
}

LinkStatus Source::Parts::link_status(const Link& link) const {
  LinkStatus s;
  s.link = link.config.link;
  s.peer = link.config.peer;
  s.site = link.config.site;
  s.mode = link.config.mode;
  s.connected = link.connected();
  s.attached = link.attached;
  s.state = link.pair.state();
  s.reason = link.pair.reason();
  s.next_action = link.pair.next_action();
  if (link.config.mode == LinkMode::Sync)
    switch (sync.phase) {
    case Sync::Phase::Off:
      s.sync = SyncPhase::Off;
      break;
    case Sync::Phase::Resuming:
    case Sync::Phase::Waiting:
      s.sync = sync.withholding ? SyncPhase::Withholding : SyncPhase::Waiting;
      break;
    case Sync::Phase::Current:
      s.sync = writes_fail()      ? SyncPhase::Stopped
               : sync.withholding ? SyncPhase::Withholding
                                  : SyncPhase::Current;
      break;
    case Sync::Phase::Stopped:
      s.sync = SyncPhase::Stopped;
      break;
    case Sync::Phase::Alone:
      s.sync = SyncPhase::Alone;
      break;
    }
  if (s.sync == SyncPhase::Stopped) {
    s.reason = "writes wait, and fail after the deadline: no copy is current (fence=stop). " + s.reason;
    s.next_action = "repair the link or the copy, or let writes go on without it: rcctl group set " +
                    config.group + " --fence go";
  }
  s.sent = link.sent;
  s.durable = link.durable;
  s.complete = link.complete;
  s.from_spill = link.attached && link.sent < ring.freed();
  s.sent_bytes = link.sent_bytes;
  s.durable_bytes = link.durable_bytes;
  s.peer_journal_used = link.journal_used;
  s.peer_journal_bytes = link.journal_bytes;
  s.resyncs = link.resyncs;
  s.resync_bytes = link.resync_bytes;
  if (link.resync) {
    s.copy_total_bytes = link.resync->total_bytes;
    s.copy_done_bytes = std::min(link.resync->done_bytes, link.resync->total_bytes);
  }
  if (link.attached)
    s.backlog_bytes = ring.knows(link.durable) ? ring.bytes(link.durable, ring.read(), false)
                                               : spill.space.used_bytes + ring.used_bytes();
  s.image_time_ns = link.image ? link.image->time_ns : link.complete_time_ns;
  if (sync.phase == Sync::Phase::Current && &link == sync_link()) {
    s.image_time_ns = now.real_ns;
  } else if (link.image) {
    const bool idle = last_write <= link.image->marker; // nothing was written since
    s.lag_bytes = captured_bytes - link.image->host_bytes;
    s.lag_ns = idle || now.real_ns < link.image->time_ns ? 0 : now.real_ns - link.image->time_ns;
  } else {
    s.lag_bytes = captured_bytes;
    s.lag_at_least = true;
    s.lag_ns = s.image_time_ns == 0 || now.real_ns < s.image_time_ns ? 0 : now.real_ns - s.image_time_ns;
  }
  return s;
}

SourceStatus Source::Parts::status() const {
  SourceStatus s;
  switch (life) {
  case Life::New:
  case Life::Loading:
  case Life::Attaching:
  case Life::Starting:
    s.state = "starting";
    break;
  case Life::Unconfirmed:
    s.state = "waiting for confirmation";
    break;
  case Life::Running:
    s.state = "running";
    break;
  case Life::Lost:
    s.state = "lost";
    break;
  case Life::Stale:
    s.state = "stale";
    break;
  }
  s.reason = life_reason;
  s.next_action = life_next;
  if (const Link* slow = throttled && s.reason.empty() ? slowest() : nullptr) {
    s.reason = "the application waits for room in the ring: " + slow->config.peer +
               " takes records more slowly "
               "than it writes";
    s.next_action = "none; a faster link or a larger ring lets it write faster";
  }
  s.stream = ring.stream();
  s.lineage = state.position.lineage;
  s.era = era;
  s.alone = state.alone;
  s.alone_since = state.alone_since;
  s.read = ring.read();
  s.written = ring.written();
  s.freed = ring.freed();
  s.captured_bytes = captured_bytes;
  s.captured_records = captured_records;
  s.ring_used = ring.used_bytes();
  s.ring_bytes = ring.data_bytes();
  s.spilling = spill.active;
  s.spill_used = spill.space.used_bytes;
  s.spill_bytes = spill.space.capacity_bytes;
  s.checkpoints = history.count();
  s.overflows = overflows;
  for (const auto& [slot, link] : links)
    s.links.push_back(link_status(link));
  return s;
}

} // namespace rc::core
