// SPDX-License-Identifier: GPL-2.0-or-later
// What happens to a Source (events) and what it wants done (actions), as plain data.
//
// How to execute actions: in the order of the list, one list after the other. StoreState is a barrier: it
// must be on stable storage before any later action of this list or of a later list is begun (events may be
// stepped meanwhile; their actions queue behind it). Everything else is begun in order and may end whenever
// it likes; what has an answer comes back as the event named in its comment. An action whose answer never
// comes (the process died) is never assumed to have happened.
#pragma once

#include "core/copyset_events.hpp"
#include "core/journal_change.hpp"
#include "format/group_state.hpp"
#include "format/messages.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace rc::core {

// A link's slot: 0..30, its bit in a record's tag. The same slot for the same peer for ever.
using LinkSlot = std::uint8_t;
constexpr std::uint32_t tag_of(LinkSlot link) { return 1U << link; }

enum class LinkMode : std::uint8_t { Async = 0, Sync = 1 };
enum class Fence : std::uint8_t { Go = 0, Stop = 1 };

struct LinkConfig {
  LinkSlot link = 0;
  std::string peer; // node name, for words
  std::string site;
  LinkMode mode = LinkMode::Async;
  std::uint64_t window_bytes = 8 << 20; // most that is sent and not durable
  std::uint64_t ack_timeout_ms = 5000;  // sync: longest wait of a write; bounds lease + margin
};

