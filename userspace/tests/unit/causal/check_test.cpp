// SPDX-License-Identifier: GPL-2.0-or-later
// The checker against the definition: random histories, random cuts; and the losses a replicator could
// commit.
#include "causal/check.hpp"
#include "history.hpp"

#include <gtest/gtest.h>

using namespace rc;
using namespace rc::causal;
using namespace rc::causal::test;

namespace {

// What dm-flakey's drop_writes does to one write: it never reaches its place, later ones there do.
// Only a write that nothing overwrote shows.
std::vector<std::size_t> last_at_their_place(const History& history, const History::Cut& all) {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < history.writes().size(); i++) {
    const Ghost& write = history.writes()[i];
    if (all[history.shape().place_index(write.block.place)] == write.turn + 1)
      found.push_back(i);
  }
  return found;
}

bool something_depends_on(const History& history, std::size_t index) {
  for (const Ghost& write : history.writes())
    if (index < write.before.size() && write.before[index])
      return true;
  return false;
}

History::Cut cut_after_completions(const History& history, std::size_t count) {
  std::vector<bool> kept(history.writes().size());
  for (std::size_t i = 0; i < count; i++)
    kept[history.completions()[i]] = true;
  return history.up_to(kept);
}

} // namespace

TEST(Check, accepts_the_whole_run_and_nothing_at_all) {
  const History history(small_shape(1, 4, 2, 20), 300, 1);
  const AckLog log = history.log();
  const Verdict all = check(history.image(history.everything()), &log);
  EXPECT_TRUE(all.causal());
  EXPECT_EQ(all.lost, 0u);
  EXPECT_EQ(all.acknowledged, history.completions().size());
  EXPECT_EQ(all.contained, history.writes().size());
  EXPECT_EQ(all.rpo_s, 0);

  const Verdict nothing = check(history.image(history.nothing()), &log);
  EXPECT_TRUE(nothing.causal());
  EXPECT_EQ(nothing.lost, history.completions().size());
  EXPECT_EQ(nothing.lost_bytes, history.completions().size() * 4096);
  EXPECT_DOUBLE_EQ(nothing.rpo_s, static_cast<double>(history.completions().size()) * 1e-3);
}

TEST(Check, finds_every_dropped_write_that_another_depends_on_and_only_those) {
  const History history(small_shape(1, 4, 2, 20), 300, 2);
  const auto all = history.everything();
  std::size_t found = 0;
  std::size_t harmless = 0;
  for (const std::size_t dropped : last_at_their_place(history, all)) {
    auto cut = all;
    cut[history.shape().place_index(history.writes()[dropped].block.place)]--;
    const Verdict verdict = check(history.image(cut), nullptr);
    EXPECT_EQ(verdict.causal(), !something_depends_on(history, dropped));
    if (verdict.causal()) {
      harmless++;
      continue;
    }
    found++;
    ASSERT_EQ(verdict.missing, 1u);
    EXPECT_EQ(verdict.first_missing[0].id, history.writes()[dropped].block.id);
    EXPECT_EQ(verdict.first_missing[0].place, history.writes()[dropped].block.place);
  }
  EXPECT_GT(found, 30u);
  EXPECT_GT(harmless, 0u); // the last write of each lane
}

TEST(Check, finds_a_device_that_stopped_while_the_other_went_on) {
  const History history(small_shape(1, 4, 2, 20), 300, 3);
  const auto early = cut_after_completions(history, 100);
  auto cut = history.everything();
  for (std::uint32_t slot = 0; slot < history.shape().span; slot++)
    cut[history.shape().place_index({1, slot})] = early[history.shape().place_index({1, slot})];
  EXPECT_FALSE(check(history.image(cut), nullptr).causal());
  EXPECT_FALSE(history.is_causal(cut));
}

TEST(Check, counts_a_lost_tail_exactly_and_calls_it_causal) {
  const History history(small_shape(1, 4, 2, 20), 300, 4);
  const AckLog log = history.log();
  for (std::size_t kept = 0; kept <= history.completions().size(); kept++) {
    const auto cut = cut_after_completions(history, kept);
    const Verdict verdict = check(history.image(cut), &log);
    ASSERT_TRUE(verdict.causal()) << kept;
    // Nothing that completed later may be counted as there; an in-flight one is not acknowledged at all.
    ASSERT_EQ(verdict.lost, history.completions().size() - kept);
    ASSERT_DOUBLE_EQ(verdict.rpo_s, static_cast<double>(history.completions().size() - kept) * 1e-3);
  }
}

TEST(Check, rpo_counts_from_the_first_hole_not_from_the_newest_write_present) {
  const History history(small_shape(1, 2, 2, 50), 100, 5);
  const AckLog log = history.log();
  const auto all = history.everything();
  const auto last = last_at_their_place(history, all);
  const std::size_t dropped = last[last.size() / 2];
  auto cut = all;
  cut[history.shape().place_index(history.writes()[dropped].block.place)]--;
  const Verdict verdict = check(history.image(cut), &log);
  ASSERT_EQ(verdict.lost, 1u);
  const std::size_t at = history.writes()[dropped].completed;
  EXPECT_DOUBLE_EQ(verdict.rpo_s, static_cast<double>(history.completions().size() - at) * 1e-3);
  EXPECT_EQ(verdict.first_lost[0].id, history.writes()[dropped].block.id);
}

