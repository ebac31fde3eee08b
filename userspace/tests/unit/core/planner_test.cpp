// SPDX-License-Identifier: GPL-2.0-or-later
// Takeover plans: docs/pipeline.md, Takeover; flaws C9, D2, H6 of the consistency notes.
#include "core/planner.hpp"
#include "unit/core/samples.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace rc::core {
namespace {

constexpr std::uint64_t now_ns = 5000 * second;

NodeKnowledge copy_at(const std::string& name, std::uint64_t n, std::uint64_t age_s) {
  NodeKnowledge node;
  node.node = node.site = name;
  node.reachable = true;
  node.copy.emplace();
  node.copy->restartable = true;
  node.copy->position = {{first_entry()}, Era::of(1, n)};
  node.copy->takeover_checkpoint = Era::of(1, n);
  node.copy->takeover_time_ns = now_ns - age_s * second;
  return node;
}

NodeKnowledge dead_primary() {
  NodeKnowledge node;
  node.node = node.site = "paris";
  node.primary = true;
  return node;
}

PlanInput input(std::vector<NodeKnowledge> nodes) {
  PlanInput it;
  it.group = "g";
  it.at = "lyon";
  it.nodes = std::move(nodes);
  it.volumes = 2;
  it.now_real_ns = now_ns;
  return it;
}

bool has(const Plan& plan, PlanStepKind kind) {
  return std::any_of(plan.steps.begin(), plan.steps.end(),
                     [&](const PlanStep& step) { return step.kind == kind; });
}

TEST(Plan, AtACurrentSiteLosesNothingAndAppliesTheSeal) {
  NodeKnowledge lyon = copy_at("lyon", 10, 1);
  lyon.copy->current = true;
  const Plan plan = plan_takeover(input({dead_primary(), lyon}));
  EXPECT_TRUE(plan.allowed) << plan.refusal;
  EXPECT_TRUE(plan.loss.none);
  EXPECT_FALSE(plan.loss.unknown);
  EXPECT_TRUE(has(plan, PlanStepKind::Seal));
  EXPECT_FALSE(has(plan, PlanStepKind::LastCheckpoint));
  EXPECT_TRUE(has(plan, PlanStepKind::Fence)) << "the primary can't be seen from here";
}

TEST(Plan, StepsAreInTheOrderThatIsSafe) {
  const Plan plan = plan_takeover(input({dead_primary(), copy_at("lyon", 10, 1)}));
  std::vector<PlanStepKind> kinds;
  for (const PlanStep& step : plan.steps)
    kinds.push_back(step.kind);
  EXPECT_EQ(kinds, (std::vector{PlanStepKind::Fence, PlanStepKind::CloseStream, PlanStepKind::LastCheckpoint,
                                PlanStepKind::Discard, PlanStepKind::StoreLineage, PlanStepKind::LoadVolumes,
                                PlanStepKind::StartStream}));
}

TEST(Plan, NamesAGenerationAboveEveryOneThatWasHeardOf) {
  PlanInput it = input({dead_primary(), copy_at("lyon", 10, 1)});
  it.newest_known = 4;
  const Plan plan = plan_takeover(it);
  const auto step = std::find_if(plan.steps.begin(), plan.steps.end(), [](const PlanStep& each) {
    return each.kind == PlanStepKind::StoreLineage;
  });
  ASSERT_NE(step, plan.steps.end());
  EXPECT_NE(step->text.find("generation 5"), std::string::npos) << step->text;
}

TEST(Plan, OnceCurrentMeansLossUnknown) {
  NodeKnowledge lyon = copy_at("lyon", 10, 1);
  lyon.copy->was_current = true;
  lyon.copy->current_until_ns = now_ns - 20 * second;
  const Plan plan = plan_takeover(input({dead_primary(), lyon}));
  EXPECT_TRUE(plan.allowed);
  EXPECT_FALSE(plan.loss.none);
  EXPECT_TRUE(plan.loss.unknown);
  EXPECT_NE(plan.loss.text.find("20.0 s"), std::string::npos) << plan.loss.text;
}

TEST(Plan, ADeadPrimaryIsUnknownNotZero) {
  const Plan plan = plan_takeover(input({dead_primary(), copy_at("lyon", 10, 3)}));
  EXPECT_TRUE(plan.loss.unknown);
  ASSERT_TRUE(plan.loss.seconds_ns);
  EXPECT_EQ(*plan.loss.seconds_ns, 3 * second);
  EXPECT_FALSE(plan.loss.bytes);
}

TEST(Plan, APrimaryThatAnswersGivesTheFigures) {
  NodeKnowledge paris = dead_primary();
  paris.reachable = true;
  paris.source.emplace();
  LinkStatus link;
  link.peer = "lyon";
  link.lag_ns = 2 * second;
  link.lag_bytes = 3 << 20;
  paris.source->links.push_back(link);
  const Plan plan = plan_takeover(input({paris, copy_at("lyon", 10, 2)}));
  EXPECT_TRUE(plan.allowed) << plan.refusal;
  EXPECT_FALSE(plan.loss.unknown);
  EXPECT_EQ(*plan.loss.seconds_ns, 2 * second);
  EXPECT_EQ(*plan.loss.bytes, 3U << 20);
  EXPECT_EQ(plan.loss.volumes, 2U);
}

TEST(Plan, APrimaryThatWritesIsNotOverruledWithoutForce) {
  NodeKnowledge paris = dead_primary();
  paris.reachable = paris.primary_live = true;
  PlanInput it = input({paris, copy_at("lyon", 10, 2)});
  Plan plan = plan_takeover(it);
  EXPECT_FALSE(plan.allowed);
  EXPECT_TRUE(plan.needs_force);
  it.force = true;
  EXPECT_TRUE(plan_takeover(it).allowed);
}

TEST(Plan, WhatAnotherSiteHoldsMoreIsShownAndNeedsItsName) {
  PlanInput it = input({dead_primary(), copy_at("lyon", 10, 5), copy_at("dijon", 13, 2)});
  Plan plan = plan_takeover(it);
  EXPECT_FALSE(plan.allowed);
  ASSERT_EQ(plan.others.size(), 1U);
  EXPECT_EQ(plan.others[0].node, "dijon");
  EXPECT_EQ(plan.others[0].newer_by_ns, 3 * second);
  it.force = true;
  EXPECT_FALSE(plan_takeover(it).allowed) << "--force does not stand for the name of the site";
  it.accept_loss_of = {"dijon"};
  plan = plan_takeover(it);
  EXPECT_TRUE(plan.allowed) << plan.refusal;
  EXPECT_TRUE(has(plan, PlanStepKind::TellPeers));
}

TEST(Plan, AtTheAsyncSiteWhileAnotherIsCurrentIsRefused) {
  NodeKnowledge dijon = copy_at("dijon", 10, 5);
  dijon.copy->current = true;
  const Plan plan = plan_takeover(input({dead_primary(), copy_at("lyon", 10, 5), dijon}));
  EXPECT_FALSE(plan.allowed);
  EXPECT_NE(plan.refusal.find("acknowledged"), std::string::npos) << plan.refusal;
}

TEST(Plan, AnUnreachableSiteIsSaidToBeUnknown) {
  NodeKnowledge dijon;
  dijon.node = dijon.site = "dijon";
  const Plan plan = plan_takeover(input({dead_primary(), copy_at("lyon", 10, 5), dijon}));
  EXPECT_TRUE(plan.allowed) << "it may be gone for good";
  ASSERT_EQ(plan.others.size(), 1U);
  EXPECT_NE(plan.others[0].text.find("unknown"), std::string::npos);
  EXPECT_TRUE(plan.loss.unknown);
}

TEST(Plan, WithoutAnImageThereIsNoTakeover) {
  NodeKnowledge lyon = copy_at("lyon", 0, 0);
  lyon.copy->restartable = false;
  PlanInput it = input({dead_primary(), lyon});
  it.force = true;
  const Plan plan = plan_takeover(it);
  EXPECT_FALSE(plan.allowed);
  EXPECT_FALSE(plan.needs_force) << "force does not make an image";
  it.nodes[1].copy->draft_in_place = true;
  EXPECT_FALSE(plan_takeover(it).allowed);
}

TEST(Plan, UnknownNodesAndThePrimaryItselfAreRefused) {
  PlanInput it = input({dead_primary()});
  EXPECT_FALSE(plan_takeover(it).allowed);
  it.at = "paris";
  EXPECT_FALSE(plan_takeover(it).allowed);
}

} // namespace
} // namespace rc::core
