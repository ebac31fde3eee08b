// SPDX-License-Identifier: GPL-2.0-or-later
// The insides of a Target, private to target_*.cpp: one struct of plain data; each file holds one
// responsibility and all its transitions (receive, release, resync, close, takeover). `out` and `now` are
// valid during a step only.
#pragma once

#include "core/lease_rounds.hpp"
#include "core/lineage.hpp"
#include "core/target.hpp"

#include <deque>

namespace rc::core {

struct Target::Parts {
  // How the talk with the source stands.
  enum class Talk {
    Down,      // no link
    Waiting,   // link up; Hello is held back until all that was received is durable
    Greeted,   // Hello sent
    Ending,    // resync asked for: the old stream is being ended (release, seal)
    Reckoning, // the own map is being read
    Ready,     // ResyncReady sent
    Receiving, // records come in
    Closed,    // this side ended it (CloseLink); what still arrives is ignored
  };

  // An apply under way.
  struct Applying {
    format::Release release; // of a piece of an in-place draft: only stream and last count
    bool piece = false;
    bool asked = true; // false: it failed, asked again at retry_ns
    std::uint64_t retry_ns = 0;
  };

  struct Appended {
    Seq last = 0;
    std::uint64_t bytes = 0; // totals since start
    std::uint64_t slots = 0;
  };

  Parts(TargetConfig config, format::GroupState state, RecoveredJournal journal);

  TargetConfig config;
  format::GroupState state; // what is (or is about to be) stored
  JournalIndex index;
  JournalSpace space;             // as last reported
  std::deque<Appended> unflushed; // appended and not reported durable
  std::uint64_t appended_bytes = 0;
  std::uint64_t appended_slots = 0;
  bool journal_failed = false;

  Talk talk = Talk::Down;
  StreamId stream{}; // of the last segment; 0: none
  Seq received = 0;  // appended up to it
  Seq durable = 0;   // known to be on stable storage
  Lease lease;
  Pair pair;
  std::optional<Applying> applying;
  std::vector<format::LineageEntry> ending_lineage; // of the source that asked for a resync
  Era ending_agreed{};
  bool ending_full = false;
  std::uint64_t ticket = 0;
  bool redo_next = false; // a crash interrupted an in-place draft: the next apply covers what it had begun
  std::uint64_t last_piece_ns = 0;
  std::uint64_t last_watermarks_ns = 0;
  bool became_primary = false;
  bool may_discard = false; // of the stream that is being ended, given by the copyset
  // Of a sync site of several copies; all of it is gone with the process.
  LeaseRounds rounds;
  Era ready{};            // its source waits for acknowledgements since before this checkpoint, 0: not known
  Era shut_through{};     // no term up to this one begins or goes on here
  bool confirmed = false; // the site is current: all copies have stored the term
  bool told_shut = false; // its source, in this session, that all copies have closed
  std::optional<copyset::CopyFacts> told;
  struct Releasable { // what copy_facts() found last, and of which journal
    StreamId stream{};
    Seq after = 0;
    Seq newest = 0; // `held` of the newest one
    Seq oldest = 0; // mark
    std::vector<format::HeldRange> held;
  };
  mutable Releasable releasable;

  std::uint64_t received_bytes = 0;
  std::uint64_t applied_bytes = 0;
  std::uint64_t releases = 0;

  Now now{};
  target::Actions out;

  // target.cpp
  void dispatch(const target::Event& event);
  void started();
  void advance(); // whatever can go on now
  void note(int level, std::string text);
  void store(JournalChange change = {});
  void send(format::GroupMessage message);
  void send_watermarks();
  void refuse(std::string reason,
              std::string next_action); // tells the source, closes the link, fails the pair
  bool link_usable() const { return talk != Talk::Down && talk != Talk::Closed; }
  bool has_image() const {
    return !state.position.lineage.empty() && !(state.draft && state.draft->in_place);
  }
  void forget_journal(); // the index follows a StoreState that emptied the journal

  // target_receive.cpp
  void link_up();
  void link_down(const std::string& reason);
  void say_hello();
  void on_resume(const format::ResumeMessage& message);
  void on_records(const target::RecordsArrived& event);
  void on_durable(const target::JournalDurable& event);
  bool fits(const format::RecordsMessage& message) const;

  // target_release.cpp
  bool release_newest(); // true: begun
  void start_release(format::Release release);
  bool apply_piece();
  bool half_full() const;
  void on_applied(const target::Applied& event);
  void complete_release(const format::Release& release);
  void complete_piece(const format::Release& piece);
  void on_apply_failed(const target::ApplyFailed& event);
  void ask_apply(bool redo);

  // target_resync.cpp
  void on_resync(const format::ResyncMessage& message);
  void advance_ending();
  void on_own_dirty(const target::OwnDirty& event);
  void send_ready(std::vector<format::Extent> dirty);
  void on_attach(const format::AttachMessage& message);
  bool draft_usable(Era agreed, bool full) const;
  Era break_of_draft() const;
  std::vector<format::Extent> shipped() const;
  static std::vector<format::Extent> largest(std::vector<format::Extent> extents); // what fits a stored state
  std::vector<VolumeNumber> present_volumes() const;

  // target_close.cpp
  std::optional<Seq> seal_through() const; // what the seal still has to apply; nothing: no seal
  bool seal();                             // true: begun
  void close_stream(const std::string& reason);
  void on_current(const format::CurrentMessage& message);
  void on_not_current(const format::NotCurrentMessage& message);
  void on_answer(const format::ChallengeAnswerMessage& message);
  void send_challenge();
  void tick_lease();
  bool is_current() const;

  // target_copyset.cpp
  void on_release(const target::ReleaseOrdered& event);
  void on_reset(const target::ResetOrdered& event);
  void on_discard(const target::DiscardGranted& event);
  void on_close(const target::CloseOrdered& event);
  void on_give_up(const target::GiveUpOrdered& event);
  void on_lineage(const target::LineageOrdered& event);
  void on_promote(const target::PromoteOrdered& event);
  void on_table(const target::TableChanged& event);
  void tell_copyset();
  copyset::CopyFacts copy_facts() const;
  const std::vector<format::HeldRange>& releasable_ranges() const;
  Seq releasable_after() const;
  bool resync_agreed() const;

  // target_site_sync.cpp
  void on_sync_order(const target::SyncOrdered& event);
  void follow_rounds(const target::SyncOrdered& event);
  void begin_term(Era since);
  void shut(Era through);
  void tell_shut(Era through);
  void forget_term(Era through);
  bool holds_term() const; // of the running stream
  bool open_term() const;  // ... and it was not closed
  void forget_session();
  format::SyncReport sync_report() const;

  // target_takeover.cpp
  void on_takeover(const target::TakeoverRequested& event);
  void advance_takeover();
  void become_primary(const format::LineageEntry& entry);

  TargetStatus status() const;
  void check_invariants() const;
};

} // namespace rc::core
