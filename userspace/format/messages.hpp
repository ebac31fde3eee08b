// SPDX-License-Identifier: GPL-2.0-or-later
// What two nodes say to each other about one group on a link, as plain values. Records travel in their own
// binary frames (RecordsMessage); the rest is small and rare and is coded as CBOR (messages_cbor.hpp,
// docs/wire.md). "source": the node whose volumes are primary. "target": the node that holds a copy of them.
// A target trusts a message only after `epoch` and `stream` were checked (docs/design.md section 5).
#pragma once

#include "format/extent.hpp"
#include "format/lineage.hpp"
#include "format/record.hpp"

#include <memory>
#include <optional>
#include <variant>

namespace rc::format {

// A broken resync that the target kept in its journal (design.md section 6, draft).
struct DraftInfo {
  std::vector<LineageEntry> source_lineage;
  Era agreed{};    // c, when the set was reckoned
  Era broken_at{}; // era of the stream at the break: regions open or with era >= this go again
  std::vector<Extent> shipped;
  Seq from = 0; // where the stream was attached that feeds it: names the resync it belongs to
  bool operator==(const DraftInfo&) const = default;
};

// target -> source, first message after the link is up (and after each reconnect): where the copy stands.
// When stream != 0 the target holds that stream contiguously up to `durable` and would go on from there.
struct HelloMessage {
  Epoch epoch{};
  Position position;
  StreamId stream{};
  Seq durable = 0;
  bool current = false; // it calls itself current for that stream
  bool update_in_progress = false;
  bool closed =
      false; // ... but that stream was closed at closed_at: only records up to it count for the seal
  Seq closed_at = 0;
  std::optional<DraftInfo> draft;
  std::vector<std::uint64_t>
      volume_sectors;                      // by volume number (0: no such volume), compared with the source's
  std::vector<VolumeNumber> image_volumes; // volumes that the image holds; others need a full copy
};

// source -> target, answer to Hello. Go on with the stream at `from` (= durable + 1): nothing to resync.
struct ResumeMessage {
  Epoch epoch{};
  StreamId stream{};
  Seq from = 0;
};

// source -> target, answer to Hello when the gap is nowhere stored: resync by delta. The target ends its old
// stream first (seals or rolls forward), then answers with ResyncReady; position may have changed by that.
struct ResyncMessage {
  Epoch epoch{};
  std::vector<LineageEntry> source_lineage;
};

// target -> source: its old stream is ended; its own map beyond `agreed`'s candidate is in `dirty` (all
// extents that are open or newer than the agreed point, reckoned by the target from the lineages).
struct ResyncReadyMessage {
  Position position;
  Era agreed{};      // c by the target's reckoning; the source checks that it reckons the same
  bool full = false; // no common entry: everything
  std::vector<Extent> dirty;
  std::optional<DraftInfo> draft; // still usable draft (same source lineage, same c)
  std::vector<VolumeNumber> image_volumes;
};

// source -> target: the new stream begins with seq `from`; a draft starts (or continues when `keep_draft`).
struct AttachMessage {
  Epoch epoch{};
  StreamId stream{};
  Seq from = 0;
  std::vector<LineageEntry> source_lineage;
  Era agreed{};
  bool full = false;
  bool keep_draft = false;
  std::vector<Extent> go_again; // leave the draft's shipped set (design.md section 6)
  std::uint64_t copy_bytes = 0; // forecast, for the target's space check and for people
  bool in_place = false;        // what the target's journal can't gather may be applied in place (by command)
};

// Records of one stream, contiguous in seq. `data`: the bytes of all records with data, one after the other.
// Shared so that journal, checks and network never copy it; immutable.
struct RecordsMessage {
  StreamId stream{};
  std::vector<Record> records;
  std::shared_ptr<const Bytes> data; // null in simulations
};

// target -> source: watermarks; also the answer to nothing (sent when something advanced, and as keep-alive).
struct WatermarksMessage {
  StreamId stream{};
  Seq durable = 0;                      // all up to it are on stable storage of the target's journal
  Era released{};                       // last stored release
  Era complete{};                       // last complete checkpoint: in the copy
  std::uint64_t complete_time_ns = 0;   // stamp of its marker
  std::uint64_t journal_used = 0;       // bytes of the data area
  std::uint64_t journal_bytes = 0;      // its size
  std::uint64_t journal_slots_used = 0; // records in the control area
  std::uint64_t journal_slots = 0;      // its size
  bool draft_complete = true;           // false while the image waits for an end of copying
  bool in_place = false;                // the copy has no image: a resync is being applied in place
};

// target -> source, answered at once with the same number: the lease of a sync site (design.md section 5,
// freeze). The target accepts records until lease_ns after it SENT the last challenge that was answered.
struct ChallengeMessage {
  StreamId stream{};
  std::uint64_t number = 0;
  std::uint64_t lease_ns = 0;
};
struct ChallengeAnswerMessage {
  StreamId stream{};
  std::uint64_t number = 0;
};

// source -> target: from checkpoint `since` on (complete at the target) every completed write is in its
// journal.
struct CurrentMessage {
  StreamId stream{};
  Era since{};
};
// target -> source: it is stored; from now a takeover applies the seal.
struct CurrentStoredMessage {
  StreamId stream{};
};
// either way: the target's copy is not (no longer) current for this stream. target -> source: closed at
// `closed_at`, durably; at a site of several copies all of them have closed what began up to checkpoint
// `through`.
struct NotCurrentMessage {
  StreamId stream{};
  Seq closed_at = 0;
  std::string reason;
  Era through = Era::open();
};

// source -> target, answer to Hello and whenever asked: which generation the source holds, so that a
// returning primary (or a stale one) is found out. target -> source: likewise, when it refuses.
struct GenerationMessage {
  std::vector<LineageEntry> lineage;
  bool primary = false; // this node's volumes accept host writes in that generation
};

// Either way: refused, in words; the group's traffic on this link stops until the next Hello.
struct RefusedMessage {
  std::string reason;
  std::string next_action;
  bool suspended = false; // source -> target: no failure; the pair is suspended at the source for that reason
};

using GroupMessage =
    std::variant<HelloMessage, ResumeMessage, ResyncMessage, ResyncReadyMessage, AttachMessage,
                 RecordsMessage, WatermarksMessage, ChallengeMessage, ChallengeAnswerMessage, CurrentMessage,
                 CurrentStoredMessage, NotCurrentMessage, GenerationMessage, RefusedMessage>;

} // namespace rc::format
