// SPDX-License-Identifier: GPL-2.0-or-later
// What a node must still know about a group after a power cut, besides the records: kept in the two-slot
// superblock of the group's journal (docs/journal.md), at the primary and at every copy. Written whole,
// atomically, with a serial number; the newest valid slot counts. Losing the SQLite inventory never loses any
// of this.
#pragma once

#include "format/copyset.hpp"
#include "format/extent.hpp"

#include <optional>

namespace rc::format {

enum class Role : std::uint8_t { Secondary = 0, Primary = 1 };

// One stream's stretch of records in the journal, contiguous in seq. The last one may be growing.
struct Segment {
  StreamId stream{};
  Seq first = 0;                // first seq in the journal
  std::uint64_t first_slot = 0; // its place in the control area, counted without wrap
  std::uint64_t first_data = 0; // its place in the data area, counted without wrap
  bool operator==(const Segment&) const = default;
};

// The stored decision to release: everything in the journal through `last` becomes the image.
struct Release {
  StreamId stream{};
  Seq last = 0;              // through this record
  Era checkpoint{};          // the image is this checkpoint (of a seal: the last whole one in it)
  bool seal = false;         // ...and all the journal holds beyond it
  std::uint64_t time_ns = 0; // stamp of the checkpoint's marker
  bool operator==(const Release&) const = default;
};

// A resync gathers in the journal; nothing may be released before a held checkpoint that follows its end of
// copying.
struct Draft {
  std::vector<LineageEntry> source_lineage;
  Era agreed{};
  bool full = false;
  std::optional<Era> broken_at; // era of the stream when its feed was last seen to end
  // In place: no image to protect (or told so): records are applied as they come, update in progress stands
  // from the first byte to the end. What was applied is trimmed from the journal and stays here: copied
  // extents, merged.
  bool in_place = false;
  std::vector<Extent> shipped;
  Seq from = 0;        // where the stream that feeds it was attached
  bool copied = false; // in place: its end of copying was applied
  bool operator==(const Draft&) const = default;
};

struct GroupState {
  Role role = Role::Secondary;
  Position position;                       // changes only when an apply is complete
  std::uint64_t applied_time_ns = 0;       // stamp of that checkpoint's marker, for people
  std::vector<VolumeNumber> image_volumes; // that the image holds
  std::optional<Release> release;          // stored before update in progress is set; cleared after complete
  std::optional<Draft> draft;
  std::vector<LineageEntry> source_lineage; // lineage that the stream being received belongs to
  std::vector<Segment> segments;            // oldest first
  Epoch epoch{};
  StreamId current{};  // stream for which this copy is current, or 0
  Era current_since{}; // the checkpoint on which it became current
  // Of a site of several copies: the image holds the seal of the term that began with it, from a stream that
  // has ended. 0: none, or all copies are beyond it.
  Era sealed_since{};
  StreamId closed{};  // stream that was closed (lease end, takeover) ...
  Seq closed_at = 0;  // ... records above this seq do not count for its seal
  bool alone = false; // primary: completed sync writes alone since alone_since
  Era alone_since{};
  // Was decided here and is not complete: goes on after a restart. With role primary: the entry is stored,
  // the word that all seats of the site have stored it is awaited.
  std::optional<LineageEntry> takeover;
  bool confirmed = false;            // primary: this generation was confirmed (peer or --force) in this life
  std::optional<CopysetTable> table; // of the copyset of several groups that this one belongs to
  bool operator==(const GroupState&) const = default;
};

} // namespace rc::format
