// SPDX-License-Identifier: GPL-2.0-or-later
// What happens to a Copyset (events) and what it wants done (actions), as plain data. Executed in order; an
// answer that never comes (the process died) is never assumed to have happened.
#pragma once

#include "core/now.hpp"
#include "format/copyset.hpp"

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace rc::core {
namespace copyset {

// Once, first. `id`: random, of this process's terms.
struct Started {
  std::uint64_t id = 0;
};

struct MessageArrived {
  format::CopysetMessage message;
};

// The seat's Source, whenever one of these changed.
struct SourceFacts {
  bool running = false; // a stream runs
  Era era{};            // that is open
  bool awaiting = false;
  format::LineageEntry entry; // newest of its lineage
  bool operator==(const SourceFacts&) const = default;
};

// Answer to PutCheckpoint. `error` not empty: it was refused; `era` is the one that is open.
struct CheckpointPut {
  Era n{};
  Era era{};
  bool holding = false;
  std::string error;
};
// Answer to LiftHold: nothing is withheld any more. `held`: the verdict; false: it had lifted itself.
struct HoldLifted {
  Era n{};
  bool held = false;
};

// The seat's Target, whenever one of these changed; all of it is on stable storage.
struct CopyFacts {
  std::vector<format::HeldRange> held;
  Era released{};
  Era complete{};
  bool image = false;
  bool ending = false;
  bool closed = false;
  std::optional<format::LineageEntry> takeover;
  std::uint64_t newest_generation = 0;
  bool awaiting = false;
  format::LineageEntry entry;
  format::SyncReport sync;
  format::Term rounds_of; // of whose rounds `sync` speaks
  bool operator==(const CopyFacts&) const = default;
};

// Answer to StoreTable.
struct TableStored {
  Epoch epoch{};
};

// Commands, at the master of the site. `id`: random, of the lineage entry.
struct TakeoverRequested {
  std::uint64_t id = 0;
};
// At any seat: the group leaves the image.
struct TakeOutRequested {
  std::string group;
};

struct Tick {}; // at least every 100 ms

using Event = std::variant<Started, MessageArrived, SourceFacts, CheckpointPut, HoldLifted, CopyFacts,
                           TableStored, TakeoverRequested, TakeOutRequested, Tick>;

// ---------------------------------------------------------------------------------------------------------
// Actions

struct Send {
  format::CopysetMessage message; // may get lost
};
// With the seat's group state, on stable storage. Answer: TableStored.
struct StoreTable {
  format::CopysetTable table;
};
// DMRC_IOC_CHECKPOINT; the Source hears the answer too. Answer: CheckpointPut.
struct PutCheckpoint {
  Era n{};
  std::uint64_t max_hold_us = 0;
  Epoch epoch{}; // goes into the marker
};
// DMRC_IOC_LIFT. Answer: HoldLifted.
struct LiftHold {
  Era n{};
};
// To the seat's Target (target::ReleaseOrdered ...), or its Source (Promote).
struct OrderRelease {
  Era n{};
};
struct OrderReset {
  Era n{};
};
// A copy whose stream ended may discard what it has beyond n.
struct OrderDiscard {
  Era n{};
};
struct OrderClose {
  format::LineageEntry entry;
};
struct OrderGiveUp {
  format::LineageEntry entry;
};
struct OrderLineage {
  format::LineageEntry entry;
};
struct OrderPromote {
  format::LineageEntry entry;
};
// To the seat's Target: every order of a sync site's master that says something.
struct OrderSync {
  format::Term term;
  format::SyncOrder order;
};
struct TakeoverRefused {
  std::string reason;
  std::string next_action;
};
struct Note {
  int level = 6;
  std::string text;
};

using Action =
    std::variant<Send, StoreTable, PutCheckpoint, LiftHold, OrderRelease, OrderReset, OrderDiscard,
                 OrderClose, OrderGiveUp, OrderLineage, OrderPromote, OrderSync, TakeoverRefused, Note>;
using Actions = std::vector<Action>;

} // namespace copyset
} // namespace rc::core
