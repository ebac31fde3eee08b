// SPDX-License-Identifier: GPL-2.0-or-later
// What happens to a Target (events) and what it wants done (actions), as plain data. Executed like those of a
// Source: in order, StoreState is a barrier (see source_events.hpp).
#pragma once

#include "core/copyset_events.hpp"
#include "core/journal_change.hpp"
#include "core/journal_index.hpp"
#include "core/now.hpp"
#include "format/group_state.hpp"
#include "format/messages.hpp"

#include <memory>
#include <variant>

namespace rc::core {
namespace target {

struct Started {}; // once, first: redoes what a power cut interrupted

struct LinkUp {};
struct LinkDown {
  std::string reason;
};

// Anything but records, in order.
struct MessageArrived {
  format::GroupMessage message;
};

// Records, their header and data CRCs checked (format::check_header, check_data); shared with the journal.
struct RecordsArrived {
  std::shared_ptr<const format::RecordsMessage> message;
};
// A frame that failed a check: nothing of it is used.
struct DamagedFrame {
  std::string reason;
};

// All appended up to (stream, seq) is on stable storage.
struct JournalDurable {
  StreamId stream{};
  Seq seq = 0;
  JournalSpace space;
};
// After a StoreState that changed the journal: room was made.
struct JournalTrimmed {
  JournalSpace space;
};
// Append, flush or trim failed: the journal takes nothing more until the agent starts anew.
struct JournalFailed {
  std::string error;
};

// Answer to ApplyRecords: written, flushed, settled, all of it.
struct Applied {
  StreamId stream{};
  Seq last = 0;
};
// Answer to ApplyRecords or SetUpdateInProgress: a disk of the copy failed. Tried again by the clock.
struct ApplyFailed {
  std::string error;
};

// Answer to ReckonOwnDirty.
struct OwnDirty {
  std::uint64_t ticket = 0;
  std::vector<format::Extent> dirty;
};

// Commands.
struct TakeoverRequested {
  std::string site;               // new primary's site: this one
  std::uint64_t id = 0;           // random, of the lineage entry; a takeover already stored keeps its own
  std::uint64_t newest_known = 0; // generation that was heard of, though this copy holds nothing of it
};
struct VolumesChanged {
  std::vector<std::uint64_t> volume_sectors;
};
struct ModeChanged {
  std::uint64_t lease_ns = 0; // 0: async
};

// Of a group that belongs to a copyset of several: the copyset's actions (copyset_events.hpp). Repeated or
// late ones do nothing.
struct ReleaseOrdered {
  Era n{};
};
struct ResetOrdered {
  Era n{};
};
struct DiscardGranted { // OrderDiscard: no checkpoint above n was released from what this copy has reported
  Era n{};
};
struct CloseOrdered {
  format::LineageEntry entry;
};
struct GiveUpOrdered {
  std::uint64_t id = 0;
};
struct LineageOrdered {
  format::LineageEntry entry;
};
struct PromoteOrdered {
  std::uint64_t id = 0;
};
struct SyncOrdered { // OrderSync
  format::Term term;
  format::SyncOrder order;
};
struct TableChanged { // the first one makes the group one of a copyset
  format::CopysetTable table;
};

struct Tick {}; // at least every 50 ms while a sync lease stands, else every second

using Event =
    std::variant<Started, LinkUp, LinkDown, MessageArrived, RecordsArrived, DamagedFrame, JournalDurable,
                 JournalTrimmed, JournalFailed, Applied, ApplyFailed, OwnDirty, TakeoverRequested,
                 VolumesChanged, ModeChanged, ReleaseOrdered, ResetOrdered, DiscardGranted, CloseOrdered,
                 GiveUpOrdered, LineageOrdered, PromoteOrdered, SyncOrdered, TableChanged, Tick>;

// ---------------------------------------------------------------------------------------------------------
// Actions

// Superblock. BARRIER: stable before anything later is begun. `segments` is left empty: the journal knows
// what it holds. `journal`: in the same atomic step. With a change: answer JournalTrimmed.
struct StoreState {
  format::GroupState state;
  JournalChange journal;
};

// Append, contiguous with what is there or the first after a StoreState with journal.begin. Answer:
// JournalDurable after the group commit. A watermark is sent only for what was reported durable.
struct AppendJournal {
  std::shared_ptr<const format::RecordsMessage> message;
};

// Persistent flag on every volume (DMRC_IOC_UPDATE): stable before ApplyRecords that follows. Cleared only
// after the state with the new position is stored.
struct SetUpdateInProgress {
  bool in_progress = false;
  Era era{};
};

// Apply all records of the journal from its beginning through (stream, last), in order, all segments: mark
// (open the regions, stable), write, flush, settle with the highest era of each region. Must complete: after
// a failure or a restart it is asked again from the beginning (redo: settle with DMRC_REGIONS_REDONE).
// Answer: Applied.
struct ApplyRecords {
  StreamId stream{};
  Seq last = 0;
  Era era{};
  bool redo = false;
};

// DMRC_IOC_DIRTY on the copy's volumes; everything: the source copies all anyhow, answer with an empty list.
// Answer: OwnDirty.
struct ReckonOwnDirty {
  std::uint64_t ticket = 0;
  Era since{};
};

struct SendMessage {
  format::GroupMessage message;
};
// End the group's traffic on the link after what was queued before: both ends get LinkDown, and LinkUp again
// after a second or more. Other groups of the connection go on.
struct CloseLink {
  std::string reason;
};

// The takeover is complete: lineage and role primary are stored. Load the volumes as primary in this
// generation, then start a Source with the state. This Target does nothing more.
struct BecomePrimary {
  std::uint64_t generation = 0;
};
struct TakeoverRefused {
  std::string reason;
  std::string next_action;
};

// For the copyset, behind what they speak of.
struct TellCopyset {
  std::variant<copyset::CopyFacts, copyset::TableStored> what;
};

struct Note {
  int level = 6;
  std::string text;
};

using Action = std::variant<StoreState, AppendJournal, SetUpdateInProgress, ApplyRecords, ReckonOwnDirty,
                            SendMessage, CloseLink, BecomePrimary, TakeoverRefused, TellCopyset, Note>;
using Actions = std::vector<Action>;

} // namespace target
} // namespace rc::core
