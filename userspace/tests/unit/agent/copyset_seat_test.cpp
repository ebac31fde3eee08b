// SPDX-License-Identifier: GPL-2.0-or-later
// A seat between its core and the way out: order, entering once, a new life with the facts of the old one.
#include "agent/copyset_seat.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace rc::agent {
namespace {
using namespace core::copyset;

const format::LineageEntry entry{1, "home", 9, Era{}};

format::CopysetTable table_of_two() {
  format::CopysetTable table;
  table.name = "money";
  table.epoch = Epoch{1};
  table.seats = {{"a", "home"}, {"b", "home"}};
  table.masters = {{"a", "home"}};
  table.registrar = {"a", "home"};
  table.memberships = {{Epoch{1}, {"a", "b"}}};
  return table;
}

struct SeatTest : ::testing::Test {
  core::Now time{core::second, core::second};
  std::uint64_t ids = 0;
  std::vector<std::string> said; // kinds of what left, in order
  std::vector<format::CopysetMessage> sent;
  std::function<void(const Action&)> order = [](const Action&) {};
  std::unique_ptr<CopysetSeat> seat;

  void begin(const std::string& group, format::CopysetTable table) {
    CopysetSeat::Ways ways;
    ways.send = [this](format::CopysetMessage message) {
      said.push_back("send");
      sent.push_back(std::move(message));
    };
    ways.order = [this](const Action& action) {
      said.push_back(std::holds_alternative<StoreTable>(action)      ? "store"
                     : std::holds_alternative<PutCheckpoint>(action) ? "mark"
                                                                     : "order");
      order(action);
    };
    ways.note = [](const Note&) {};
    ways.refused = [](const TakeoverRefused&) {};
    ways.now = [this] { return time; };
    ways.random_id = [this] { return ++ids; };
    core::CopysetConfig config;
    config.self = {group, "home"};
    seat = std::make_unique<CopysetSeat>(config, std::move(table), std::move(ways));
  }
};

TEST_F(SeatTest, the_first_table_is_stored_before_it_counts) {
  begin("b", {});
  seat->step(MessageArrived{{seat->self(), seat->self(), Epoch{1}, format::TableMessage{table_of_two()}}});
  EXPECT_EQ(said, std::vector<std::string>{"store"});
  EXPECT_EQ(seat->core().table().epoch, Epoch{0});
  seat->step(TableStored{Epoch{1}});
  EXPECT_EQ(seat->core().table().epoch, Epoch{1});
}

// An order whose answer comes from within it must not overtake what the same step said after it.
TEST_F(SeatTest, an_answer_from_within_an_order_is_taken_up_afterwards) {
  begin("b", table_of_two());
  bool inside = false, entered_twice = false;
  order = [&](const Action& action) {
    if (const auto* put = std::get_if<PutCheckpoint>(&action)) {
      entered_twice = entered_twice || inside;
      inside = true;
      seat->step(CheckpointPut{put->n, Era{put->n.value + 1}, true, ""});
      EXPECT_TRUE(sent.empty() || !std::get<format::CheckpointReport>(sent.back().body).holding);
      inside = false;
    }
  };
  seat->step(SourceFacts{true, Era::of(1, 5), false, entry});
  seat->step(MessageArrived{
      {{"a", "home"},
       seat->self(),
       Epoch{1},
       format::CheckpointOrder{{1, 7}, format::CheckpointOrder::Step::Mark, Era::of(1, 5), 1000}}});
  EXPECT_FALSE(entered_twice);
  ASSERT_FALSE(sent.empty());
  const auto& report = std::get<format::CheckpointReport>(sent.back().body);
  EXPECT_EQ(report.marked, Era::of(1, 5));
  EXPECT_TRUE(report.holding);
}

TEST_F(SeatTest, a_new_life_after_a_change_of_settings_knows_the_facts) {
  begin("b", table_of_two());
  seat->step(SourceFacts{true, Era::of(1, 5), false, entry});
  sent.clear();
  core::CopysetConfig config;
  config.self = seat->self();
  config.checkpoint_interval_ms = 5000;
  seat->set_config(config);
  ASSERT_FALSE(sent.empty());
  const auto& report = std::get<format::CheckpointReport>(sent.back().body);
  EXPECT_TRUE(report.running);
  EXPECT_EQ(report.era, Era::of(1, 5));
  EXPECT_EQ(seat->core().table().epoch, Epoch{1});
}

} // namespace
} // namespace rc::agent
