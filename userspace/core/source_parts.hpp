// SPDX-License-Identifier: GPL-2.0-or-later
// The insides of a Source, private to source*.cpp: one struct of plain data; each file holds one
// responsibility and all its transitions (stream, spill, send, handshake, resync, sync, links). `out` and
// `now` are valid during a step only.
#pragma once

#include "core/checkpoint_history.hpp"
#include "core/extent_set.hpp"
#include "core/journal_index.hpp"
#include "core/lease.hpp"
#include "core/lineage.hpp"
#include "core/ring_position.hpp"
#include "core/source.hpp"

#include <array>
#include <deque>
#include <map>
#include <optional>

namespace rc::core {

// How the talk with a copy stands.
enum class LinkTalk {
  Down,
  Up,        // connected, its Hello is awaited (or kept until the stream runs)
  Ending,    // Resync sent: the copy ends its old stream
  Reckoning, // attached to the stream; the own map is being read
  Streaming, // records flow
  Closed,    // this side ended it (CloseLink); the next LinkUp begins anew
};

struct Resync {
  format::ResyncReadyMessage ready;
  std::uint64_t ticket = 0;
  Seq from = 0;
  ExtentSet todo;
  std::uint64_t outstanding = 0; // copies asked for and not seen
  std::uint64_t retry_ns = 0;
  bool end_asked = false;
  Seq end_seq = 0;       // of its end of copying, 0 before
  Era checkpoint{};      // first one after it: complete there, the resync is done
  bool in_place = false; // the copy has no image meanwhile
  std::uint64_t total_bytes = 0;
  std::uint64_t done_bytes = 0;
  struct Copied {
    Seq seq = 0;
    std::uint64_t bytes = 0;
  };
  std::deque<Copied> copied; // in the stream, not durable there
};

struct Link {
  LinkConfig config;
  LinkTalk talk = LinkTalk::Down;
  Pair pair;

  // Position in the running stream. attached: in the minimum that frees the ring.
  bool attached = false;
  Seq placed = 0; // sending began after it
  Seq sent = 0;
  Seq durable = 0;
  struct InFlight {
    Seq last = 0;
    std::uint64_t bytes = 0;
    std::uint64_t slots = 0;
  };
  std::deque<InFlight> in_flight; // one entry for each SendRecords
  std::uint64_t in_flight_bytes = 0;
  std::uint64_t in_flight_slots = 0;
  bool spill_asked = false;     // a SendRecords from the spill is not answered
  bool start_over = false;      // its journal can't take what follows, or a command: the next greeting leads
                                // to a delta
  bool in_place = false;        // the next resync to be completed may be applied in place
  Seq catch_up = 0;             // Pending until durable there
  std::uint64_t blocked_ns = 0; // since when its journal has no room, 0: it has

  std::optional<format::HelloMessage> hello; // of this connection
  std::optional<Resync> resync;
  std::optional<format::ChallengeMessage> challenge; // not yet answered: the greeting decides

  bool hold = false;    // suspended by command
  bool leaving = false; // suspend or removal asked, a current copy is closed first
  bool removing = false;
  std::string hold_reason;

  // What the copy reported.
  Era complete{};
  std::uint64_t complete_time_ns = 0;
  std::uint64_t journal_used = 0;
  std::uint64_t journal_bytes = 0; // 0: not known
  std::uint64_t journal_slots_used = 0;
  std::uint64_t journal_slots = 0;

  // Lag and totals.
  std::optional<PassedCheckpoint> image; // newest checkpoint that a takeover there would show
  std::uint64_t sent_bytes = 0;
  std::uint64_t durable_bytes = 0;
  std::uint64_t resyncs = 0;
  std::uint64_t resync_bytes = 0;

