// SPDX-License-Identifier: GPL-2.0-or-later
// The journal of one host as io/journal.hpp promises it: appends and stores take effect in their order, in
// group commits; what was reported durable is found again; a cut (or kill -9) leaves some prefix of what was
// under way. Holds headers only, the data lies in the ghost.
#pragma once

#include "core/journal_change.hpp"
#include "core/journal_index.hpp"
#include "format/group_state.hpp"
#include "format/messages.hpp"
#include "tests/sim/random.hpp"
#include "tests/sim/scheduler.hpp"

#include <deque>
#include <functional>
#include <memory>

namespace rc::sim {

class Journal {
public:
  using Message = std::shared_ptr<const format::RecordsMessage>;
  struct Segment {
    StreamId stream{};
    Seq first = 0;
    std::deque<format::Record> records;
    Seq last() const { return first + records.size() - 1; }
  };
  struct Listener {
    std::function<void(StreamId, Seq)> durable;
  };

  Journal(std::uint64_t data_bytes, std::uint64_t slots) : data_bytes_(data_bytes), slots_(slots) {}

  // ---- the agent's calls. begin_commit() is called by the host whenever something was added and no commit
  // runs; it says how many operations the commit takes, end_commit() makes them durable.
  // False: no room, nothing was taken.
  bool append(Message message);
  bool contiguous(const format::RecordsMessage& message) const; // with what was appended before
  void store(format::GroupState state, core::JournalChange change, std::function<void()> done);
  void trim(StreamId stream, Seq through);
  bool busy() const { return committing_ > 0; }
  bool idle() const { return pending_.empty(); }
  void begin_commit() { committing_ = pending_.size(); }
  // Makes the commit durable; returns what is to be told to the agent, in order.
  std::vector<std::function<void()>> end_commit(const Listener& listener);

  // ---- faults
  void lose_pending(Random& random); // power cut or kill -9: a prefix of what was under way is there
  void wipe();                       // the disk was replaced

  // ---- what is stable
  const format::GroupState& state() const { return state_; }
  bool formatted() const { return formatted_; }
  void format(const format::GroupState& state) {
    state_ = state;
    formatted_ = true;
  }
  const std::deque<Segment>& segments() const { return segments_; }
  const format::Record* find(StreamId stream, Seq seq) const;
  Seq durable(StreamId stream) const;     // 0: not held
  Seq newest_held(StreamId stream) const; // of a record that is there, 0: none
  core::JournalIndex index() const;
  core::JournalSpace space() const;
  // Used by what is stable and by what is under way.
  std::uint64_t used_bytes() const { return used_bytes_ + pending_bytes_; }

private:
  struct Operation {
    Message append;                            // or
    std::shared_ptr<format::GroupState> state; // with
    core::JournalChange change;
    std::function<void()> done;
  };
  void apply(const Operation& operation, std::size_t records);
  void drop_through(StreamId stream, Seq through);
  void forget_front(Segment& segment);

  bool formatted_ = false;
  format::GroupState state_;
  std::deque<Segment> segments_;
  std::deque<Operation> pending_;
  std::size_t committing_ = 0;
  std::uint64_t data_bytes_, slots_;
  std::uint64_t used_bytes_ = 0, used_slots_ = 0;
  std::uint64_t pending_bytes_ = 0, pending_slots_ = 0;
};

} // namespace rc::sim
