// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/sim/settings.hpp"

#include "tests/sim/faults.hpp"

namespace rc::sim {

namespace {

void incline(ClusterSettings& settings, Random& random) {
  auto& w = settings.weights;
  const auto set = [&w](std::initializer_list<std::pair<Fault, double>> faults) {
    for (const auto& [fault, weight] : faults)
      w[static_cast<int>(fault)] = weight;
  };
  using F = Fault;
  switch (random.below(7)) {
  case 0: // everything
    for (int n = 0; n < fault_kinds; ++n)
      w[n] = 1;
    break;
  case 1: // the network
    set({{F::Stall, 4},
         {F::Break, 4},
         {F::Slow, 1},
         {F::Flap, 1},
         {F::Damage, 1},
         {F::Suspend, 1},
         {F::Burst, 1}});
    break;
  case 2: // processes
    set({{F::Kill, 6},
         {F::PauseAgent, 3},
         {F::PauseMachine, 2},
         {F::Stall, 1},
         {F::Break, 1},
         {F::SlowJournal, 1},
         {F::KillAgain, 1}});
    break;
  case 3: // power
    set({{F::PowerCut, 5},
         {F::PowerCutLost, 1},
         {F::SlowDisk, 2},
         {F::SlowMeta, 2},
         {F::Kill, 1},
         {F::Break, 1}});
    break;
  case 4: // disasters
    set({{F::Takeover, 2},
         {F::Disaster, 2},
         {F::Return, 4},
         {F::Stall, 2},
         {F::Break, 2},
         {F::PowerCut, 1},
         {F::Kill, 1}});
    break;
  case 5: // load
    set({{F::Burst, 5},
         {F::Slow, 3},
         {F::SlowJournal, 3},
         {F::SlowDisk, 2},
         {F::Kill, 2},
         {F::Stall, 2},
         {F::ApplyFails, 1}});
    break;
  case 6: // the sync pair's lease
    set({{F::Stall, 6},
         {F::PauseAgent, 2},
         {F::PauseMachine, 2},
         {F::Kill, 2},
         {F::SlowJournal, 2},
         {F::Takeover, 0.5},
         {F::Disaster, 0.5},
         {F::Return, 1},
         {F::Fence, 1},
         {F::ClockStep, 1}});
    break;
  }
}

} // namespace

ClusterSettings draw_settings(Random& random) {
  ClusterSettings s;
  s.hosts = random.chance(0.8) ? 3 : random.chance(0.5) ? 2 : 4;
  s.sync = random.chance(0.75);
  s.fence_stop = random.chance(0.1);
  s.throttle = random.chance(0.25);
  s.shape = {static_cast<std::uint32_t>(random.between(1, volumes_max)),
             static_cast<std::uint32_t>(random.between(2, volume_regions_max))};
  s.ring_bytes = random.chance(0.3) ? 64 << 10 : random.chance(0.5) ? 256 << 10 : 2 << 20;
  s.slots = random.chance(0.3) ? 64 : random.chance(0.5) ? 256 : 1024;
  s.copy_slots = static_cast<std::uint32_t>(random.between(1, 6));
  s.journal_bytes = random.chance(0.25) ? 512 << 10 : 4 << 20;
  s.journal_slots = random.chance(0.2) ? 512 : 8192;
  s.spill_bytes = random.chance(0.3) ? 256 << 10 : 4 << 20;
  s.window_bytes = random.chance(0.3) ? 16 << 10 : 256 << 10;
  s.ack_timeout_ms = random.between(1000, 4000);
  s.checkpoint_ms = random.chance(0.6) ? 1000 : random.between(200, 2000);
  s.drain_ms = random.between(500, 5000);
  s.in_place_allowed = random.chance(0.3);
  s.close_every = 100 * ms + random.below(3 * second);
  s.writers = static_cast<int>(random.between(1, 4));
  // Quiet regions must meet faults: some histories write seldom.
  s.think = random.chance(0.3) ? 600 * ms : random.chance(0.6) ? 150 * ms : 40 * ms;
  s.repeat = 0.8 * random.unit();
  s.old_data = random.chance(0.8);
  s.near_delay = 200 * us + random.below(3 * ms);
  s.far_delay = 5 * ms + random.below(60 * ms);
  s.far_speed = random.chance(0.1) ? 50e3 : random.chance(0.2) ? 200e3 : 10e6;
  s.fault_every = random.chance(0.2) ? 8 * second : 1 * second + random.below(4 * second);
  incline(s, random);
  if (random.chance(0.5)) {
    s.aimed = static_cast<int>(random.below(static_cast<std::uint64_t>(Moment::Count)));
    s.aim = s.aimed == static_cast<int>(Moment::Store) ? 0.02 : 0.05 + 0.3 * random.unit();
  }
  return s;
}

ClusterSettings draw_copyset(ClusterSettings s, int groups, Random& random) {
  s.groups = groups;
  s.hosts = 3;
  s.sync = random.chance(0.6);
  s.fence_stop = s.fence_stop && s.sync;
  // A copy keeps all that comes until all copies of its site can go on.
  s.journal_bytes = 16 << 20;
  s.journal_slots = 16384;
  s.far_speed = std::max(s.far_speed, 200e3); // else a copy that lags holds up the others for minutes
  if (random.chance(0.3))
    s.ack_timeout_ms = random.between(5000, 15000);
  s.max_hold_ms = random.between(50, 600);
  // What happens to whole sites is planned for all groups together.
  for (const Fault fault : {Fault::Takeover, Fault::Disaster, Fault::Return})
    s.weights[static_cast<int>(fault)] = 0;
  s.weights[static_cast<int>(Fault::Kill)] += 1; // never all zero
  s.fault_every *= static_cast<Time>(groups);
  return s;
}

} // namespace rc::sim