  bool streaming() const { return talk == LinkTalk::Streaming; }
  bool connected() const { return talk != LinkTalk::Down && talk != LinkTalk::Closed; }
};

// Of a pair while what the ended stream still holds is fetched.
constexpr const char* fetches_lost = "the ring overflowed: later writes are only marked";
constexpr const char* resync_follows = "wait: a resync by delta follows by itself";
constexpr double keep_spilled = 0.375; // of the ring: what stays in it of what is spilled

struct Spill {
  bool usable = false;
  bool active = false; // takes everything that is read
  bool kept = false;   // holds [first, appended] of `stream`
  StreamId stream{};
  Seq first = 0;
  Seq appended = 0;
  Seq durable = 0;
  Seq refused_through = 0; // of `stream`: asked when the journal had no room
  JournalSpace space;
};

struct Sync {
  enum class Phase {
    Off,
    Resuming, // the agent restarted while writes waited: the copy's greeting decides
    Waiting,
    Current,
    Alone,
    Stopped, // fence=stop: writes fail until the copy is current again
  };
  Phase phase = Phase::Off;
  bool switched = false; // SyncSwitched came
  Seq since_seq = 0;
  Seq older_than = 0;              // after a restart, since_seq unknown: one below this is from before it
  std::optional<Fence> fence_told; // to the kernel, by this agent
  bool telling_fence = false;      // asked, not answered: no challenge is answered
  Era checkpoint{};                // its completion makes the copy current
  bool current_sent = false;
  std::uint64_t current_sent_ns = 0;
  std::uint64_t deadline_ns = 0; // handed to the kernel
  std::uint64_t challenged_ns = 0;
  std::uint64_t earliest_ns = 0; // not waiting again before
  Seq acked = 0;
  bool withholding = false;
  // The copy may still be current for `ending_stream`, and can't go on with it: nothing completes alone and
  // no challenge is answered until it says that it has closed, or the kernel's deadline passed.
  bool ending = false;
  StreamId ending_stream{};
  struct Sample {
    Seq seq = 0;
    std::uint64_t at_ns = 0;
  };
  std::deque<Sample> samples; // what had been read when; bounded
};

struct Source::Parts {
  enum class Life { New, Unconfirmed, Loading, Attaching, Starting, Running, Lost, Stale };

  Parts(SourceConfig config, format::GroupState state, RecoveredSpill spill);

  SourceConfig config;
  format::GroupState state;
  Life life = Life::New;
  std::string life_reason;
  std::string life_next;
  source::RingAttached ring_facts; // sizes
  RingPosition ring;
  std::uint64_t attached_ns = 0; // when this life attached to the ring
  Seq found = 0;                 // newest record of the ring then: a copy may hold all up to it
  Era era{};
  Seq lost_at = 0;
  std::uint64_t drain_until_ns = 0;
  std::uint64_t retry_ns = 0;      // of LoadVolumes, StartStream
  std::uint64_t load_after_ns = 0; // a copy may be current until then, and know nothing of this start
  Spill spill;
  std::uint64_t spill_trim_ns = 0;
  Sync sync;
  std::map<LinkSlot, Link> links;
  std::uint64_t tickets = 0;
  CheckpointHistory history;
  bool checkpoint_asked = false;  // not answered
  bool checkpoint_wanted = false; // at once, not by the clock
  std::uint64_t next_checkpoint_ns = 0;
  std::uint64_t copies_outstanding = 0;
  std::uint64_t captured_bytes = 0;
  std::uint64_t captured_records = 0;
  Seq last_write = 0; // last record that changes a volume for a host
  std::uint64_t overflows = 0;
  bool throttled = false;
  std::optional<copyset::SourceFacts> told; // to the copyset

  Now now{};
  source::Actions out;

  // source.cpp
  void dispatch(const source::Event& event);
  void settle(); // what can go on: suspend, spill, free, send, copy, sync
  void note(int level, std::string text);
  void store(JournalChange change = {});
  void send(const Link& link, format::GroupMessage message);
  void close(Link& link, std::string reason);
  void refuse(Link& link, std::string reason, std::string next_action);
  format::Position own_position() const { return {state.position.lineage, Era::open()}; }
  Link* find(LinkSlot slot);

  // source_life.cpp
  void started(const source::Started& event);
  void hold_all_volumes();
  void confirm(const std::string& by);
  void on_asked(const source::NodesAsked& event);
  void load_volumes();
  void on_promote(const source::PromoteOrdered& event);
  void tell_copyset();
  void copy_is_not_current(); // said by itself: a start need not wait for its lease
  void on_loaded(const source::VolumesLoaded& event);
  void on_attached(const source::RingAttached& event);
  void start_stream();
  void on_stream_started(const source::StreamStarted& event);
  void became_stale(Link& link, const FeedCheck& check);
  void stream_runs();
  bool all_found_is_read() const { return ring.read() >= found; }
  void answer_all();

