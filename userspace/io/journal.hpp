// SPDX-License-Identifier: GPL-2.0-or-later
// The on-disk FIFO of records of one group, with its superblock (docs/journal.md): what a target receives,
// what a source spills. Decides nothing.
//
// Invariants: what was reported durable is found again by open() after any power cut, until it is trimmed;
// open() never returns a record that was not appended. Appends and stores take effect on disk in the order in
// which they were called. Damage below what is known durable is an Error, never a silent truncation.
//
// Threads: all calls from the owner's thread, except read(), which is safe from any thread. Commits run on
// the journal's own thread, as large as what has gathered meanwhile (group commit): data, control slots, one
// flush; callbacks are posted to the owner's executor. Any failed write or flush ends the journal's life:
// `failed` is called once, every later call answers with that error.
#pragma once

#include "format/journal_layout.hpp"
#include "format/messages.hpp"
#include "io/disk.hpp"
#include "io/executor.hpp"

#include <functional>
#include <memory>
#include <optional>

namespace rc::io {

struct JournalSegment {
  StreamId stream{};
  Seq first = 0;
  Seq last = 0; // first - 1 when it holds nothing
};

struct JournalRecovery {
  format::GroupState state;             // as stored last; its segments agree with `segments`
  std::vector<JournalSegment> segments; // oldest first; read_headers() gives what is in them
  std::uint64_t checked_records = 0;    // whose data was verified
  std::uint64_t checked_bytes = 0;
  std::uint64_t dropped_records = 0; // valid headers behind the first torn record (never reported durable)
};

struct JournalTrim {
  StreamId stream{};
  Seq through = 0; // this record and all before it, older segments too
};
struct JournalSegmentStart {
  StreamId stream{};
  Seq first = 0;
};
// What happens to the stored records in the same atomic step in which a state is stored; in this order.
struct JournalChange {
  std::optional<JournalTrim> trim;
  bool empty = false;                       // drop everything
  std::optional<JournalSegmentStart> begin; // records of this stream follow
};

struct JournalUse {
  // Sizes are net of the one block that can't be used: what fits beside `used` is taken.
  std::uint64_t data_used = 0; // bytes, of data_bytes
  std::uint64_t data_bytes = 0;
  std::uint64_t slots_used = 0;
  std::uint64_t slots = 0;
  // The fuller of both areas, in bytes of the data area: what `used` means in status.
  std::uint64_t used_bytes() const;
};

struct JournalEvents {
  std::function<void(StreamId stream, Seq durable)> durable; // grows; calls are merged
  std::function<void(Error)> failed;
};

class Journal {
public:
  // Writes a new empty journal over whatever is there. Blocks.
  static Status format(Disk& disk, const format::GroupState& state, std::uint64_t journal_id);
  // Reads superblocks and records (recovery). Blocks: run it on a Worker when it may be large. NotFound: not
  // formatted. Corrupt: damage below what is known to be durable.
  static Result<std::unique_ptr<Journal>> open(std::shared_ptr<Disk> disk, Executor executor,
                                               JournalEvents events);
  virtual ~Journal() = default; // finishes the commit under way; later events are not called

  virtual const JournalRecovery& recovery() const = 0; // what open() found; does not change

  // Oldest first, without what was trimmed, with what is appended and not yet durable.
  virtual std::vector<JournalSegment> segments() const = 0;

  // Records of the newest segment's stream, contiguous with what it has. Full: no room (nothing was taken).
  // Refused: wrong stream or gap. The data is shared until it is written.
  virtual Status append(const format::RecordsMessage& records) = 0;

  // Stores the state (its `segments` are ignored: the journal knows better), together with the change. `done`
  // is posted when it is on stable storage; everything appended before is durable then too. Space of trimmed
  // records is free from then on. Refused at once: a trim beyond its end; begin of a stream before
  // the end of what it holds of that stream (after it, with a gap: a further segment). Full: the state is too
  // large.
  virtual Status store(const format::GroupState& state, const JournalChange& change,
                       std::function<void()> done) = 0;
  // Trim alone, with the state stored last. Merged and delayed until it is worth a write or room is short.
  virtual Status trim(const JournalTrim& trim) = 0;

  // The state handed to store() last (owner's thread).
  virtual const format::GroupState& state() const = 0;
  // Of the stream's newest segment: highest seq; 0 when the stream is not held.
  virtual Seq appended(StreamId stream) const = 0;
  virtual Seq durable(StreamId stream) const = 0;
  virtual JournalUse use() const = 0;
  virtual std::uint64_t journal_id() const = 0;

  // Durable records of `stream` from `from` on: at most max_bytes of data (but at least one record), at most
  // `max_records`, not beyond `through`. Headers and data are verified: Corrupt. NotFound: not (or no longer)
  // held. Any thread; blocks. Must not run beside a trim of the same records.
  virtual Result<format::RecordsMessage> read(StreamId stream, Seq from, Seq through, std::size_t max_bytes,
                                              std::size_t max_records) = 0;
  // Headers only, same rules.
  virtual Result<std::vector<format::Record>> read_headers(StreamId stream, Seq from, Seq through,
                                                           std::size_t max_records) = 0;
};

} // namespace rc::io
