// SPDX-License-Identifier: GPL-2.0-or-later
#include "ctl/wait_condition.hpp"

#include <gtest/gtest.h>

using namespace rc;
using namespace rc::ctl;
using namespace rc::control;

namespace {

StatusReply two_pairs() {
  PairStatus sync;
  sync.group = "bank";
  sync.source = "pa";
  sync.target = "sy";
  sync.mode = Mode::Sync;
  sync.state = PairState::Duplex;
  sync.sync = SyncState::Current;
  sync.link = LinkState::Up;
  sync.lag_seconds = 0;
  sync.lag_bytes = 0;
  PairStatus async = sync;
  async.target = "as";
  async.mode = Mode::Async;
  async.sync = SyncState::NotSync;
  async.lag_seconds = 4;
  async.lag_bytes = 4096;
  GroupStatus group;
  group.name = "bank";
  group.state = GroupState::Active;
  group.pairs = {sync, async};
  StatusReply report;
  report.groups.push_back(group);
  return report;
}

bool met(const StatusReply& report, const char* condition, const char* group = "", const char* node = "") {
  const Judgement judgement = judge(report, *parse_condition(condition), group, node);
  EXPECT_EQ(judgement.met, judgement.reason.empty()) << judgement.reason;
  return judgement.met;
}

} // namespace

TEST(WaitCondition, only_known_conditions_are_read) {
  EXPECT_EQ(parse_condition("lag<1.5s")->lag_seconds, 1.5);
  EXPECT_EQ(parse_condition("drained")->kind, Condition::Kind::Drained);
  for (const char* bad : {"", "lag", "lag<", "lag<x", "Synced"})
    EXPECT_FALSE(parse_condition(bad)) << bad;
}

TEST(WaitCondition, synced_needs_duplex_and_of_sync_pairs_current) {
  StatusReply report = two_pairs();
  EXPECT_TRUE(met(report, "synced"));
  report.groups[0].pairs[0].sync = SyncState::NotCurrent;
  EXPECT_FALSE(met(report, "synced"));
  EXPECT_TRUE(met(report, "synced", "bank", "as"));
  report.groups[0].pairs[1].state = PairState::Pending;
  EXPECT_FALSE(met(report, "synced", "bank", "as"));
}

TEST(WaitCondition, an_unknown_lag_is_never_below) {
  StatusReply report = two_pairs();
  EXPECT_TRUE(met(report, "lag<5s"));
  EXPECT_FALSE(met(report, "lag<4s"));
  report.groups[0].pairs[1].lag_at_least = true;
  EXPECT_FALSE(met(report, "lag<5s"));
  report.groups[0].pairs[1].lag_at_least = false;
  report.groups[0].pairs[1].lag_seconds.reset();
  EXPECT_FALSE(met(report, "lag<5s"));
}

TEST(WaitCondition, drained_needs_a_link_and_nothing_under_way) {
  StatusReply report = two_pairs();
  EXPECT_FALSE(met(report, "drained"));
  report.groups[0].pairs[1].lag_bytes = 0;
  EXPECT_TRUE(met(report, "drained"));
  report.groups[0].pairs[1].link = LinkState::Down;
  EXPECT_FALSE(met(report, "drained"));
}

TEST(WaitCondition, connected_looks_at_links_only) {
  StatusReply report = two_pairs();
  report.groups[0].pairs[1].state = PairState::Failed;
  EXPECT_TRUE(met(report, "connected"));
  report.groups[0].pairs[1].link = LinkState::Connecting;
  EXPECT_FALSE(met(report, "connected"));
}

TEST(WaitCondition, active_is_about_the_groups_here) {
  StatusReply report = two_pairs();
  EXPECT_TRUE(met(report, "active", "bank"));
  report.groups[0].state = GroupState::Unconfirmed;
  EXPECT_FALSE(met(report, "active", "bank"));
}

TEST(WaitCondition, what_is_not_there_is_not_met) {
  const StatusReply report = two_pairs();
  EXPECT_FALSE(met(report, "synced", "shop"));
  EXPECT_FALSE(met(report, "synced", "bank", "xx"));
  EXPECT_FALSE(met(report, "active", "shop"));
  EXPECT_FALSE(met(StatusReply{}, "connected"));
}
