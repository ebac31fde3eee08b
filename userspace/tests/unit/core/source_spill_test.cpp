// SPDX-License-Identifier: GPL-2.0-or-later
// When spilling begins, what stays in the ring, and when it ends.
#include "unit/core/primary.hpp"

namespace rc::core {
namespace {

constexpr Seq enough_to_spill = 140; // of a ring of 256 slots

struct SpillingPrimary : Primary {
  explicit SpillingPrimary(bool throttle = false)
      : Primary(LinkMode::Async, 8 << 20, true, {.capacity_bytes = 64 << 20, .capacity_slots = 10000},
                throttle) {
    finish_copying(attach_blank());
    synced = read;
    step(LinkDown{0, "cut"}, 20);
  }
  Actions write_more(Seq count) {
    std::vector<format::Record> records;
    for (Seq i = 1; i <= count; i++)
      records.push_back(write(read + i));
    return capture(std::move(records), 30);
  }
  Actions spilled(Seq seq) { return step(SpillDurable{test_stream, seq, 1 << 20, 64 << 20, 100, 10000}, 30); }
  bool spilling() const { return source->status(at_ms(30)).spilling; }
  Seq synced = 0; // durable at the copy when the link went down
};

TEST(Spill, ForALinkThatIsAwayTheWholeRingIsFreed) {
  SpillingPrimary primary;
  const Actions actions = primary.write_more(enough_to_spill);
  ASSERT_EQ(of<SpillRecords>(actions).size(), 1U);
  EXPECT_EQ(of<SpillRecords>(actions)[0].first, primary.synced + 1);
  const Actions freed = primary.spilled(primary.read);
  ASSERT_EQ(of<FreeRing>(freed).size(), 1U);
  EXPECT_EQ(of<FreeRing>(freed)[0].freed, primary.read);
}

TEST(Spill, EndsUnderLoadAndTheLinkIsServedFromTheRing) {
  SpillingPrimary primary;
  primary.write_more(enough_to_spill);
  primary.spilled(primary.read);
  primary.step(LinkUp{0}, 30);
  primary.say(primary.hello(primary.synced), 30);
  const Actions resumed = primary.say(primary.marks(primary.synced), 30);
  ASSERT_EQ(of<SendRecords>(resumed).size(), 1U);
  EXPECT_EQ(of<SendRecords>(resumed)[0].from, SendRecords::From::Spill);
  primary.step(SentFromSpill{0, primary.synced + 1, primary.read, 1000}, 30);

  // Hosts go on writing; the copy is never nearer than ten records.
  bool from_ring = false;
  for (int i = 0; i < 20; i++) {
    const Seq before = primary.read;
    for (const auto& sent : of<SendRecords>(primary.write_more(20))) {
      if (sent.from == SendRecords::From::Spill)
        primary.step(SentFromSpill{0, sent.first, sent.last, 1000}, 30);
      else
        from_ring = true;
    }
    primary.spilled(primary.read);
    primary.say(primary.marks(before + 10), 30);
  }
  EXPECT_FALSE(primary.spilling()) << "it would spill for ever what the ring holds anyway";
  EXPECT_TRUE(from_ring);
  EXPECT_EQ(of<SpillRecords>(primary.write_more(20)).size(), 0U);
}

TEST(Spill, AFullJournalCostsTheLinkADeltaAndIsUsedAgain) {
  SpillingPrimary primary;
  primary.write_more(enough_to_spill);
  primary.spilled(primary.read);
  primary.write_more(10);
  primary.step(SpillFailed{.error = "journal j is full", .full = true}, 30);
  EXPECT_EQ(primary.source->status(at_ms(30)).links[0].state, PairState::Suspended);
  EXPECT_FALSE(primary.spilling());

  // Once the copy is back and away again, the journal serves as before.
  primary.step(LinkUp{0}, 30);
  primary.say(primary.hello(primary.synced), 30);
  format::ResyncReadyMessage ready;
  ready.full = true;
  const Actions asked = primary.say(ready, 30);
  ASSERT_EQ(of<ReckonDirty>(asked).size(), 1U);
  primary.finish_copying(primary.step(Reckoned{0, of<ReckonDirty>(asked)[0].ticket, {}}, 30));
  primary.step(LinkDown{0, "cut"}, 30);
  EXPECT_EQ(of<SpillRecords>(primary.write_more(enough_to_spill)).size(), 1U);
}

TEST(Spill, ABrokenJournalIsNotUsedAgain) {
  SpillingPrimary primary;
  primary.write_more(enough_to_spill);
  primary.spilled(primary.read);
  primary.step(SpillFailed{.error = "I/O error"}, 30);
  EXPECT_EQ(primary.source->status(at_ms(30)).links[0].state, PairState::Failed);
  EXPECT_EQ(of<SpillRecords>(primary.write_more(enough_to_spill)).size(), 0U);
}

TEST(Spill, AJournalThatIsTooSlowCostsTheLinkADelta) {
  SpillingPrimary primary;
  primary.write_more(enough_to_spill);
  primary.write_more(90); // nothing is durable yet
  EXPECT_NE(primary.source->status(at_ms(30)).links[0].state, PairState::Suspended) << "it has just begun";
  primary.step(Tick{}, 5000);
  EXPECT_EQ(primary.source->status(at_ms(5000)).links[0].state, PairState::Suspended)
      << "before the ring overflows, which would cost every link a delta";
}

// on_full=throttle: the kernel lets writes wait, so a ring that is full is no reason to spill or to suspend.
TEST(Spill, NotForALinkThatIsUpWhenTheApplicationWaits) {
  for (const bool throttle : {false, true}) {
    SpillingPrimary primary(throttle);
    primary.step(LinkUp{0}, 30);
    primary.say(primary.hello(primary.synced), 30);
    primary.say(primary.marks(primary.synced), 30);
    auto spilled = of<SpillRecords>(primary.write_more(enough_to_spill));
    for (auto& more : of<SpillRecords>(primary.write_more(100)))
      spilled.push_back(more);
    primary.step(Tick{}, 5000);
    primary.step(RingProgress{primary.read, false, Era{}, throttle}, 5000);
    const auto status = primary.source->status(at_ms(5000));
    EXPECT_EQ(status.reason.find("the application waits for room") != std::string::npos, throttle);
    const auto state = status.links[0].state;
    EXPECT_EQ(spilled.empty(), throttle);
    EXPECT_EQ(state != PairState::Suspended, throttle) << "nothing was durable in the journal";
  }
}

// The ring of a throttled group is full when its link goes down: it gets the time to spill.
TEST(Spill, AFullRingIsNoReasonToSuspendWhenTheApplicationWaits) {
  SpillingPrimary primary(true);
  primary.step(LinkUp{0}, 30);
  primary.say(primary.hello(primary.synced), 30);
  primary.say(primary.marks(primary.synced), 30);
  EXPECT_EQ(of<SpillRecords>(primary.write_more(245)).size(), 0U);
  const auto spilled = of<SpillRecords>(primary.step(LinkDown{0, "cut"}, 4000));
  ASSERT_EQ(spilled.size(), 1U);
  EXPECT_EQ(spilled[0].last, primary.read);
  EXPECT_NE(primary.source->status(at_ms(4000)).links[0].state, PairState::Suspended);
  const Actions freed = primary.spilled(primary.read);
  ASSERT_EQ(of<FreeRing>(freed).size(), 1U);
  EXPECT_EQ(of<FreeRing>(freed)[0].freed, primary.read);
}

TEST(Spill, IsBegunAndEndedByAChangeOfTheSetting) {
  SpillingPrimary primary(true);
  primary.step(LinkUp{0}, 30);
  primary.say(primary.hello(primary.synced), 30);
  primary.say(primary.marks(primary.synced), 30);
  EXPECT_TRUE(of<SpillRecords>(primary.write_more(enough_to_spill)).empty());
  EXPECT_FALSE(of<SpillRecords>(primary.step(SettingsChanged{1000, false}, 40)).empty());
  EXPECT_TRUE(primary.spilling());
  primary.step(SettingsChanged{1000, true}, 50);
  EXPECT_FALSE(primary.spilling());
  EXPECT_NE(primary.source->status(at_ms(50)).links[0].state, PairState::Suspended);
}

TEST(Spill, ForALinkThatIsDownAlsoWhenTheApplicationWaits) {
  SpillingPrimary primary(true);
  EXPECT_EQ(of<SpillRecords>(primary.write_more(enough_to_spill)).size(), 1U);
  EXPECT_TRUE(primary.spilling());
  primary.spilled(primary.read);
  // The link is back: what was spilled is sent from there, what follows stays in the ring.
  primary.step(LinkUp{0}, 30);
  primary.say(primary.hello(primary.synced), 30);
  const auto sent = of<SendRecords>(primary.say(primary.marks(primary.synced), 30));
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].from, SendRecords::From::Spill);
  const Seq spilled_to = primary.read;
  EXPECT_EQ(of<SpillRecords>(primary.write_more(enough_to_spill)).size(), 0U);
  EXPECT_FALSE(primary.spilling());
  const auto rest = of<SendRecords>(primary.step(SentFromSpill{0, primary.synced + 1, spilled_to, 1000}, 30));
  ASSERT_EQ(rest.size(), 1U);
  EXPECT_EQ(rest[0].from, SendRecords::From::Ring);
  EXPECT_EQ(rest[0].first, spilled_to + 1);
}

} // namespace
} // namespace rc::core
