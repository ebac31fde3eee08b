// SPDX-License-Identifier: GPL-2.0-or-later
// One machine: power, clocks, the kernel target, the journal's disk, and an agent that may run or not. All
// that happens on it passes here, so that a pause holds it up, a kill drops what was the agent's, and a power
// cut drops everything that was not stable.
#pragma once

#include "core/now.hpp"
#include "tests/sim/agent.hpp"
#include "tests/sim/journal.hpp"
#include "tests/sim/sim_target.hpp"

#include <memory>

namespace rc::sim {

class Cluster;

// Where the copy's content is known to come from: what a host would be shown.
struct ShownImage {
  StreamId stream{};
  Seq seq = 0;
};

class Host : public KernelEnvironment {
public:
  struct Settings {
    std::string name;
    double clock_rate = 1;        // of boot time, against true time
    std::int64_t real_offset = 0; // of the wall clock, ns
    std::uint64_t journal_bytes = 4 << 20;
    std::uint64_t journal_slots = 4096;
    TargetSettings target;
  };
  Host(int number, Settings settings, Cluster& cluster, const Image& content);
  ~Host() override;

  int number() const { return number_; }
  const std::string& name() const { return settings_.name; }
  const Settings& settings() const { return settings_; }
  Cluster& cluster() { return cluster_; }
  SimTarget& target() { return target_; }
  const SimTarget& target() const { return target_; }
  Journal& journal() { return journal_; }
  const Journal& journal() const { return journal_; }
  core::Now clock() const { return {boot_ns(), real_ns()}; }
  void step_real_clock(std::int64_t by) { settings_.real_offset += by; }

  bool powered() const { return powered_; }
  bool running() const { return agent_ != nullptr; }
  Agent* agent() { return agent_.get(); }
  bool paused() const;
  Time last_pause_end() const { return std::max(paused_until_, agent_paused_until_); }

  // Which host's copy this one holds (configuration, by command).
  int source = -1;
  std::optional<ShownImage> shown; // ghost knowledge, survives everything
  bool position_behind = false;    // an apply is complete, its position is not stored yet
  bool fed = false;                // ever held an image
  Era released{};                  // newest release that it has stored since its journal was made
  double slowness_disk = 1, slowness_journal = 1, slowness_meta = 1;
  Time applies_fail_until = 0;
  Time journal_hangs_until = 0;

  // ---- power and processes
  void boot();        // power on and start of the agent
  void start_agent(); // whatever role the journal's state says
  void kill_agent();
  void power_cut(bool lose_journal);
  void pause(Time duration, bool whole_machine);
  void heal() { // a pause still ends in its own time
    slowness_disk = slowness_journal = slowness_meta = 1;
    applies_fail_until = journal_hangs_until = 0;
  }
  // The agent has ended by itself (a role changed): start the next one.
  void restart_agent(Time after);

  // ---- for agents
  std::uint64_t life() const { return agent_life_; }
  void agent_later(Time delay, std::function<void()> what); // dropped when the agent dies, waits in a pause
  // An answer to this agent, wherever it is called from.
  std::function<void()> answer(std::function<void()> what);
  void kick_journal();
  Time journal_time();
  void set_journal_listener(Journal::Listener listener) { journal_listener_ = std::move(listener); }

  // ---- KernelEnvironment
  Time now() const override;
  void later(Time delay, std::function<void()> what) override;
  void at_boot(std::uint64_t boot_ns, std::function<void()> what) override;
  std::uint64_t boot_ns() const override;
  std::uint64_t real_ns() const override;
  Time disk_time() override;
  Time flush_time() override;
  Time meta_time() override;
  Random& random() override;
  Ghost& ghost() override;
  int host() const override { return number_; }
  ModelMutation mutation() const override;
  void ring_committed() override;
  void write_completed(const HostWrite& write, Completion why) override;
  void trace(const std::string& what) override;
  void count(const char* what) override;

private:
  void run_paused(bool machine);

  int number_;
  Settings settings_;
  Cluster& cluster_;
  SimTarget target_;
  Journal journal_;
  Journal::Listener journal_listener_;
  std::unique_ptr<Agent> agent_;
  bool powered_ = false;
  std::uint64_t power_life_ = 0, agent_life_ = 0;
  Time paused_until_ = 0, agent_paused_until_ = 0;
};

} // namespace rc::sim
