// SPDX-License-Identifier: GPL-2.0-or-later
// A copyset: groups of several hosts that share checkpoints (docs/copyset.md). Its table, which one registrar
// changes by compare-and-swap, and what its seats say to each other, as plain values. Papers: seeds/002,
// Figs. 3 to 3D (masters, rendezvous, configuration tables), claims on update in progress.
#pragma once

#include "format/lineage.hpp"

#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace rc::format {

// One group at one site: the primary of the group, or a copy of it. One node holds it.
struct Seat {
  std::string group;
  std::string site;
  auto operator<=>(const Seat&) const = default;
};
inline std::string to_string(const Seat& seat) { return seat.group + "@" + seat.site; }

// Which groups make an image whole, from an epoch on.
struct Membership {
  Epoch since{};
  std::vector<std::string> groups;
  bool operator==(const Membership&) const = default;
};

// What the registrar keeps and every seat stores (the newest it has heard of) before it acts on it.
struct CopysetTable {
  std::string name;
  Epoch epoch{}; // 0: no table
  Seat registrar;
  std::vector<Seat> seats;
  std::vector<Seat> masters;           // one for each site that has seats
  std::vector<Membership> memberships; // oldest first, by `since`; never empty
  bool operator==(const CopysetTable&) const = default;
};

// A master's term: a seat that has promised one refuses every lower one. It dies with the master's process,
// so `id` is random.
struct Term {
  std::uint64_t number = 0;
  std::uint64_t id = 0;
  auto operator<=>(const Term&) const = default;
};

// Checkpoints first..last, one after the other, are held and durable in a journal. `epoch`: under which their
// markers were put.
struct HeldRange {
  Era first{};
  Era last{};
  Epoch epoch{};
  bool operator==(const HeldRange&) const = default;
};

// master -> primary seats of its site; said again until it is answered.
struct CheckpointOrder {
  enum class Step : std::uint8_t {
    Ask = 0,  // promise the term, say where you are
    Mark = 1, // put marker n and hold what completes later, at most max_hold_us
    Lift = 2, // all have marked n: lift the hold
  };
  Term term;
  Step step = Step::Ask;
  Era n{};
  std::uint64_t max_hold_us = 0; // 0: the only member, marker and verdict in one step
};

// primary seat -> master: answer, and by itself when something changed.
struct CheckpointReport {
  Term promised;
  bool running = false;  // a stream runs
  Era era{};             // lowest number that it would mark
  Era marked{};          // last marker of its life, 0 none
  bool holding = false;  // ... and its hold stands
  bool held = false;     // ... and ended by the order, not by itself
  bool awaiting = false; // its lineage entry is stored; it may not write before the master says Promote
  LineageEntry entry;    // newest
};

// A takeover of the site, step by step; each only when all seats have reported the one before.
struct TakeoverOrder {
  enum class Step : std::uint8_t {
    Close = 1,   // store that a takeover has begun, close the stream: what comes later doesn't count
    Lineage = 2, // the image stands at entry.base everywhere: store the entry
    Promote = 3, // all have stored it: hosts may write
    GiveUp = 4,  // a copy has lost its image, no seat has stored the entry: back to being copies
  };
  Step step = Step::Close;
  LineageEntry entry; // base: from Lineage on
  bool operator==(const TakeoverOrder&) const = default;
};

// For copies of a sync site (docs/copyset.md, "Sync"). Lease rounds: all stamp round r by their own clocks,
// then all challenge their sources, and when all sources have answered every lease stands until lease_ns
// after its own stamp. A sync term is named by the checkpoint on which the site became current.
struct SyncOrder {
  std::uint64_t lease_ns = 0;  // the shortest that any copy of the site is configured for; 0: no sync
  std::uint64_t stamp = 0;     // begin round r: note the time, tell nobody yet
  std::uint64_t challenge = 0; // all have stamped r: challenge the source
  std::uint64_t renew = 0;     // all sources have answered r
  Era current{};               // all sources wait, all copies have completed it: store that this term began
  Era confirmed{};             // all have stored it: the site is current
  Era shut{};                  // this term and all before it are over: close the stream, durably
  Era all_shut{};              // all have: sources may go on alone
  Era seal{};                  // apply what was journaled in this term, up to the close
  Era reopen{};                // all images are beyond the close: forget the term
  bool operator==(const SyncOrder&) const = default;
};

// The answer of a copy. `since`, `shut` of a term that it had stored, and `passed` are on stable storage.
struct SyncReport {
  std::uint64_t lease_ns = 0; // configured; 0: async
  std::uint64_t stamped = 0;
  std::uint64_t answered = 0; // by its source
  Era ready{};                // its source waits for acknowledgements since before this checkpoint; 0: no
  Era since{};                // the term that it has stored; 0: none
  Era shut{};                 // of this term and all before it nothing more is accepted
  bool passed = false;        // the image holds all that counts for the term's seal
  bool operator==(const SyncReport&) const = default;
};

// master -> copies of its site; said again until the reports show that it is done.
struct RendezvousOrder {
  Term term;
  Era release{}; // all have it: store release n and apply it. 0: none
  Era reset{};   // all have completed it: reset update in progress
  // To an ending copy: nothing above was or will be released from what it has reported.
  std::optional<Era> discard;
  std::optional<TakeoverOrder> takeover;
  SyncOrder sync;
};

// copy -> master: answer, and by itself when something changed. All of it is on stable storage.
struct RendezvousReport {
  Term promised;
  std::vector<HeldRange> held; // ascending, above `complete`
  Era released{};              // stored release, or what is complete
  Era complete{};              // the image; 0: none
  bool image = false;          // restartable (after redo)
  bool ending = false;         // its stream has ended: a resync would discard what it holds beyond `complete`
  bool closed = false;         // a takeover's Close is stored, and all that counts is durable
  std::optional<LineageEntry> takeover;
  std::uint64_t newest_generation = 0; // that it has heard of
  bool awaiting = false;               // the entry of the takeover is stored
  LineageEntry entry;                  // newest of its image (awaiting: of the takeover)
  SyncReport sync;
};

// Any seat -> one that is behind.
struct TableMessage {
  CopysetTable table;
};
// Any seat -> registrar: make `table` the next one if `expected` is the newest. The answer is a TableMessage.
struct SwapMessage {
  Epoch expected{};
  CopysetTable table;
};

struct CopysetMessage {
  Seat from;
  Seat to;
  Epoch epoch{}; // of the sender's table: who is behind hears a TableMessage instead of an answer
  std::variant<CheckpointOrder, CheckpointReport, RendezvousOrder, RendezvousReport, TableMessage,
               SwapMessage>
      body;
};

} // namespace rc::format
