// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/sim/counters.hpp"

namespace rc::sim {

const std::vector<std::string>& expected_counters() {
  static const std::vector<std::string> expected = {
      // faults
      "stall", "break", "slow link", "agent killed", "power cut", "power cut with journal loss",
      "agent paused", "machine paused", "slow disk", "slow journal", "slow metadata", "apply fails",
      "apply failed", "damage", "damaged frame", "takeover by command", "disaster",
      "return of an old primary", "suspend", "burst", "clock step", "flap", "agent killed again and again",
      "fence changed", "aimed at store", "aimed at apply", "aimed at reckon", "aimed at copy",
      "aimed at attach", "aimed at current", "aimed at takeover store",
      // transitions
      "writes", "writes acknowledged", "writes alone", "kernel went alone", "stream started", "overflow",
      "release", "seal", "applied", "apply redone", "takeover", "takeover images", "stale primary found out",
      "old primary returned", "became current", "lease ended", "message Resume", "resync by delta",
      "resync of everything", "draft resumed", "spilled", "sent from spill", "throttled", "connected"};
  return expected;
}

const std::vector<std::string>& expected_of_copysets() {
  static const std::vector<std::string> expected = {
      // faults
      "stall", "agent killed", "power cut", "power cut with journal loss", "agent paused", "machine paused",
      "apply failed", "seats cut off", "copies of a sync site parted", "seat begins anew",
      "copyset message lost", "site burns", "site takeover by command",
      // transitions
      "hold", "held", "void", "release", "applied", "apply redone", "images compared",
      "copies of a site at two checkpoints", "site takeover", "site takeover refused", "old primary returned",
      "draft resumed", "resync by delta", "overflow", "throttled", "became current", "seal",
      "writes acknowledged", "writes alone", "kernel went alone"};
  return expected;
}

} // namespace rc::sim
