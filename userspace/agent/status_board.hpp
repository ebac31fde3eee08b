// SPDX-License-Identifier: GPL-2.0-or-later
// The node's status as one report: for `rcctl status` and `watch`, and, once a second, for the inventory.
// Rates and time left come from subtracting readings about ten seconds apart. Main thread.
#pragma once

#include "agent/copysets.hpp"
#include "agent/groups.hpp"

#include <deque>
#include <map>

namespace rc::agent {

class StatusBoard {
public:
  StatusBoard(Context& context, Peers& peers, Groups& groups, const Copysets& copysets);

  control::StatusReply report(const std::string& group); // empty: all
  // Stores the report in the inventory and takes a reading for the rates. Once a second, and when a state
  // changed.
  void refresh();

  // Told at each change of a state.
  int follow(std::function<void()> follower);
  void unfollow(int id);
  void changed(); // merged: followers are told once per turn of the loop

private:
  struct Reading {
    std::uint64_t boot_ns = 0;
    std::uint64_t bytes_left = 0;
    std::uint64_t journal_used = 0;
  };
  void add_rates(control::PairStatus& pair);
  void take_reading(const control::PairStatus& pair);

  Context& context_;
  Peers& peers_;
  Groups& groups_;
  const Copysets& copysets_;
  std::map<std::string, std::deque<Reading>> readings_; // by pair
  std::map<int, std::function<void()>> followers_;
  int next_id_ = 1;
  bool telling_ = false;
};

} // namespace rc::agent
