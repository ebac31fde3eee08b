// SPDX-License-Identifier: GPL-2.0-or-later
// A copyset: several groups, each a Cluster with hosts of its own at the same sites, and a net between their
// seats that loses, delays and cuts. One clock of the history. Plans what happens to whole sites, and checks
// what no group can check alone: that the images of a site belong together.
#pragma once

#include "tests/sim/cluster.hpp"

#include <map>

namespace rc::sim {

class Fleet {
public:
  Fleet(std::uint64_t seed, ClusterSettings settings, Random random, Counters& counters, bool tracing);
  ~Fleet();

  void run(); // throws Violation

  Scheduler& scheduler() { return scheduler_; }
  const std::vector<std::string>& lines() const { return lines_; }
  std::vector<std::string>& lines() { return lines_; }
  format::CopysetTable first_table() const;
  int groups() const { return static_cast<int>(groups_.size()); }
  Cluster& group(int number) { return *groups_.at(static_cast<std::size_t>(number)); }

  void send(Host& from, const format::CopysetMessage& message);
  // The first seat of a takeover may write: what all seats of the site show.
  void promoted(Host& host, std::uint64_t generation);
  // All copies of the site have stored the same sync term and none has closed.
  bool in_term(int site);
  void check_alone(const Host& primary); // it has completed a write alone
  // A disk of a journal is not lost in the middle of a takeover of its site: what is left then is for people.
  bool taking_over(int site);
  void refused() { taking_over_ = -1; }

private:
  struct Path { // of one direction between two seats
    Time last_arrival = 0;
    Time cut_until = 0;
    Time slow_until = 0, slow_by = 0;
  };
  Host* find(const format::Seat& seat);
  Path& path(const Host& from, const Host& to);
  void plan();
  void strike();
  void disaster();
  void take_over(int site);
  void bring_home();
  void cut(Time duration);
  void part_sync_site();
  void begin_a_seat_anew();
  int sync_site();
  bool all_current();
  bool resynchronises();
  bool whole(int site);
  void check_image(int site, const char* when);
  void check_reach(int site);
  void check_regularly();
  void heal_and_converge();
  std::string masters_in_words();
  bool converged(std::string& why);
  int active() { return group(0).active(); }

  ClusterSettings settings_;
  Random random_;
  Counters& counters_;
  Scheduler scheduler_;
  std::vector<std::string> lines_;
  std::vector<std::unique_ptr<Cluster>> groups_;
  std::map<std::pair<const Host*, const Host*>, Path> paths_;
  std::map<std::pair<int, std::uint64_t>, bool> promoted_; // site, generation
  bool stopped_ = false;
  int taking_over_ = -1; // site, by the operator's order
};

} // namespace rc::sim
