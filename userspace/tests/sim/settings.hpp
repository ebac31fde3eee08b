// SPDX-License-Identifier: GPL-2.0-or-later
// What one history is like, drawn from its seed: sizes, rates, links, what kinds of faults it is inclined to.
#pragma once

#include "core/mutation.hpp"
#include "tests/sim/image.hpp"
#include "tests/sim/random.hpp"
#include "tests/sim/region_map.hpp"
#include "tests/sim/scheduler.hpp"

namespace rc::sim {

// Where in the cluster's work a fault may be aimed at.
enum class Moment { Store, TakeoverStore, Apply, Reckon, Copy, Attach, Current, Count };
const char* to_string(Moment moment);

struct ClusterSettings {
  int groups = 1; // more: a copyset, each group with hosts of its own
  std::uint64_t max_hold_ms = 500;
  int hosts = 3;    // 0: primary at first, 1: near by, 2...: far away
  bool sync = true; // between 0 and 1
  bool fence_stop = false;
  bool throttle = false; // on_full of every host
  Shape shape;
  std::uint64_t ring_bytes = 1 << 20;
  std::uint32_t slots = 256;
  std::uint32_t copy_slots = 4;
  std::uint64_t journal_bytes = 4 << 20;
  std::uint64_t journal_slots = 4096;
  std::uint64_t spill_bytes = 4 << 20; // of host 0
  std::uint64_t window_bytes = 256 << 10;
  std::uint64_t ack_timeout_ms = 2000;
  std::uint64_t checkpoint_ms = 1000;
  std::uint64_t drain_ms = 3000;
  bool in_place_allowed = false;
  Time close_every = second;
  Time tick = 50 * ms;
  int writers = 3;
  Time think = 100 * ms; // mean pause of a writer
  double repeat = 0.3;   // chance that a write goes where the last one went
  bool old_data = true;  // there is data before the pair
  Time near_delay = ms, far_delay = 20 * ms;
  double far_speed = 20e6; // bytes per second
  Time length = 60 * second;
  // Faults.
  Time fault_every = 3 * second; // mean
  double weights[22] = {};       // by Fault
  int aimed = -1;                // Moment, -1: none
  double aim = 0;                // chance of a fault at that moment
  ModelMutation mutation = ModelMutation::None;
  bool check_gate = true; // off when the mutation is the gate's: it must be harmless by itself
};

ClusterSettings draw_settings(Random& random);
// The same for a copyset of several groups.
ClusterSettings draw_copyset(ClusterSettings settings, int groups, Random& random);

} // namespace rc::sim
