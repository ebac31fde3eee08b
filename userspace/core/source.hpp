// SPDX-License-Identifier: GPL-2.0-or-later
// The source of one group: the node whose volumes are primary, with all its links. Pure: events in, actions
// out; the same events give the same actions. One stream at a time; all links carry the same records in the
// same order.
//
// The chain, asserted by check_invariants() after every step in tests:
//   durable_remote <= sent <= read (each link), freed <= min(written, min over attached links of
//   max(durable_remote, durable_spill)), with a current sync site sent(async) <= acked(sync).
//
// A restart is a new Source(config, state, recovered spill): whatever was not stored is asked again (ring,
// peers).
#pragma once

#include "core/source_events.hpp"
#include "core/status.hpp"

#include <memory>

namespace rc::core {

struct SourceConfig {
  std::string group;
  std::string site;
  std::vector<std::uint64_t> volume_sectors; // by number, 0: none
  std::uint64_t checkpoint_interval_ms = 1000;
  Fence fence = Fence::Go;
  bool throttle = false; // a full ring lets the application wait while the slowest link is up (on_full)
  bool copyset = false;  // of several groups: a Copyset makes the checkpoints and promotes
  std::uint64_t drain_ms = 5000; // after an overflow: how long links may still fetch the old stream
  std::vector<LinkConfig> links;
};

// What recovery found in this node's journal: one stretch of one stream, [first, last], all durable and
// whole.
struct RecoveredSpill {
  StreamId stream{}; // 0: empty
  Seq first = 0;
  Seq last = 0;
  std::uint64_t capacity_bytes = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t capacity_slots = 0;
  std::uint64_t used_slots = 0;
};

class Source {
public:
  Source(SourceConfig config, format::GroupState state, RecoveredSpill spill);
  ~Source();
  Source(Source&&) noexcept;
  Source& operator=(Source&&) noexcept;

  source::Actions step(const source::Event& event, Now now);
  SourceStatus status(Now now) const;
  void check_invariants() const; // asserts
  const format::GroupState& state() const;

private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

} // namespace rc::core
