// SPDX-License-Identifier: GPL-2.0-or-later
// A copy of one group: receives one source's stream into the journal, makes images of it, takes over. Pure:
// events in, actions out. What it shows to a host is always the last complete image (never a live state).
//
// Invariants (check_invariants): reported durable <= durable <= received; a release lies wholly in the
// durable journal and is stored before anything of it is applied; position changes only when an apply is
// complete.
//
// A restart is a new Target(config, state, recovered journal): the recovered part is whole and durable, in
// order.
#pragma once

#include "core/lease.hpp"
#include "core/status.hpp"
#include "core/target_events.hpp"

#include <memory>

namespace rc::core {

struct TargetConfig {
  std::string group;
  std::string site;                          // this one
  std::string source;                        // node name of the source, for words
  LinkSlot link = 0;                         // this link's slot at the source: the bit of its copy records
  std::vector<std::uint64_t> volume_sectors; // by number, 0: none
  std::uint64_t lease_ns = 0;                // sync: lease_for(ack_timeout_ms); 0: async
  bool in_place_allowed = false; // for every resync, not only for those of which the source says so
  std::string node;              // this one, for words
  bool copyset = false; // of several groups: a Copyset says what is released, when update in progress is
                        // reset, and leads a takeover
};

struct RecoveredJournal {
  JournalIndex index; // of everything durable
  JournalSpace space;
};

class Target {
public:
  Target(TargetConfig config, format::GroupState state, RecoveredJournal journal);
  ~Target();
  Target(Target&&) noexcept;
  Target& operator=(Target&&) noexcept;

  target::Actions step(const target::Event& event, Now now);
  TargetStatus status(Now now) const;
  void check_invariants() const; // asserts
  const format::GroupState& state() const;

private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

} // namespace rc::core
