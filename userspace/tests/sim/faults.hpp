// SPDX-License-Identifier: GPL-2.0-or-later
// What goes wrong, and what people do: planned at random times and aimed at moments of the cluster's work.
#pragma once

#include "tests/sim/settings.hpp"

namespace rc::sim {

class Cluster;
class Host;

enum class Fault {
  Stall,        // one direction, or both, of a link
  Break,        // of a connection
  Slow,         // of a link
  Kill,         // an agent
  PowerCut,     // a host
  PowerCutLost, // a copy's host, and its journal's disk is lost
  PauseAgent,
  PauseMachine,
  SlowDisk,
  SlowJournal, // or one that hangs
  SlowMeta,
  ApplyFails,
  Damage,    // of a frame
  Takeover,  // at a copy, the primary may live on
  Disaster,  // power cut of the primary, takeover elsewhere
  Return,    // of an old primary as a copy
  Suspend,   // of a pair, by command; resumed later
  Burst,     // of writes
  ClockStep, // of a wall clock
  Flap,      // a link is broken again and again
  KillAgain, // the primary's agent, again and again
  Fence,     // go becomes stop, or stop go, by command
  Count
};
constexpr int fault_kinds = static_cast<int>(Fault::Count);
const char* to_string(Fault fault);

class Faults {
public:
  explicit Faults(Cluster& cluster) : cluster_(cluster) {}
  void start();
  void stop() { stopped_ = true; }
  void at(Moment moment, Host& host); // something may be aimed here
  void strike(Fault fault);

private:
  void plan();
  Host& any_host();
  Host* any_copy();
  void take_over(bool disaster);
  bool at_takeover(const Host& host) const;
  void reboot_later(Host& host);

  Cluster& cluster_;
  bool stopped_ = false;
  bool aimed_now_ = false;
};

} // namespace rc::sim
