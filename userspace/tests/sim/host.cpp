// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/sim/host.hpp"

#include "tests/sim/cluster.hpp"

#include <algorithm>

namespace rc::sim {

Host::Host(int number, Settings settings, Cluster& cluster, const Image& content)
    : number_(number), settings_(std::move(settings)), cluster_(cluster),
      target_(settings_.target, *this, content), journal_(settings_.journal_bytes, settings_.journal_slots) {}
Host::~Host() = default;

bool Host::paused() const { return now() < std::max(paused_until_, agent_paused_until_); }

// ---- power and processes

void Host::boot() {
  if (powered_)
    return;
  powered_ = true;
  trace("boots");
  start_agent();
}

void Host::start_agent() {
  if (!powered_ || agent_)
    return;
  if (target_.called()) {
    cluster_.scheduler().after(ms, [this] { start_agent(); });
    return;
  }
  if (!journal_.formatted())
    journal_.format(cluster_.blank_state());
  ++agent_life_;
  if (journal_.state().role == format::Role::Primary) {
    cluster_.found_primary(*this);
    trace("agent starts: source");
    agent_ = std::make_unique<SourceAgent>(*this);
  } else {
    trace("agent starts: copy of " + cluster_.host(source).name());
    agent_ = std::make_unique<TargetAgent>(*this);
  }
  agent_->start();
}

void Host::kill_agent() {
  if (!agent_)
    return;
  trace("agent killed");
  ++agent_life_;
  agent_paused_until_ = 0;
  agent_.reset();
  journal_listener_ = {};
  journal_.lose_pending(random());
  target_.agent_gone();
  for (int peer = 0; peer < cluster_.hosts(); ++peer)
    if (peer != number_)
      cluster_.wire(number_, peer).agent_died(number_, false);
}

void Host::power_cut(bool lose_journal) {
  if (!powered_)
    return;
  trace(lose_journal ? "power cut, journal lost" : "power cut");
  powered_ = false;
  ++power_life_;
  ++agent_life_;
  paused_until_ = agent_paused_until_ = 0;
  agent_.reset();
  journal_listener_ = {};
  for (int peer = 0; peer < cluster_.hosts(); ++peer)
    if (peer != number_)
      cluster_.wire(number_, peer).agent_died(number_, true);
  journal_.lose_pending(random());
  target_.power_cut();
  if (lose_journal) {
    journal_.wipe();
    shown.reset();
    fed = false;
    released = {};
    ghost().forget_promises(number_);
  }
  cluster_.application(number_).stop();
  cluster_.check_map(*this, "after a power cut");
}

void Host::pause(Time duration, bool whole_machine) {
  Time& until = whole_machine ? paused_until_ : agent_paused_until_;
  until = std::max(until, now() + duration);
}

void Host::restart_agent(Time after) {
  agent_later(0, [this, after] {
    kill_agent();
    later(after, [this] { start_agent(); });
  });
}

// ---- time

Time Host::now() const { return cluster_.scheduler().now(); }

void Host::agent_later(Time delay, std::function<void()> what) {
  struct Event {
    Host* host;
    std::uint64_t life;
    std::function<void()> what;
    void operator()() {
      if (life != host->agent_life_)
        return;
      const Time until = std::max(host->paused_until_, host->agent_paused_until_);
      if (host->now() < until)
        host->cluster_.scheduler().at(until, std::move(*this));
      else
        what();
    }
  };
  cluster_.scheduler().after(delay, Event{this, agent_life_, std::move(what)});
}

void Host::later(Time delay, std::function<void()> what) {
  struct Event {
    Host* host;
    std::uint64_t life;
    std::function<void()> what;
    void operator()() {
      if (life != host->power_life_)
        return;
      if (host->now() < host->paused_until_)
        host->cluster_.scheduler().at(host->paused_until_, std::move(*this));
      else
        what();
    }
  };
  cluster_.scheduler().after(delay, Event{this, power_life_, std::move(what)});
}

std::function<void()> Host::answer(std::function<void()> what) {
  return [this, life = agent_life_, what = std::move(what)] {
    if (life == agent_life_)
      agent_later(0, what);
  };
}

// Boot time of different machines begins at different values and runs at different rates.
std::uint64_t Host::boot_ns() const {
  return 1'000 * second + static_cast<std::uint64_t>(number_ + 5 * cluster_.number()) * 77 * second +
         static_cast<std::uint64_t>(static_cast<double>(now()) * settings_.clock_rate);
}

std::uint64_t Host::real_ns() const {
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(1'800'000'000 * second + now()) +
                                    settings_.real_offset);
}

void Host::at_boot(std::uint64_t boot, std::function<void()> what) {
  const std::uint64_t own = boot_ns();
  const double left = boot > own ? static_cast<double>(boot - own) / settings_.clock_rate : 0;
  later(static_cast<Time>(left) + 1, std::move(what));
}

// ---- devices

Time Host::disk_time() {
  return static_cast<Time>(static_cast<double>(100 * us + random().below(2 * ms)) * slowness_disk);
}
Time Host::flush_time() {
  return static_cast<Time>(static_cast<double>(500 * us + random().below(6 * ms)) * slowness_disk);
}
Time Host::meta_time() {
  return static_cast<Time>(static_cast<double>(100 * us + random().below(2 * ms)) * slowness_meta);
}
Time Host::journal_time() {
  const Time hang = journal_hangs_until > now() ? journal_hangs_until - now() : 0;
  return hang + static_cast<Time>(static_cast<double>(200 * us + random().below(3 * ms)) * slowness_journal);
}

void Host::kick_journal() {
  if (journal_.busy() || journal_.idle())
    return;
  journal_.begin_commit();
  agent_later(journal_time(), [this] {
    const std::uint64_t life = agent_life_;
    for (const auto& tell : journal_.end_commit(journal_listener_)) {
      if (life != agent_life_)
        return;
      tell();
    }
    if (life == agent_life_)
      kick_journal();
  });
}

// ---- the kernel's environment

Random& Host::random() { return cluster_.random(); }
Ghost& Host::ghost() { return cluster_.ghost(); }
ModelMutation Host::mutation() const { return cluster_.settings().mutation; }
void Host::ring_committed() {
  if (agent_)
    agent_->ring_committed();
}
void Host::write_completed(const HostWrite& write, Completion why) {
  cluster_.write_completed(*this, write, why);
}
void Host::trace(const std::string& what) { cluster_.trace(number_, what); }
void Host::count(const char* what) { cluster_.counters().add(what); }

} // namespace rc::sim