  // source_stream.cpp
  void on_records(const source::RecordsCommitted& event);
  void on_record(const format::Record& record);
  void lose_stream();
  void drain_lost();
  void free_ring();
  void want_checkpoint();
  void tick_checkpoint();
  void on_checkpoint(const source::CheckpointPut& event);

  // source_spill.cpp
  void control_spill();
  bool can_spill() const;
  bool application_waits(const Link* slow) const;
  void begin_spill();
  void append_spill();
  void on_spill_durable(const source::SpillDurable& event);
  void on_spill_failed(const source::SpillFailed& event);
  bool spill_holds(Seq seq) const;
  Link* slowest();
  const Link* slowest() const;
  void suspend(Link& link, PairState to, std::string reason, std::string next_action);

  // source_send.cpp
  void pump(Link& link);
  Seq send_limit(const Link& link) const;
  void record_sent(Link& link, Seq last, std::uint64_t bytes, std::uint64_t slots);
  void on_sent_from_spill(const source::SentFromSpill& event);
  void on_watermarks(Link& link, const format::WatermarksMessage& message);
  void place(Link& link, Seq durable); // (re)starts sending after `durable`

  // source_handshake.cpp
  void on_message(const source::MessageArrived& event);
  void on_hello(Link& link, const format::HelloMessage& hello);
  void answer_hello(Link& link);
  void let_fetch(Link& link);
  std::string size_problem(const format::HelloMessage& hello) const;
  bool resumable(const Link& link, const format::HelloMessage& hello) const;
  void resume(Link& link, const format::HelloMessage& hello);
  void ask_resync(Link& link, const format::HelloMessage& hello);

  // source_resync.cpp
  void on_ready(Link& link, const format::ResyncReadyMessage& message);
  void attach(Link& link);
  void on_reckoned(const source::Reckoned& event);
  void copy_some(Link& link);
  void on_copy_refused(const source::CopyRefused& event);
  void on_end_refused(const source::EndOfCopyingRefused& event);
  void saw_copy(const format::Record& record);
  void saw_end(const format::Record& record);
  void finish_resync(Link& link);
  unsigned resyncing() const;

  // source_sync.cpp
  Link* sync_link();
  const Link* sync_link() const;
  bool vouched_for() const;
  bool gated(const Link& link) const;
  void tick_sync();
  void begin_waiting(Link& link);
  void on_switched(const source::SyncSwitched& event);
  void on_progress(const source::RingProgress& event);
  void on_challenge(Link& link, const format::ChallengeMessage& message);
  void answer_challenge(Link& link, const format::ChallengeMessage& message);
  void on_current_stored(Link& link);
  void on_not_current(Link& link, const format::NotCurrentMessage& message);
  bool site_answers(const Link& link) const;
  void sync_greeted(Link& link, const format::HelloMessage& hello, bool resumes);
  void site_greeted(Link& link, const format::HelloMessage& hello, bool resumes);
  void await_close(const std::string& reason);
  void go_alone(const std::string& reason, bool switch_off, bool tell);
  void leave_sync(const std::string& reason);
  void end_current(const std::string& reason);
  bool acks_stall() const;
  void pass_acks(Link& link);

  // source_links.cpp
  void on_link_up(Link& link);
  void on_link_down(Link& link, const std::string& reason);
  void on_added(const source::LinkAdded& event);
  void on_settings(const source::SettingsChanged& event);
  void set_fence(Fence fence);
  void tell_fence();
  bool writes_fail() const; // the kernel lets them, by the fence it was told and its deadline
  void on_removed(const source::LinkRemoved& event);
  void on_suspend(const source::SuspendRequested& event);
  void on_resume_request(const source::ResumeRequested& event);
  void resync_asked(Link& link, bool in_place);
  void finish_leaving(Link& link);
  std::string resume_command(const Link& link) const;

  SourceStatus status() const;
  LinkStatus link_status(const Link& link) const;
  void check_invariants() const;
};

} // namespace rc::core
