// SPDX-License-Identifier: GPL-2.0-or-later
// The insides of a Copyset, private to copyset*.cpp: one struct of plain data; each file holds one
// responsibility (table, checkpoints, rendezvous, takeover). `out` and `now` are valid during a step only.
#pragma once

#include "core/copyset.hpp"
#include "core/copyset_table.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <utility>

namespace rc::core {

// How often an order or report is said again.
constexpr std::uint64_t copyset_resend_ns = 250 * ms;

struct Copyset::Parts {
  enum class Holds { Nothing, Primary, Copy }; // what the seat's node runs: not known yet, a Source, a Target

  // What the master heard from a seat in its term.
  struct Heard {
    std::optional<format::CheckpointReport> primary;
    std::optional<format::RendezvousReport> copy;
    bool granted = false;         // to an ending copy: what it held counts no more
    std::uint64_t ordered_ns = 0; // when something was last said to it
    format::RendezvousOrder ordered;
  };

  // A checkpoint that the master is making.
  struct Round {
    enum class Step { Idle, Marking, Lifting };
    Step step = Step::Idle;
    Era n{};
    std::uint64_t began_ns = 0;
  };

  CopysetConfig config;
  format::CopysetTable table;
  std::optional<format::CopysetTable> storing;
  std::uint64_t process = 0;

  // the seat
  Holds holds = Holds::Nothing;
  copyset::SourceFacts source;
  copyset::CopyFacts copy;
  format::Term promised;
  Era marking{}; // asked, not answered
  Era marked{};
  bool holding = false;
  bool held = false;
  bool lifting = false; // asked, not answered
  Era reset{};          // the last one passed on
  std::uint64_t reported_ns = 0;

  // the master
  format::Term term;
  std::map<format::Seat, Heard> heard;
  Round round;
  std::uint64_t next_round_ns = 0;
  struct LeaseRound { // of a sync site
    std::uint64_t number = 0;
    std::uint64_t began_ns = 0;
    std::uint64_t lease_ns = 0;
  } lease_round;
  Era newest_ordered{};                                 // release: known or ordered in this term
  std::optional<std::uint64_t> takeover_wanted;         // id for its entry
  std::optional<format::LineageEntry> takeover_ordered; // in this term: it stays this one, also asked again
  std::string step_in_words, waits_for;
  Era last_valid{};
  std::uint64_t checkpoints = 0, voids = 0;

  std::deque<format::CopysetMessage> to_self;
  Now now{};
  copyset::Actions out;

  // copyset.cpp
  void dispatch(const copyset::Event& event);
  void on_message(const format::CopysetMessage& message);
  template <typename Body> void post(const format::Seat& to, Body body) {
    format::CopysetMessage message{config.self, to, table.epoch, std::move(body)};
    if (to == config.self)
      to_self.push_back(std::move(message));
    else
      out.push_back(copyset::Send{std::move(message)});
  }
  void note(int level, std::string text);
  bool is_master() const;
  bool promise(const format::Term& asked,
               const format::Seat& from); // false: an older term, or not the master
  void report();
  Heard* master_hears(const format::Term& promise, const format::Seat& from);
  void evaluate(); // the master: what is next
  void begin_term(std::uint64_t number);
  std::vector<format::Seat> needed() const; // seats of this site whose groups are in the image
  const Heard* fresh(const format::Seat& seat) const;

  // copyset_table.cpp is pure; these are its effects: copyset_registrar.cpp
  void on_table(const format::TableMessage& message, const format::Seat& from);
  void on_swap(const format::SwapMessage& message, const format::Seat& from);
  void on_stored(const copyset::TableStored& event);
  void store(const format::CopysetTable& next);
  void on_take_out(const copyset::TakeOutRequested& event);

  // copyset_checkpoint.cpp
  void on_checkpoint_order(const format::CheckpointOrder& order, const format::Seat& from);
  void on_put(const copyset::CheckpointPut& event);
  void on_lifted(const copyset::HoldLifted& event);
  format::CheckpointReport checkpoint_report() const;
  void make_checkpoints();
  void begin_round(const std::vector<format::Seat>& members);
  void end_round(bool valid);
  void order_checkpoint(const format::Seat& seat, format::CheckpointOrder::Step step);
  void say_again(const std::vector<format::Seat>& members);
  void promote_late_seats();

  // copyset_rendezvous.cpp
  void on_rendezvous_order(const format::RendezvousOrder& order, const format::Seat& from);
  void on_takeover_order(const format::TakeoverOrder& order);
  format::RendezvousReport rendezvous_report() const;
  void rendezvous();
  bool all_heard(const std::vector<format::Seat>& seats);
  void order_all(const std::vector<format::Seat>& seats, format::RendezvousOrder order);
  std::optional<Era> gives_up(const format::Seat& seat, Era release) const;
  Era newest_common(const std::vector<format::Seat>& seats, Era above) const;
  Era newest_released(const std::vector<format::Seat>& seats) const;
  bool can_reach(const format::Seat& seat, Era n) const;

  // copyset_sync.cpp
  void order_sync(const std::vector<format::Seat>& seats, Era stored, bool complete,
                  format::SyncOrder& order);
  void run_lease_rounds(const std::vector<format::Seat>& seats, format::SyncOrder& order);
  std::string sync_in_words(const std::vector<format::Seat>& seats, const format::SyncOrder& order) const;
  Era term_of_all(const std::vector<format::Seat>& seats) const;
  bool all_passed(const std::vector<format::Seat>& seats) const;

  // copyset_takeover.cpp
  bool takeover_begun(const std::vector<format::Seat>& seats) const;
  void take_over(const std::vector<format::Seat>& seats);
  std::string takeover_problem(const std::vector<format::Seat>& seats) const;
  format::LineageEntry takeover_entry(const std::vector<format::Seat>& seats) const;
};

} // namespace rc::core