// ---------------------------------------------------------------------------------------------------------
namespace source {

// Once, first. `volumes_live`: the group's volumes are loaded with role primary (the agent restarted, the
// host did not).
struct Started {
  bool volumes_live = false;
  bool took_over = false; // this start ends a takeover, whose command confirmed the generation
};

// Answer to LoadVolumes.
struct VolumesLoaded {
  bool ok = true;
  std::string error;
};

// Answer to AttachRing: the file is attached; also what DMRC_IOC_STATE says. The agent reads records from
// freed + 1 on and hands them over again: the Source has forgotten everything that was not stored.
struct RingAttached {
  StreamId stream{}; // that runs or that a loss has ended (lost_at); 0: none
  Seq freed = 0;
  Seq reserved = 0; // highest seq given out; without a stream what is beyond `freed` is of no use to anybody
  Seq acked = 0;
  Era era{};
  std::uint64_t lost_at = 0; // the stream ended by overflow at this seq
  bool sync_wait = false;    // writes wait for acknowledgements
  bool alone = false;
  Era alone_since{};
  std::uint64_t alone_after_ns = 0; // with sync_wait: the kernel's deadline
  std::uint64_t data_bytes = 0;     // size of the data ring
  std::uint64_t slots = 0;          // control slots, a power of two
  std::uint32_t copy_slots = 0;
  std::uint32_t copy_slot_bytes = 0;
  std::uint32_t region_sectors = 0;
};

// Answer to StartStream.
struct StreamStarted {
  StreamId stream{}; // 0: it did not work
  Era era{};
  std::string error;
};

// New records, in order, without gap, headers sealed (CRCs filled). The span is only read during step().
// A loss record is the last of its stream.
struct RecordsCommitted {
  StreamId stream{};
  std::span<const format::Record> records;
};

// DMRC_IOC_STATE, read whenever records were handed over and at least every 50 ms while records wait.
struct RingProgress {
  Seq written = 0; // all up to it ended on the backing devices
  bool alone = false;
  Era alone_since{};
  bool throttled = false; // writes wait for room in the ring, or did a moment ago
};

// Answer to PutCheckpoint. `error` not empty: it could not be put (no room, no stream); tried again by the
// clock.
struct CheckpointPut {
  Era checkpoint{};
  Seq marker_seq = 0;
  std::uint64_t time_ns = 0;
  std::string error;
};

// Answer to SetSync.
struct SyncSwitched {
  bool wait = false;
  Seq since_seq = 0; // writes with a higher seq wait
};

// Answer to ReckonDirty: extents open or with an era > since.
struct Reckoned {
  LinkSlot link = 0;
  std::uint64_t ticket = 0;
  std::vector<format::Extent> dirty;
};

// Answer to CopyRegion only when it was refused (no slot free, volume suspended); otherwise the copy record
// is the answer.
struct CopyRefused {
  LinkSlot link = 0;
  VolumeNumber volume = 0;
  std::uint64_t sector = 0;
  std::uint64_t sectors = 0;
};

// Answer to PutEndOfCopying only when it could not be put; else the record is the answer.
struct EndOfCopyingRefused {
  LinkSlot link = 0;
  std::string error;
};

// Spilled records up to it are on stable storage in this node's journal.
struct SpillDurable {
  StreamId stream{};
  Seq seq = 0;
  std::uint64_t used_bytes = 0; // of the data area
  std::uint64_t capacity_bytes = 0;
  std::uint64_t used_slots = 0;
  std::uint64_t capacity_slots = 0;
};
struct SpillFailed {
  std::string error; // in words
  bool full = false; // no room: the journal itself is sound
};

// After SendRecords with from == Spill: what was really read and queued (at most max_bytes, at least one
// record).
struct SentFromSpill {
  LinkSlot link = 0;
  Seq first = 0;
  Seq last = 0;
  std::uint64_t bytes = 0;
};

struct LinkUp {
  LinkSlot link = 0;
};
struct LinkDown {
  LinkSlot link = 0;
  std::string reason;
};
// Anything the target said, in order. RecordsMessage never comes this way.
struct MessageArrived {
  LinkSlot link = 0;
  format::GroupMessage message;
};

// Commands.
struct LinkAdded {
  LinkConfig config; // of an existing slot: its settings changed (mode, window, time-out)
};
struct SettingsChanged { // of the group; a link's come with LinkAdded
  std::uint64_t checkpoint_interval_ms = 1000;
  bool throttle = false;
  Fence fence = Fence::Go;
};
struct LinkRemoved {
  LinkSlot link = 0;
};
struct SuspendRequested {
  LinkSlot link = 0;
  std::string reason;
};
struct ResumeRequested {
  LinkSlot link = 0;
};
// The backlog is given up: the next greeting leads to a delta. Nothing happens to a link that is suspended by
// command or already copies.
struct ResyncRequested {
  LinkSlot link = 0;
  bool in_place = false; // of this resync: what the copy's journal can't gather may be applied in place
};
struct ForceConfirmed {}; // --force: the operator says that no newer generation exists
// What the other nodes said about a primary that has no pair, and so no copy that it could ask by itself.
struct NodesAsked {
  bool vouched = false; // no newer generation is known: go on
  std::string what;     // in words: who said so, or what is missing
  std::string next_action;
};
struct VolumesChanged { // by number, 0: none; a volume that the peers' images do not hold is copied whole
  std::vector<std::uint64_t> volume_sectors;
};

// Of a group that belongs to a copyset of several: the copyset's actions (copyset_events.hpp).
struct TableChanged { // StoreTable; the first one makes the group one of a copyset
  format::CopysetTable table;
};
struct PromoteOrdered { // OrderPromote: all seats of the site have stored the lineage entry
  std::uint64_t id = 0; // of the entry
};

struct Tick {}; // at least every 50 ms

using Event =
    std::variant<Started, VolumesLoaded, RingAttached, StreamStarted, RecordsCommitted, RingProgress,
                 CheckpointPut, SyncSwitched, Reckoned, CopyRefused, EndOfCopyingRefused, SpillDurable,
                 SpillFailed, SentFromSpill, LinkUp, LinkDown, MessageArrived, LinkAdded, SettingsChanged,
                 LinkRemoved, SuspendRequested, ResumeRequested, ResyncRequested, ForceConfirmed, NodesAsked,
                 VolumesChanged, TableChanged, PromoteOrdered, Tick>;

// ---------------------------------------------------------------------------------------------------------
// Actions

// Write the state into the journal's superblock. BARRIER: stable before anything later is begun. `segments`
// is left empty: the journal knows what it holds. `journal`: in the same atomic step (a spill begins with
// empty and begin).
struct StoreState {
  format::GroupState state;
  JournalChange journal;
};

// Load the group's volumes with role primary in this generation (the lineage entry is stored, the generation
// was confirmed). Answer: VolumesLoaded.
struct LoadVolumes {
  std::uint64_t generation = 0;
};

// Attach to the ring. Answer: RingAttached.
struct AttachRing {};

// DMRC_IOC_START with a random id; the ring is wholly freed. Answer: StreamStarted.
struct StartStream {};

// Raise `freed` in the consumer page. All these records are on disk here, and durable at every attached link
// or in the spill.
struct FreeRing {
  Seq freed = 0;
};

// DMRC_IOC_ACK: up to `acked` is on stable storage at the current (or waited-for) site. alone_after_ns
// (CLOCK_BOOTTIME) 0: unchanged. Comes before the answer to the challenge that it stands for, which is not
// sent when the kernel is alone by then.
struct AckRing {
  Seq acked = 0;
  std::uint64_t alone_after_ns = 0;
};

// DMRC_IOC_SYNC. Answer: SyncSwitched. Off after a close is preceded by a StoreState with `alone`.
struct SetSync {
  bool wait = false;
  Fence fence = Fence::Go;
  std::uint64_t alone_after_ns = 0;
};

// DMRC_IOC_CHECKPOINT, n = 0, no hold. Answer: CheckpointPut.
struct PutCheckpoint {};

// Send records [first, last] to the link as RecordsMessages. from Ring: all are in the ring; take the bytes
// while executing (a later FreeRing may overwrite them). from Spill: read on from `first` until max_bytes are
// queued or `last`; answer SentFromSpill. Elide the data of copy records whose tag lacks the link's bit.
struct SendRecords {
  enum class From : std::uint8_t { Ring, Spill };
  LinkSlot link = 0;
  StreamId stream{};
  Seq first = 0;
  Seq last = 0;
  From from = From::Ring;
  std::uint64_t max_bytes = 0; // Spill only
};

struct SendMessage {
  LinkSlot link = 0;
  format::GroupMessage message; // never RecordsMessage
};

// End the group's traffic on the link after what was queued before: both ends get LinkDown, and LinkUp again
// after a second or more (a Refused message before it says why); the peer's next Hello begins anew. Other
// groups of the connection go on.
struct CloseLink {
  LinkSlot link = 0;
  std::string reason;
};

// Append records [first, last] of the ring to this node's journal, contiguous with what was spilled before; a
// StoreState with journal.begin came before the first. Answer: SpillDurable (may cover several). The ring
// keeps them until then.
struct SpillRecords {
  StreamId stream{};
  Seq first = 0;
  Seq last = 0;
};

// The spill up to `through` is no longer needed. May be delayed and merged.
struct TrimSpill {
  StreamId stream{};
  Seq through = 0;
};

// DMRC_IOC_DIRTY(since) over all volumes. Answer: Reckoned with this ticket. Asked after the link was
// attached to the stream, never before.
struct ReckonDirty {
  LinkSlot link = 0;
  std::uint64_t ticket = 0;
  Era since{};
};

// DMRC_IOC_COPY with the link's bit as tag. Answer: the copy record (or a failed record with the tag), or
// CopyRefused.
struct CopyRegion {
  LinkSlot link = 0;
  VolumeNumber volume = 0;
  std::uint64_t sector = 0;
  std::uint32_t sectors = 0;
};

// DMRC_IOC_PUT end of copying with the link's bit. Answer: the record, or EndOfCopyingRefused.
struct PutEndOfCopying {
  LinkSlot link = 0;
};

// A peer holds a newer generation than this primary: stop it taking writes (fence it), tell everybody. The
// node comes back as a secondary only by command.
struct StaleGeneration {
  LinkSlot link = 0;
  std::vector<format::LineageEntry> newer;
  std::string reason;
};

// For the copyset, behind what they speak of.
struct TellCopyset {
  std::variant<copyset::SourceFacts, copyset::TableStored> what;
};

// A line for the event log; level as in base/log.hpp (3 error, 4 warning, 5 notice, 6 info).
struct Note {
  int level = 6;
  std::string text;
};

using Action = std::variant<StoreState, LoadVolumes, AttachRing, StartStream, FreeRing, AckRing, SetSync,
                            PutCheckpoint, SendRecords, SendMessage, CloseLink, SpillRecords, TrimSpill,
                            ReckonDirty, CopyRegion, PutEndOfCopying, StaleGeneration, TellCopyset, Note>;
using Actions = std::vector<Action>;

} // namespace source
} // namespace rc::core
