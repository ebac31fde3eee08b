// SPDX-License-Identifier: GPL-2.0-or-later
// The takeover plan: a pure function from what is known about the nodes to ordered steps and a forecast of
// the loss. Printed by `rcctl takeover --dry-run` and executed by the agent; each step is idempotent. An
// unreachable site is unknown, not zero. Papers: seeds/003 (Fig. 14), seeds/004.
#pragma once

#include "core/status.hpp"

#include <optional>

namespace rc::core {

struct NodeKnowledge { // of one node that has the group
  std::string node;
  std::string site;
  bool reachable = false;
  bool primary = false;
  bool primary_live = false;          // reachable and its volumes accept writes
  std::optional<TargetStatus> copy;   // of a secondary that answered
  std::optional<SourceStatus> source; // of a primary that answered
  std::uint64_t last_seen_ns = 0;     // real time of the last report, 0: never
};

struct PlanInput {
  std::string group;
  std::string at; // node that takes over
  std::vector<NodeKnowledge> nodes;
  std::uint64_t volumes = 0;
  std::uint64_t newest_known = 0; // generation that this node has heard of
  std::uint64_t now_real_ns = 0;
  bool force = false;                      // go against a refusal that --force may overrule
  std::vector<std::string> accept_loss_of; // sites whose newer data may be lost, named explicitly
};

enum class PlanStepKind {
  Fence,
  CatchUp,
  CloseStream,
  FinishRelease,
  Seal,
  LastCheckpoint,
  Discard,
  StoreLineage,
  LoadVolumes,
  StartStream,
  TellPeers
};

struct PlanStep {
  PlanStepKind kind{};
  std::string node;
  std::string text;
};

struct LossForecast {
  bool none = false;                       // nothing is lost
  bool unknown = false;                    // some site did not answer: it may hold more
  std::optional<std::uint64_t> seconds_ns; // newest known write there minus the image, upper bound
  std::optional<std::uint64_t> bytes;
  std::uint64_t volumes = 0; // concerned
  std::string text;          // one or two sentences
};

struct HoldsMore { // another reachable site holds writes that the image will lack
  std::string node;
  std::string site;
  std::uint64_t newer_by_ns = 0;
  std::string text;
};

struct Plan {
  bool allowed = false;
  bool needs_force = false; // refused now, --force (or accept_loss_of) would do it
  std::string refusal;
  std::string next_action;
  std::vector<PlanStep> steps;
  LossForecast loss;
  std::vector<HoldsMore> others;
  Era image{};
  std::uint64_t image_time_ns = 0;
};

Plan plan_takeover(const PlanInput& input);
const char* to_string(PlanStepKind kind);

} // namespace rc::core
