// SPDX-License-Identifier: GPL-2.0-or-later
// What a change of the fence does in each phase of a sync pair: nothing completes alone before its time, and
// nothing fails longer than asked for.
#include "unit/core/primary.hpp"

namespace rc::core {
namespace {

constexpr std::uint64_t late_ms = 60'000; // beyond every deadline

SettingsChanged fence(Fence word) { return {.checkpoint_interval_ms = 1000, .fence = word}; }

// A sync pair whose copy is current.
struct SyncPair : Primary {
  SyncPair() : Primary(LinkMode::Sync) {
    finish_copying(attach_blank());
    complete(Era::of(1, 1), 400);
    EXPECT_EQ(of<SetSync>(step(Tick{}, 450)).size(), 1U);
    switched();
  }
  void complete(Era n, std::uint64_t time_ms) {
    step(CheckpointPut{n, read + 1, 0, ""}, time_ms);
    capture({record(DMRC_MARKER, read + 1), record(DMRC_HELD, read + 2)}, time_ms);
    format::WatermarksMessage marks_of_it = marks(read);
    marks_of_it.complete = n;
    said_last = say(marks_of_it, time_ms + 10);
  }
  // The kernel waits from here on; the copy becomes current.
  void switched(std::uint64_t time_ms = 460) {
    since = read;
    EXPECT_EQ(of<PutCheckpoint>(step(SyncSwitched{true, since}, time_ms)).size(), 1U);
    complete(Era::of(1, ++number), time_ms);
    EXPECT_EQ((said<format::CurrentMessage, SendMessage>(said_last).size()), 1U);
    say(format::CurrentStoredMessage{}, time_ms + 20);
    EXPECT_EQ(sync(), SyncPhase::Current);
  }
  SyncPhase sync(std::uint64_t time_ms = 500) { return source->status(at_ms(time_ms)).links[0].sync; }
  bool answers_challenge(std::uint64_t time_ms) {
    const Actions actions =
        say(format::ChallengeMessage{test_stream, ++challenges, lease_for(5000)}, time_ms);
    return !said<format::ChallengeAnswerMessage, SendMessage>(actions).empty();
  }

