// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/sim/faults.hpp"

#include "tests/sim/cluster.hpp"
#include "tests/sim/fleet.hpp"

namespace rc::sim {

const char* to_string(Fault fault) {
  static const char* const names[fault_kinds] = {"stall",
                                                 "break",
                                                 "slow link",
                                                 "agent killed",
                                                 "power cut",
                                                 "power cut with journal loss",
                                                 "agent paused",
                                                 "machine paused",
                                                 "slow disk",
                                                 "slow journal",
                                                 "slow metadata",
                                                 "apply fails",
                                                 "damage",
                                                 "takeover by command",
                                                 "disaster",
                                                 "return of an old primary",
                                                 "suspend",
                                                 "burst",
                                                 "clock step",
                                                 "flap",
                                                 "agent killed again and again",
                                                 "fence changed"};
  return names[static_cast<int>(fault)];
}

const char* to_string(Moment moment) {
  static const char* const names[] = {"store", "takeover store", "apply",  "reckon",
                                      "copy",  "attach",         "current"};
  return names[static_cast<int>(moment)];
}

void Faults::start() { plan(); }

void Faults::plan() {
  const Time mean = cluster_.settings().fault_every;
  cluster_.scheduler().after(cluster_.random().below(2 * mean), [this] {
    if (stopped_)
      return;
    double sum = 0;
    for (const double weight : cluster_.settings().weights)
      sum += weight;
    double at = cluster_.random().unit() * sum;
    int chosen = 0;
    for (; chosen < fault_kinds - 1 && at >= cluster_.settings().weights[chosen]; ++chosen)
      at -= cluster_.settings().weights[chosen];
    strike(static_cast<Fault>(chosen));
    plan();
  });
}

Host& Faults::any_host() {
  return cluster_.host(
      static_cast<int>(cluster_.random().below(static_cast<std::uint64_t>(cluster_.hosts()))));
}

Host* Faults::any_copy() {
  for (int tries = 0; tries < 8; ++tries) {
    Host& host = any_host();
    if (host.journal().state().role == format::Role::Secondary && host.number() != cluster_.active())
      return &host;
  }
  return nullptr;
}

bool Faults::at_takeover(const Host& host) const {
  return cluster_.fleet() && cluster_.fleet()->taking_over(host.number());
}

void Faults::reboot_later(Host& host) {
  cluster_.scheduler().after(second + cluster_.random().below(8 * second), [&host] { host.boot(); });
}

// The middle of a step: a moment after it began, the host (or the source's, or a link) fails.
void Faults::at(Moment moment, Host& host) {
  const ClusterSettings& settings = cluster_.settings();
  if (stopped_ || settings.aimed != static_cast<int>(moment) || aimed_now_ ||
      !cluster_.random().chance(settings.aim))
    return;
  cluster_.counters().add(std::string("aimed at ") + to_string(moment));
  aimed_now_ = true;
  Random& random = cluster_.random();
  cluster_.scheduler().after(random.below(random.chance(0.5) ? 5 * ms : 60 * ms), [this, &host] {
    aimed_now_ = false;
    if (stopped_)
      return;
    Random& random = cluster_.random();
    const bool copy = host.journal().state().role == format::Role::Secondary;
    switch (random.below(copy ? 6 : 5)) {
    case 0:
    case 1:
      cluster_.counters().add("agent killed");
      host.kill_agent();
      cluster_.scheduler().after(100 * ms + random.below(3 * second), [&host] { host.start_agent(); });
      break;
    case 2:
      cluster_.counters().add("power cut");
      host.power_cut(false);
      reboot_later(host);
      break;
    case 3: {
      Host& peer = any_host();
      if (&peer != &host)
        cluster_.wire(host.number(), peer.number()).break_off();
      break;
    }
    case 4: {
      Host& source = cluster_.host(cluster_.active());
      cluster_.counters().add("power cut");
      source.power_cut(false);
      reboot_later(source);
      break;
    }
    case 5:
      cluster_.counters().add("power cut with journal loss");
      host.power_cut(random.chance(0.3) && !at_takeover(host));
      reboot_later(host);
      break;
    }
  });
}

void Faults::take_over(bool disaster) {
  Random& random = cluster_.random();
  Host* copy = any_copy();
  if (!copy || (!copy->shown && !random.chance(0.1)))
    return;
  if (disaster) {
    Host& source = cluster_.host(cluster_.active());
    source.power_cut(false);
    if (random.chance(0.3)) // a rolling one
      any_host().power_cut(false);
    for (int n = 0; n < cluster_.hosts(); ++n)
      if (!cluster_.host(n).powered())
        cluster_.scheduler().after(2 * second + random.below(20 * second),
                                   [host = &cluster_.host(n)] { host->boot(); });
  }
  // The operator tries until the copy's agent is there.
  cluster_.scheduler().after(random.below(disaster ? 4 * second : 200 * ms), [copy] {
    if (auto* agent = dynamic_cast<TargetAgent*>(copy->agent()))
      agent->take_over();
  });
}

void Faults::strike(Fault fault) {
  Random& random = cluster_.random();
  Host& host = any_host();
  Host& peer = cluster_.host(
      (host.number() + 1 + static_cast<int>(random.below(static_cast<std::uint64_t>(cluster_.hosts() - 1)))) %
      cluster_.hosts());
  Wire& wire = cluster_.wire(host.number(), peer.number());
  const Time moment =
      random.chance(0.5) ? 50 * ms + random.below(800 * ms) : 200 * ms + random.below(10 * second);
  cluster_.counters().add(to_string(fault));
  cluster_.trace(host.number(), std::string("FAULT ") + to_string(fault));
  switch (fault) {
  case Fault::Stall:
    wire.stall(host.number(), moment);
    if (random.chance(0.6)) // the other direction, too, and not always for as long
      wire.stall(peer.number(), random.chance(0.5) ? moment : 100 * ms + random.below(5 * second));
    break;
  case Fault::Break:
    wire.break_off();
    break;
  case Fault::Slow: {
    wire.set_speed(0.002 + 0.02 * random.unit());
    cluster_.scheduler().after(moment, [&wire] { wire.set_speed(1); });
    break;
  }
  case Fault::Kill:
    host.kill_agent();
    cluster_.scheduler().after(50 * ms + random.below(random.chance(0.7) ? 1 * second : 8 * second),
                               [&host] { host.start_agent(); });
    break;
  case Fault::PowerCut:
    host.power_cut(false);
    reboot_later(host);
    break;
  case Fault::PowerCutLost:
    if (host.journal().state().role == format::Role::Secondary && host.number() != cluster_.active()) {
      host.power_cut(!at_takeover(host));
      reboot_later(host);
    }
    break;
  case Fault::PauseAgent:
    host.pause(moment, false);
    break;
  case Fault::PauseMachine:
    host.pause(moment, true);
    break;
  case Fault::SlowDisk:
    host.slowness_disk = 3 + 60 * random.unit();
    cluster_.scheduler().after(moment, [&host] { host.slowness_disk = 1; });
    break;
  case Fault::SlowJournal:
    if (random.chance(0.4))
      host.journal_hangs_until = cluster_.scheduler().now() + moment;
    else
      host.slowness_journal = 5 + 300 * random.unit();
    cluster_.scheduler().after(moment, [&host] { host.slowness_journal = 1; });
    break;
  case Fault::SlowMeta:
    host.slowness_meta = 3 + 60 * random.unit();
    cluster_.scheduler().after(moment, [&host] { host.slowness_meta = 1; });
    break;
  case Fault::ApplyFails:
    host.applies_fail_until = cluster_.scheduler().now() + moment;
    break;
  case Fault::Damage:
    wire.damage_next(host.number());
    break;
  case Fault::Takeover:
    take_over(false);
    break;
  case Fault::Disaster:
    take_over(true);
    break;
  case Fault::Return:
    if (host.journal().state().role == format::Role::Primary)
      cluster_.demote(host);
    break;
  case Fault::Suspend:
    if (auto* agent = dynamic_cast<SourceAgent*>(host.agent())) {
      agent->suspend(peer.number());
      cluster_.scheduler().after(moment, [&host, &peer] {
        if (auto* later = dynamic_cast<SourceAgent*>(host.agent()))
          later->resume(peer.number());
      });
    }
    break;
  case Fault::Burst:
    cluster_.application(cluster_.active()).burst(20 + static_cast<unsigned>(random.below(200)));
    break;
  case Fault::ClockStep:
    host.step_real_clock(static_cast<std::int64_t>(random.below(10 * second)) -
                         static_cast<std::int64_t>(5 * second));
    break;
  case Fault::Flap:
    for (int n = 0; n < 6; ++n)
      cluster_.scheduler().after(static_cast<Time>(n) * (1200 * ms + random.below(400 * ms)),
                                 [&wire] { wire.break_off(); });
    break;
  case Fault::KillAgain:
    for (int n = 0; n < 4; ++n)
      cluster_.scheduler().after(static_cast<Time>(n) * (800 * ms + random.below(1500 * ms)), [this] {
        Host& source = cluster_.host(cluster_.active());
        source.kill_agent();
        cluster_.scheduler().after(100 * ms, [&source] { source.start_agent(); });
      });
    break;
  case Fault::Fence:
    cluster_.change_fence();
    break;
  case Fault::Count:
    break;
  }
}

} // namespace rc::sim
