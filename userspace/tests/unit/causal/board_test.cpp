// SPDX-License-Identifier: GPL-2.0-or-later
#include "causal/ack_log.hpp"
#include "causal/board.hpp"
#include "history.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

using namespace rc;
using namespace rc::causal;

namespace {

const auto ignore_log = [](ByteView) { return Status(); };

Block next_block(const Shape& shape, std::uint32_t lane, std::uint32_t number) {
  Block block{.shape = shape, .id = {lane, number}, .place = shape.place_of({lane, number}), .clock = {}};
  return block;
}

Completion done(const Block& block) { return {.id = block.id, .place = block.place, .done_ns = 1}; }

} // namespace

TEST(Board, a_completion_is_seen_by_others_only_when_it_is_in_the_log) {
  const Shape shape = test::small_shape(1, 2, 2, 1000);
  std::promise<void> log_reached;
  std::promise<void> log_may_return;
  std::shared_future<void> gate = log_may_return.get_future().share();
  std::atomic<bool> first = true;
  Board board(shape, 0, [&](ByteView) {
    if (first.exchange(false)) {
      log_reached.set_value();
      gate.wait();
    }
    return Status();
  });
  Block one = next_block(shape, 0, 1);
  ASSERT_TRUE(board.begin(one));
  std::thread completer([&] { EXPECT_TRUE(board.complete(done(one), 4096)); });
  log_reached.get_future().wait();
  Block other = next_block(shape, 1, 1);
  ASSERT_TRUE(board.begin(other)); // the write of lane 0 was done, but is not in the log yet
  EXPECT_EQ(other.clock[0], 0u);
  log_may_return.set_value();
  completer.join();
  ASSERT_TRUE(board.complete(done(other), 4096));
  other = next_block(shape, 1, 2);
  ASSERT_TRUE(board.begin(other));
  EXPECT_EQ(other.clock[0], 1u);
  EXPECT_EQ(board.stats(monotonic_ns()).writes, 2u);
}

TEST(Board, a_second_write_to_a_place_waits_and_then_knows_the_first) {
  const Shape shape = test::small_shape(1, 2, 1, 1); // one place only
  Board board(shape, 0, ignore_log);
  Block one = next_block(shape, 0, 1);
  ASSERT_TRUE(board.begin(one));
  std::atomic<bool> begun = false;
  std::thread other([&] {
    Block two = next_block(shape, 1, 1);
    EXPECT_TRUE(board.begin(two));
    begun = true;
    EXPECT_EQ(two.clock[0], 1u);
    EXPECT_TRUE(board.complete(done(two), 4096));
  });
  EXPECT_FALSE(begun); // cannot have begun: the place is busy until complete() below
  ASSERT_TRUE(board.complete(done(one), 4096));
  other.join();
  EXPECT_TRUE(begun);
}

TEST(Board, an_error_of_the_log_ends_every_lane_and_acknowledges_nothing) {
  const Shape shape = test::small_shape(1, 8, 2, 4);
  std::atomic<int> calls = 0;
  Board board(shape, 0, [&](ByteView) {
    return ++calls == 20 ? Status(Error{ErrorCode::Full, "log full", ""}) : Status();
  });
  std::vector<std::thread> lanes;
  for (std::uint32_t lane = 0; lane < 8; lane++)
    lanes.emplace_back([&, lane] {
      for (std::uint32_t number = 1;; number++) {
        Block block = next_block(shape, lane, number);
        if (!board.begin(block) || !board.complete(done(block), 4096))
          return;
      }
    });
  for (auto& lane : lanes)
    lane.join();
  ASSERT_TRUE(board.error());
  EXPECT_EQ(board.error()->what, "log full");
  EXPECT_EQ(calls, 20);
}

// Many lanes, few places: all invariants at once, judged from the log and the clocks alone.
TEST(Board, keeps_clocks_closed_places_ordered_and_the_log_complete_under_contention) {
  const Shape shape = test::small_shape(1, 16, 2, 8);
  Bytes log = encode(LogHeader{shape, 0, 1});
  Board board(shape, 0, [&](ByteView bytes) {
    append_bytes(log, bytes);
    return Status();
  });
  constexpr std::uint32_t each = 400;
  std::vector<std::vector<Block>> issued(16);
  std::vector<std::atomic<int>> writing(shape.place_total());
  std::vector<std::thread> lanes;
  for (std::uint32_t lane = 0; lane < 16; lane++)
    lanes.emplace_back([&, lane] {
      for (std::uint32_t number = 1; number <= each; number++) {
        Block block = next_block(shape, lane, number);
        ASSERT_TRUE(board.begin(block));
        auto& here = writing[shape.place_index(block.place)];
        EXPECT_EQ(here.fetch_add(1), 0);
        std::this_thread::yield();
        EXPECT_EQ(here.fetch_sub(1), 1);
        issued[lane].push_back(block);
        ASSERT_TRUE(board.complete(done(block), 4096));
      }
    });
  for (auto& lane : lanes)
    lane.join();

  const auto sections = parse_log(log);
  ASSERT_TRUE(sections) << sections.error().text();
  EXPECT_EQ((*sections)[0].completions.size(), 16u * each);
  for (const auto& lane : issued)
    for (const Block& block : lane)
      for (std::uint32_t other = 0; other < 16; other++) {
        if (block.clock[other] == 0)
          continue;
        const Block& known = issued[other][block.clock[other] - 1];
        EXPECT_LT(known.order, block.order);
        for (std::uint32_t i = 0; i < 16; i++)
          ASSERT_LE(known.clock[i], block.clock[i]); // what it depends on, and all that depends on in turn
      }
  std::vector<std::vector<Block>> at_place(shape.place_total());
  for (const auto& lane : issued)
    for (const Block& block : lane)
      at_place[shape.place_index(block.place)].push_back(block);
  for (auto& versions : at_place) {
    std::sort(versions.begin(), versions.end(),
              [](const auto& a, const auto& b) { return a.order < b.order; });
    for (std::size_t i = 1; i < versions.size(); i++)
      ASSERT_GE(versions[i].clock[versions[i - 1].id.lane], versions[i - 1].id.number);
  }
}

TEST(Board, a_peers_clock_raises_only_the_entries_of_other_hosts) {
  const Shape shape = test::small_shape(2, 2, 1, 100);
  Board board(shape, 1, ignore_log);
  board.merge({7, 8, 9, 10});
  board.merge({6, 9, 0, 0});
  Block block = next_block(shape, 2, 1);
  ASSERT_TRUE(board.begin(block));
  EXPECT_EQ(block.clock, (Clock{7, 9, 0, 0}));
}
