// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/site_plan.hpp"

#include <gtest/gtest.h>

namespace rc::agent {
namespace {
using namespace control;

SeatPlan seat(const std::string& group, const std::string& node, double seconds, std::uint64_t bytes) {
  TakeoverReply plan;
  plan.group = group;
  plan.dry_run = plan.allowed = true;
  plan.forecast.lost_seconds = seconds;
  plan.forecast.lost_bytes = bytes;
  plan.forecast.lost_volumes = {"data"};
  plan.forecast.in_words = "some";
  plan.steps = {{"p1", "fence it", StepState::Planned, "", "fence"},
                {node, "close the stream", StepState::Planned, "", "close_stream"},
                {"x", "tell x", StepState::Planned, "", "tell_peers"}};
  plan.sites = {{"away", node, true, "checkpoint 1.7", {}}};
  return {group, node, plan};
}

TEST(SitePlan, the_loss_is_that_of_the_worst_and_the_steps_are_those_of_the_site) {
  const auto plan =
      site_plan("money", "away", "bank", "a1", {seat("bank", "a1", 1.5, 100), seat("audit", "a2", 3, 20)});
  EXPECT_TRUE(plan.allowed);
  EXPECT_FALSE(plan.complete);
  EXPECT_EQ(plan.forecast.lost_seconds, 3);
  EXPECT_EQ(plan.forecast.lost_bytes, 120u);
  EXPECT_EQ(plan.forecast.lost_volumes, (std::vector<std::string>{"bank/data", "audit/data"}));
  ASSERT_EQ(plan.steps.size(), 4u); // the same fence and the same word to others: once
  EXPECT_EQ(plan.steps[0].kind, "fence");
  EXPECT_EQ(plan.steps[1].node, "a1");
  EXPECT_EQ(plan.steps[2].node, "a2");
  EXPECT_EQ(plan.steps[3].kind, "tell_peers");
}

TEST(SitePlan, what_one_seat_does_not_know_the_site_does_not_know) {
  auto unknown = seat("audit", "a2", 1, 1);
  unknown.plan.forecast.lost_seconds.reset();
  const auto plan = site_plan("money", "away", "bank", "a1", {unknown, seat("bank", "a1", 1.5, 100)});
  EXPECT_FALSE(plan.forecast.lost_seconds);
  EXPECT_EQ(plan.forecast.lost_bytes, 101u);
}

TEST(SitePlan, one_refusal_refuses_the_site) {
  auto refused = seat("audit", "a2", 1, 1);
  refused.plan.allowed = false;
  refused.plan.needs_force = true;
  refused.plan.refusal = "the primary still answers";
  const auto plan = site_plan("money", "away", "bank", "a1", {seat("bank", "a1", 1, 1), refused});
  EXPECT_FALSE(plan.allowed);
  EXPECT_TRUE(plan.needs_force);
  EXPECT_EQ(plan.refusal, "group audit on node a2: the primary still answers");
}

TEST(SitePlan, a_site_of_which_all_seats_write_is_complete_with_all_devices) {
  SeatPlan one{"bank", "a1", {}}, other{"audit", "a2", {}};
  one.plan.complete = other.plan.complete = true;
  one.plan.devices = {"/dev/mapper/bank-data"};
  other.plan.devices = {"/dev/mapper/audit-data"};
  const auto half = site_plan("money", "away", "bank", "a1", {one, seat("audit", "a2", 1, 1)});
  EXPECT_FALSE(half.complete);
  const auto whole = site_plan("money", "away", "bank", "a1", {one, other});
  EXPECT_TRUE(whole.complete);
  EXPECT_EQ(whole.devices, (std::vector<std::string>{"/dev/mapper/bank-data", "a2:/dev/mapper/audit-data"}));
}

} // namespace
} // namespace rc::agent