  Seq since = 0;
  std::uint64_t number = 1, challenges = 0;
  Actions said_last;
};

TEST(SourceFence, TheKernelThatWaitsIsToldWithTheDeadlineItHas) {
  SyncPair pair;
  ASSERT_TRUE(pair.answers_challenge(500));
  const std::uint64_t deadline = at_ms(500).boot_ns + lease_for(5000) + margin_for(lease_for(5000));
  pair.step(fence(Fence::Stop), 600);
  const auto told = of<SetSync>(pair.step(Tick{}, 700));
  ASSERT_EQ(told.size(), 1U);
  EXPECT_TRUE(told[0].wait);
  EXPECT_EQ(told[0].fence, Fence::Stop);
  EXPECT_EQ(told[0].alone_after_ns, deadline);
  EXPECT_FALSE(pair.answers_challenge(701)) << "the kernel has not answered";
  EXPECT_TRUE(of<PutCheckpoint>(pair.step(SyncSwitched{true, pair.since}, 702)).empty());
  EXPECT_EQ(pair.sync(), SyncPhase::Current);
  EXPECT_TRUE(pair.answers_challenge(703));
  EXPECT_TRUE(of<SetSync>(pair.step(Tick{}, 800)).empty()) << "once";
}

// The deadline passed between the question and the kernel: what completed since may be missing at the copy.
TEST(SourceFence, AKernelThatWasAloneMakesTheCopyCurrentAnew) {
  SyncPair pair;
  pair.step(fence(Fence::Stop), 600);
  ASSERT_EQ(of<SetSync>(pair.step(Tick{}, 700)).size(), 1U);
  pair.capture({write(pair.read + 1)}, 701);
  const Actions anew = pair.step(SyncSwitched{true, pair.read}, 702);
  EXPECT_EQ(of<PutCheckpoint>(anew).size(), 1U);
  EXPECT_NE(pair.sync(), SyncPhase::Current);
}

TEST(SourceFence, StoppedWritesGoOnAloneWithGo) {
  SyncPair pair;
  pair.step(fence(Fence::Stop), 600);
  pair.step(Tick{}, 700);
  pair.step(SyncSwitched{true, pair.since}, 702);
  pair.say(format::NotCurrentMessage{test_stream, pair.read, "its lease is over"}, 800);
  ASSERT_EQ(pair.sync(), SyncPhase::Stopped);
  const Actions go = pair.step(fence(Fence::Go), 900);
  ASSERT_EQ(of<SetSync>(go).size(), 1U);
  EXPECT_FALSE(of<SetSync>(go)[0].wait);
  EXPECT_EQ(pair.sync(), SyncPhase::Alone);
  EXPECT_TRUE(pair.source->state().alone) << "durable before the writes complete";
}

// The copy is silent and the kernel lets writes fail, which it does not report.
TEST(SourceFence, GoAfterTheDeadlineEndsTheFailing) {
  SyncPair pair;
  pair.step(fence(Fence::Stop), 600);
  pair.step(Tick{}, 700);
  pair.step(SyncSwitched{true, pair.since}, 702);
  pair.step(LinkDown{0, "test"}, 800);
  EXPECT_TRUE(of<SetSync>(pair.step(Tick{}, late_ms)).empty()) << "fence=stop stays";
  pair.step(fence(Fence::Go), late_ms + 1);
  const auto off = of<SetSync>(pair.step(Tick{}, late_ms + 100));
  ASSERT_EQ(off.size(), 1U);
  EXPECT_FALSE(off[0].wait);
  EXPECT_EQ(pair.sync(), SyncPhase::Alone);
}

TEST(SourceFence, StopDoesNotMakeWritesFailThatAreAlone) {
  SyncPair pair;
  pair.step(LinkDown{0, "test"}, 600);
  pair.step(RingProgress{pair.read, true, Era::of(1, 3)}, 20'000);
  ASSERT_EQ(pair.sync(), SyncPhase::Alone);
  EXPECT_TRUE(of<SetSync>(pair.step(fence(Fence::Stop), 20'100)).empty());
  EXPECT_TRUE(of<SetSync>(pair.step(Tick{}, 20'200)).empty());
  EXPECT_EQ(pair.sync(), SyncPhase::Alone);
}

// The agent died, the copy is gone, the kernel's fence is not known: go gives it a deadline that no lease
// outlives.
TEST(SourceFence, GoBeforeTheFirstGreeting) {
  SyncPair pair;
  pair.source.emplace(pair.config, format::GroupState(pair.source->state()), RecoveredSpill{});
  pair.step(Started{true}, 700);
  RingAttached ring = Primary::ring_facts();
  ring.stream = test_stream;
  ring.reserved = pair.read;
  ring.sync_wait = true;
  pair.step(ring, 701);
  EXPECT_TRUE(of<SetSync>(pair.step(Tick{}, 800)).empty()) << "the copy's greeting decides";
  const auto told = of<SetSync>(pair.step(fence(Fence::Go), 900));
  ASSERT_EQ(told.size(), 1U);
  EXPECT_TRUE(told[0].wait);
  EXPECT_EQ(told[0].alone_after_ns, at_ms(900).boot_ns + lease_for(5000) + margin_for(lease_for(5000)));
  pair.step(SyncSwitched{true, pair.read}, 901);
  pair.step(RingProgress{pair.read, true, Era::of(1, 3)}, 20'000);
  EXPECT_EQ(pair.sync(), SyncPhase::Alone);
}

// The machine starts anew between the word that makes the copy current and its answer: the copy's lease
// stands.
TEST(SourceFence, NotAloneIsStoredBeforeTheCopyCanBecomeCurrent) {
  SyncPair pair;
  pair.step(RingProgress{pair.read, true, Era::of(1, 3)}, 20'000);
  ASSERT_TRUE(pair.source->state().alone);
  pair.say(pair.marks(pair.read), 20'010);
  Actions waiting = pair.step(Tick{}, 22'000);
  for (std::uint64_t ms = 22'100; of<SetSync>(waiting).empty() && ms < 30'000; ms += 100)
    waiting = pair.step(Tick{}, ms);
  ASSERT_EQ(of<SetSync>(waiting).size(), 1U);
  pair.step(SyncSwitched{true, pair.read}, 30'000);
  EXPECT_TRUE(pair.source->state().alone);
  pair.complete(Era::of(1, 4), 30'010);
  std::size_t stored = 0, sent = 0;
  for (std::size_t i = 0; i < pair.said_last.size(); ++i) {
    if (const auto* it = std::get_if<StoreState>(&pair.said_last[i]); it && !it->state.alone)
      stored = i + 1;
    if (const auto* it = std::get_if<SendMessage>(&pair.said_last[i]))
      if (std::holds_alternative<format::CurrentMessage>(it->message))
        sent = i + 1;
  }
  ASSERT_NE(stored, 0U);
  EXPECT_LT(stored, sent);
}

} // namespace
} // namespace rc::core