TEST(Check, until_leaves_out_what_was_acknowledged_later) {
  const History history(small_shape(1, 4, 2, 20), 300, 6);
  const AckLog log = history.log();
  const std::size_t kept = 120;
  const Image image = history.image(cut_after_completions(history, kept));
  const Verdict verdict = check(image, &log, log.completions[kept - 1].done_ns);
  EXPECT_EQ(verdict.acknowledged, kept);
  EXPECT_EQ(verdict.lost, 0u);
  EXPECT_EQ(verdict.rpo_s, 0);
  EXPECT_EQ(check(image, &log, log.completions[kept].done_ns).lost, 1u);
}

TEST(Check, says_when_the_log_lacks_what_the_image_proves) {
  const History history(small_shape(1, 4, 2, 20), 300, 7);
  AckLog log = history.log();
  const Image image = history.image(history.everything());
  EXPECT_EQ(check(image, &log).log_behind, 0u);
  for (auto& acked : log.acked)
    acked -= 10;
  EXPECT_GE(check(image, &log).log_behind, 4u * 9);
}

TEST(Check, does_not_judge_devices_that_were_not_given) {
  const History history(small_shape(1, 4, 2, 20), 300, 8);
  const AckLog log = history.log();
  const Image whole = history.image(history.everything());
  Image half(history.shape());
  for (std::uint32_t slot = 0; slot < history.shape().span; slot++)
    half.put({0, slot}, whole.content({0, slot}) == Content::Whole
                            ? Finding{Found::Whole,
                                      [&] {
                                        for (const Ghost& write : history.writes())
                                          if (write.block.place == Place{0, slot} &&
                                              write.block.id == whole.version({0, slot}))
                                            return write.block;
                                        return Block{};
                                      }(),
                                      {}}
                            : Finding{});
  const Verdict verdict = check(half, &log);
  EXPECT_TRUE(verdict.causal());
  EXPECT_GT(verdict.unread, 100u);
  EXPECT_EQ(verdict.lost, 0u);
  EXPECT_LT(verdict.acknowledged, history.completions().size());
}

// Random choices of a version per place, most of them not causal, some of them nearly so.
TEST(Check, agrees_with_the_definition_on_random_images) {
  std::size_t causal = 0;
  std::size_t violated = 0;
  for (std::uint64_t seed = 1; seed <= 400; seed++) {
    std::mt19937_64 random(seed);
    const auto hosts = static_cast<std::uint16_t>(1 + random() % 3);
    const History history(small_shape(hosts, static_cast<std::uint16_t>(1 + random() % 4),
                                      static_cast<std::uint16_t>(1 + random() % 3),
                                      static_cast<std::uint32_t>(1 + random() % 12)),
                          20 + random() % 80, seed);
    const AckLog log = history.log();
    const auto all = history.everything();
    for (int round = 0; round < 20; round++) {
      // Start from a cut in the order of completions, then move a few places up or down by one.
      auto cut = cut_after_completions(history, random() % (history.completions().size() + 1));
      for (auto moves = random() % 4; moves > 0; moves--) {
        const std::size_t at = random() % cut.size();
        if (random() % 2 ? cut[at] < all[at] : cut[at] > 0)
          cut[at] += cut[at] < all[at] && (cut[at] == 0 || random() % 2) ? 1 : -1;
      }
      const Verdict verdict = check(history.image(cut), &log);
      ASSERT_EQ(verdict.causal(), history.is_causal(cut)) << "seed " << seed << " round " << round;
      std::size_t lost = 0;
      for (const std::size_t write : history.completions())
        lost += !history.holds(cut, history.writes()[write]);
      ASSERT_EQ(verdict.lost, lost) << "seed " << seed << " round " << round;
      (verdict.causal() ? causal : violated)++;
    }
  }
  EXPECT_GT(causal, 1000u);
  EXPECT_GT(violated, 1000u);
}

// Every causally closed choice of writes is accepted, not only prefixes in time: lanes that know nothing of
// each other may be cut independently.
TEST(Check, accepts_random_causal_cuts_that_are_no_prefix_in_time) {
  std::size_t no_prefix = 0;
  for (std::uint64_t seed = 1; seed <= 300; seed++) {
    std::mt19937_64 random(seed * 7919);
    const History history(small_shape(3, 2, 2, 30), 120, seed);
    std::vector<bool> kept(history.writes().size());
    for (int picks = 0; picks < 3; picks++) {
      const std::size_t pick = random() % history.writes().size();
      kept[pick] = true;
      for (std::size_t i = 0; i < history.writes()[pick].before.size(); i++)
        kept[i] = kept[i] || history.writes()[pick].before[i];
    }
    // A place that keeps a later write of another pick holds, by itself, the earlier ones there; the set
    // stays closed because the later one depends on them.
    const auto cut = history.up_to(kept);
    ASSERT_TRUE(history.is_causal(cut)) << seed;
    ASSERT_TRUE(check(history.image(cut), nullptr).causal()) << seed;
    bool hole = false;
    for (const std::size_t write : history.completions()) {
      hole = hole || !kept[write];
      no_prefix += hole && kept[write];
    }
  }
  EXPECT_GT(no_prefix, 300u);
}
