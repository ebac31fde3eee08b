// SPDX-License-Identifier: GPL-2.0-or-later
// One history: hosts, wires, applications, faults, and the checks of design.md section 9 against the ghost.
// run() goes through a faulty part, heals everything, and demands that the copies converge.
//
// Everything in it follows from the seed; nothing outside is asked.
#pragma once

#include "core/source.hpp"
#include "core/target.hpp"
#include "tests/sim/application.hpp"
#include "tests/sim/counters.hpp"
#include "tests/sim/faults.hpp"
#include "tests/sim/host.hpp"
#include "tests/sim/settings.hpp"
#include "tests/sim/source_agent.hpp"
#include "tests/sim/target_agent.hpp"

#include <memory>
#include <vector>

namespace rc::sim {

class Fleet;

class Cluster {
public:
  // One group of a copyset.
  struct Place {
    Fleet* fleet;
    int group;
    Scheduler& scheduler;
    std::vector<std::string>& lines;
  };
  Cluster(std::uint64_t seed, ClusterSettings settings, Random random, Counters& counters, bool tracing,
          std::optional<Place> place = std::nullopt);
  ~Cluster();

  void run(); // throws Violation

  // For directed histories: time goes on, and the pieces of run().
  void begin();
  void go(Time duration);
  // Until the condition holds, looked at every 10 ms; false: it does not hold after `most`.
  template <typename Condition> bool go_until(Time most, Condition&& condition) {
    const Time end = scheduler_.now() + most;
    while (!condition()) {
      const Time next = std::min(end, scheduler_.now() + 10 * ms);
      go(next - scheduler_.now());
      if (scheduler_.now() >= end)
        return condition();
    }
    return true;
  }
  void heal_and_converge();

  // ---- parts
  const ClusterSettings& settings() const { return settings_; }
  Scheduler& scheduler() { return scheduler_; }
  Fleet* fleet() const { return place_ ? place_->fleet : nullptr; } // nullptr: a group of its own
  int number() const { return place_ ? place_->group : 0; }
  format::Seat seat(int host) const;
  format::GroupState blank_state() const;
  Random& random() { return random_; }
  Ghost& ghost() { return ghost_; }
  Counters& counters() { return counters_; }
  int hosts() const { return static_cast<int>(hosts_.size()); }
  Host& host(int number) { return *hosts_.at(static_cast<std::size_t>(number)); }
  Wire& wire(int a, int b);
  Application& application(int host) { return *applications_.at(static_cast<std::size_t>(host)); }
  Faults& faults() { return faults_; }
  const std::vector<std::string>& lines() const { return lines_; }
  Value next_value() { return ++values_; }
  int active() const { return active_; } // where the application is meant to run
  bool healing() const { return healing_; }

  // ---- for hosts and agents
  Time tick_time();
  core::SourceConfig source_config(int host) const;
  core::TargetConfig target_config(int host) const;
  void trace(int host, const std::string& what);
  bool tracing() const { return tracing_; }
  void moment(Moment moment, Host& host);
  void link_up(int host, int peer);
  void link_down(int host, int peer, const std::string& reason);
  void arrive(int host, int peer, const Packet& packet);
  void seen_message(Host& host, int peer, const format::GroupMessage& message);

  // ---- roles
  void volumes_live(Host& host); // loaded as primary: the application starts
  void takeover_begins(Host& host);
  void takeover_complete(Host& host, std::uint64_t generation);
  void promoted_at_load(Host& host, std::uint64_t generation);
  void found_primary(Host& host); // at the start of an agent: it died between the last step and its report
  void takeover_refused(Host& host, const std::string& reason);
  void point_to(int host, int source); // configuration: whose copy it holds
  void demote(Host& host);             // an old primary becomes a copy, by command
  void change_fence();                 // go becomes stop, or stop go, by command

  // ---- checks (checks.cpp)
  void write_completed(Host& host, const HostWrite& write, Completion why);
  void check_load(Host& host, std::uint64_t generation, bool heard);
  void check_shown(const Host& host, const char* when); // what a host would be shown
  void check_takeover_image(const Host& host);
  void check_claim(const Host& host, Era claimed, const std::vector<format::LineageEntry>& lineage,
                   const char* what);
  void check_stored(const Host& host, const format::GroupState& state);
  void check_map(const Host& host, const char* when);
  void check_waits(const Host& host);
  void check_current(Host& host);
  void check_all();

  // ---- the pieces of the end
  void heal();
  void operate();
  bool converged(std::string& why);
  void stop_writing();

private:
  void connect_wires();
  void check_regularly();
  bool wanted(int a, int b);
  void new_active(Host& host);
  void recreate_rivals();

  std::uint64_t seed_;
  ClusterSettings settings_;
  Random random_;
  Counters& counters_;
  bool tracing_;
  std::optional<Place> place_;
  std::vector<std::string> own_lines_;
  std::vector<std::string>& lines_;
  Scheduler own_scheduler_;
  Scheduler& scheduler_;
  Ghost ghost_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::vector<std::unique_ptr<Wire>> wires_;
  std::vector<std::unique_ptr<Application>> applications_;
  Faults faults_;
  int active_ = 0;
  bool healing_ = false;
  bool stop_writing_ = false;
  Value values_ = 0;
};

} // namespace rc::sim
