// SPDX-License-Identifier: GPL-2.0-or-later
// The takeover plan. Refusals come first (no image; a primary that still accepts writes; another site that
// holds more), then the steps, then the loss. What is not known is said to be unknown, never counted as zero.
#include "core/planner.hpp"

#include "core/lineage.hpp"

#include <algorithm>

namespace rc::core {
namespace {

std::string seconds_text(std::uint64_t ns) {
  const std::uint64_t tenths = (ns + 50 * ms) / (100 * ms);
  return std::to_string(tenths / 10) + '.' + std::to_string(tenths % 10) + " s";
}

std::string bytes_text(std::uint64_t bytes) {
  if (bytes >= 10 << 20)
    return std::to_string(bytes >> 20) + " MiB";
  return std::to_string((bytes + 1023) >> 10) + " KiB";
}

bool named(const std::vector<std::string>& sites, const NodeKnowledge& node) {
  return std::any_of(sites.begin(), sites.end(),
                     [&](const std::string& name) { return name == node.site || name == node.node; });
}

// Is the image of `other` newer than what a takeover at `here` would show? Compared through the lineages.
bool newer(const TargetStatus& here, const TargetStatus& other) {
  const std::uint64_t ours = newest_generation(here.position.lineage);
  const std::uint64_t theirs = newest_generation(other.position.lineage);
  if (ours != theirs)
    return theirs > ours;
  if (other.takeover_checkpoint != here.takeover_checkpoint)
    return other.takeover_checkpoint > here.takeover_checkpoint;
  return other.takeover_time_ns > here.takeover_time_ns;
}

void add_steps(Plan& plan, const PlanInput& input, const NodeKnowledge& here, const NodeKnowledge* primary) {
  const TargetStatus& copy = *here.copy;
  const auto step = [&](PlanStepKind kind, std::string text) {
    plan.steps.push_back({kind, here.node, std::move(text)});
  };
  if (primary && (!primary->reachable || primary->primary_live))
    plan.steps.push_back({PlanStepKind::Fence, primary->node,
                          primary->reachable
                              ? "stop the primary " + primary->node + ": it still accepts writes"
                              : "make sure that the primary " + primary->node + " (" + primary->site +
                                    ") is down or fenced; this node can't see it"});
  step(PlanStepKind::CloseStream,
       "close the source's stream at " + here.node + ": what comes later is refused");
  if (copy.update_in_progress)
    step(PlanStepKind::FinishRelease, "finish the update in progress (must complete)");
  if (copy.current || copy.was_current)
    step(PlanStepKind::Seal, "apply the seal: all that the journal holds beyond the last checkpoint" +
                                 std::string(copy.current ? "" : ", up to where the stream was closed"));
  else
    step(PlanStepKind::LastCheckpoint,
         "apply through the last valid checkpoint, " + rc::to_string(plan.image));
  step(PlanStepKind::Discard, copy.draft ? "discard the rest of the journal, with the unfinished resync in it"
                                         : "discard the rest of the journal");
  step(PlanStepKind::StoreLineage,
       "store generation " +
           std::to_string(std::max(newest_generation(copy.position.lineage), input.newest_known) + 1) +
           " at site " + here.site);
  step(PlanStepKind::LoadVolumes, "load " + std::to_string(input.volumes) + " volume(s) with role primary");
  step(PlanStepKind::StartStream, "start a stream; hosts may write");
  for (const NodeKnowledge& node : input.nodes)
    if (node.node != here.node && node.reachable && !node.primary)
      plan.steps.push_back({PlanStepKind::TellPeers, node.node,
                            "tell " + node.node + " that " + here.node + " is the primary now"});
}

void forecast(Plan& plan, const PlanInput& input, const NodeKnowledge& here, const NodeKnowledge* primary) {
  const TargetStatus& copy = *here.copy;
  LossForecast& loss = plan.loss;
  loss.volumes = input.volumes;
  if (copy.current) {
    loss.none = true;
    loss.volumes = 0;
    loss.seconds_ns = 0;
    loss.bytes = 0;
    loss.text = "nothing is lost: the copy at " + here.site + " is current";
    return;
  }
  // What the primary last said about this copy is the best figure; without it the age of the image is an
  // upper bound.
  const LinkStatus* link = nullptr;
  if (primary && primary->source)
    for (const LinkStatus& each : primary->source->links)
      if (each.peer == here.node)
        link = &each;
  if (link && primary->reachable && !primary->source->alone) {
    loss.seconds_ns = link->lag_ns;
    if (!link->lag_at_least)
      loss.bytes = link->lag_bytes;
    loss.none = link->lag_ns == 0 && link->lag_bytes == 0;
    loss.text = loss.none ? "nothing is lost as far as the primary says: no write followed the image"
                          : "lost: up to " + seconds_text(link->lag_ns) + " of work" +
                                (loss.bytes ? ", " + bytes_text(*loss.bytes) + " written" : std::string());
    if (loss.none)
      loss.volumes = 0;
    return;
  }
  loss.unknown = true;
  const std::uint64_t image = plan.image_time_ns;
  if (image != 0 && input.now_real_ns > image)
    loss.seconds_ns = input.now_real_ns - image;
  const std::string age = loss.seconds_ns ? seconds_text(*loss.seconds_ns) : "an unknown time";
  if (copy.was_current) {
    loss.text = "current as of " +
                (input.now_real_ns > copy.current_until_ns && copy.current_until_ns != 0
                     ? seconds_text(input.now_real_ns - copy.current_until_ns) + " ago"
                     : std::string("an unknown time")) +
                "; the primary may have gone on alone since: loss unknown";
    return;
  }
  loss.text = "the image is " + age +
              " old; what the primary wrote since is lost (the primary does not answer: unknown, at most " +
              age + " of work)";
}

} // namespace

const char* to_string(PlanStepKind kind) {
  switch (kind) {
  case PlanStepKind::Fence:
    return "fence";
  case PlanStepKind::CatchUp:
    return "catch_up";
  case PlanStepKind::CloseStream:
    return "close_stream";
  case PlanStepKind::FinishRelease:
    return "finish_release";
  case PlanStepKind::Seal:
    return "seal";
  case PlanStepKind::LastCheckpoint:
    return "last_checkpoint";
  case PlanStepKind::Discard:
    return "discard";
  case PlanStepKind::StoreLineage:
    return "store_lineage";
  case PlanStepKind::LoadVolumes:
    return "load_volumes";
  case PlanStepKind::StartStream:
    return "start_stream";
  case PlanStepKind::TellPeers:
    return "tell_peers";
  }
  return "?";
}

Plan plan_takeover(const PlanInput& input) {
  Plan plan;
  const NodeKnowledge* here = nullptr;
  const NodeKnowledge* primary = nullptr;
  for (const NodeKnowledge& node : input.nodes) {
    if (node.node == input.at)
      here = &node;
    if (node.primary)
      primary = &node;
  }
  const auto refuse = [&](std::string why, std::string next, bool force_helps) {
    plan.refusal = std::move(why);
    plan.next_action = std::move(next);
    plan.needs_force = force_helps;
  };
  if (!here) {
    refuse("no node " + input.at + " has the group " + input.group, "name a node that holds a copy", false);
    return plan;
  }
  if (here->primary) {
    refuse(input.at + " is the primary already", "nothing is to be done", false);
    return plan;
  }
  if (!here->copy) {
    refuse(input.at + " did not answer: what it holds is unknown",
           "run the takeover on " + input.at + " itself", false);
    return plan;
  }
  const TargetStatus& copy = *here->copy;
  if (!copy.restartable) {
    refuse(copy.draft_in_place ? "the copy is being written in place and holds no restartable image"
                               : "the copy holds no image yet",
           "take over at another site, or let the copying end", false);
    return plan;
  }
  plan.image = copy.takeover_checkpoint;
  plan.image_time_ns = copy.current ? input.now_real_ns : copy.takeover_time_ns;
  for (const NodeKnowledge& node : input.nodes) {
    if (&node == here || node.primary || !node.copy || !node.copy->restartable || !node.reachable)
      continue;
    if (newer(copy, *node.copy) || (node.copy->current && !copy.current)) {
      HoldsMore more{node.node, node.site, 0, ""};
      const std::uint64_t theirs = node.copy->current ? input.now_real_ns : node.copy->takeover_time_ns;
      more.newer_by_ns = theirs > plan.image_time_ns ? theirs - plan.image_time_ns : 0;
      more.text = node.node + " (" + node.site + ") holds up to " + seconds_text(more.newer_by_ns) + " more" +
                  (node.copy->current ? " and is current: acknowledged writes would be lost" : "");
      plan.others.push_back(std::move(more));
    }
  }
  forecast(plan, input, *here, primary);
  for (const NodeKnowledge& node : input.nodes)
    if (!node.reachable && &node != here && !node.primary) {
      plan.loss.unknown = plan.loss.unknown || !copy.current;
      plan.others.push_back({node.node, node.site, 0,
                             node.node + " (" + node.site + ") does not answer: what it holds is unknown"});
    }
  add_steps(plan, input, *here, primary);
  if (primary && primary->reachable && primary->primary_live && !input.force) {
    refuse("the primary " + primary->node + " answers and accepts writes",
           "stop the application and make the primary a secondary, or fence it and use --force", true);
    return plan;
  }
  for (const HoldsMore& other : plan.others) {
    const auto node = std::find_if(input.nodes.begin(), input.nodes.end(),
                                   [&](const NodeKnowledge& each) { return each.node == other.node; });
    if (!node->reachable || named(input.accept_loss_of, *node))
      continue;
    refuse(other.text, "take over at " + other.node + ", or accept it with --accept-loss-of " + other.site,
           true);
    return plan;
  }
  plan.allowed = true;
  plan.next_action = "run it without --dry-run";
  return plan;
}

} // namespace rc::core
