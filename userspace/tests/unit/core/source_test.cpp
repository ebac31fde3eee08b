// SPDX-License-Identifier: GPL-2.0-or-later
// Single rules of the Source that the transcripts don't show: confirmation, refusals, windows, pacing, lies
// of a peer.
#include "unit/core/primary.hpp"

namespace rc::core {
namespace {

TEST(Source, AStartingPrimaryLoadsNothingBeforeItIsConfirmed) {
  Primary primary(LinkMode::Async, 8 << 20, false);
  EXPECT_TRUE(of<LoadVolumes>(primary.first).empty());
  EXPECT_EQ(primary.source->status(at_ms(0)).state, "waiting for confirmation");
  primary.step(LinkUp{0});
  format::HelloMessage blank = primary.hello(0, false);
  blank.position = {};
  EXPECT_TRUE(of<LoadVolumes>(primary.say(blank)).empty()) << "a blank copy knows nothing";
  primary.step(LinkDown{0, "cut"});
  primary.step(LinkUp{0});
  const Actions confirmed = primary.say(primary.hello(0, false));
  ASSERT_EQ(of<LoadVolumes>(confirmed).size(), 1U);
  EXPECT_EQ(of<LoadVolumes>(confirmed)[0].generation, 1U);
  EXPECT_TRUE(of<StoreState>(confirmed)[0].state.confirmed) << "stored before the volumes are loaded";
}

TEST(Source, TheWordOfAnAsyncSiteDoesNotDoWithoutThatOfTheSyncSite) {
  Primary primary(LinkMode::Async, 8 << 20, false);
  LinkConfig nearest;
  nearest.link = 1;
  nearest.peer = nearest.site = "metro";
  nearest.mode = LinkMode::Sync;
  primary.step(LinkAdded{nearest});
  primary.step(LinkUp{0});
  primary.say(primary.hello(0, false));
  EXPECT_EQ(primary.source->status(at_ms(0)).state, "waiting for confirmation")
      << "the sync site may have taken over without the async one having heard of it";
  primary.step(LinkUp{1});
  const Actions confirmed = primary.step(MessageArrived{1, primary.hello(0, false)});
  ASSERT_FALSE(of<StoreState>(confirmed).empty());
  EXPECT_TRUE(of<StoreState>(confirmed)[0].state.confirmed);
}

TEST(Source, ANewerGenerationAnywhereStopsIt) {
  Primary primary;
  primary.step(LinkUp{0});
  format::HelloMessage newer = primary.hello(0, false);
  newer.position.lineage.push_back({2, "lyon", 22, Era::of(1, 1)});
  newer.position.applied = Era::of(2, 4);
  const Actions stopped = primary.say(newer);
  ASSERT_EQ(of<StaleGeneration>(stopped).size(), 1U);
  EXPECT_EQ(of<StaleGeneration>(stopped)[0].newer.size(), 2U);
  EXPECT_EQ(of<CloseLink>(stopped).size(), 1U);
  EXPECT_EQ(primary.source->status(at_ms(0)).state, "stale");
  primary.step(LinkUp{0});
  EXPECT_TRUE(primary.say(primary.hello()).empty()) << "it feeds nobody any more";
}

TEST(Source, ACopyThatIsTooSmallIsRefusedWithTheSizes) {
  Primary primary;
  primary.step(LinkUp{0});
  format::HelloMessage small = primary.hello(0, false);
  small.volume_sectors = {32};
  const auto refused = said<format::RefusedMessage, SendMessage>(primary.say(small));
  ASSERT_EQ(refused.size(), 1U);
  EXPECT_NE(refused[0].reason.find("64"), std::string::npos);
  EXPECT_EQ(primary.source->status(at_ms(0)).links[0].state, PairState::Failed);
}

TEST(Source, AttachesBeforeItReckons) {
  Primary primary;
  primary.capture({write(1), write(2)});
  primary.step(LinkUp{0});
  primary.say(primary.hello(0, false));
  format::ResyncReadyMessage ready;
  ready.position = {{first_entry()}, Era::of(1, 1)};
  ready.agreed = Era::of(1, 1);
  ready.image_volumes = {0};
  const Actions asked = primary.say(ready);
  ASSERT_EQ(of<ReckonDirty>(asked).size(), 1U);
  EXPECT_EQ(of<ReckonDirty>(asked)[0].since, Era::of(1, 1));
  primary.capture({write(3)}); // between the question and the answer
  const Actions attached =
      primary.step(Reckoned{0, of<ReckonDirty>(asked)[0].ticket, {{0, 8, 8, Era::of(1, 2)}}});
  const auto message = said<format::AttachMessage, SendMessage>(attached);
  ASSERT_EQ(message.size(), 1U);
  EXPECT_EQ(message[0].from, 3U);
  EXPECT_EQ(message[0].copy_bytes, 4096U);
  EXPECT_TRUE(of<FreeRing>(attached).empty()) << "record 3 stays until it is durable there";
}

TEST(Source, AVolumeThatTheImageLacksIsCopiedWhole) {
  Primary primary;
  primary.step(LinkUp{0});
  primary.say(primary.hello(0, false));
  format::ResyncReadyMessage ready;
  ready.position = {{first_entry()}, Era::of(1, 1)};
  ready.agreed = Era::of(1, 1);
  ready.image_volumes = {};
  const Actions asked = primary.say(ready);
  const auto message = said<format::AttachMessage, SendMessage>(
      primary.step(Reckoned{0, of<ReckonDirty>(asked)[0].ticket, {}}));
  ASSERT_EQ(message.size(), 1U);
  EXPECT_EQ(message[0].copy_bytes, 64U * 512);
}

TEST(Source, TheSetIsTheUnionOfBothMaps) {
  Primary primary;
  primary.step(LinkUp{0});
  primary.say(primary.hello(0, false));
  format::ResyncReadyMessage ready;
  ready.position = {{first_entry()}, Era::of(1, 1)};
  ready.agreed = Era::of(1, 1);
  ready.image_volumes = {0};
  ready.dirty = {{0, 16, 8, Era::open()}, {0, 60, 20, Era::open()}};
  const Actions asked = primary.say(ready);
  const auto message = said<format::AttachMessage, SendMessage>(
      primary.step(Reckoned{0, of<ReckonDirty>(asked)[0].ticket, {{0, 8, 8, Era::of(1, 2)}}}));
  EXPECT_EQ(message[0].copy_bytes, (8U + 8 + 4) * 512) << "the copy's last region ends beyond the volume";
}

TEST(Source, CopiesNoMoreThanItsSlots) {
  Primary primary;
  primary.attach_blank();
  const Actions copying = primary.say(primary.marks(0));
  (void)copying;
  EXPECT_EQ(primary.source->status(at_ms(0)).links[0].copy_total_bytes, 64U * 512);
  Actions all = primary.step(Tick{}, 10);
  EXPECT_LE(of<CopyRegion>(all).size(), 4U);
  // What was refused is asked again, not lost.
  primary.step(CopyRefused{0, 0, 0, 8}, 20);
  bool again = false;
  for (std::uint64_t time = 30; time < 200; time += 10)
    for (const CopyRegion& region : of<CopyRegion>(primary.step(Tick{}, time)))
      again = again || region.sector == 0;
  EXPECT_TRUE(again);
}

TEST(Source, ARegionThatCantBeReadFailsThePair) {
  Primary primary;
  primary.attach_blank();
  format::Record unreadable = copy(1, 0, 1);
  unreadable.type = DMRC_FAILED;
  primary.capture({unreadable});
  const LinkStatus status = primary.source->status(at_ms(0)).links[0];
  EXPECT_EQ(status.state, PairState::Failed);
  EXPECT_NE(status.reason.find("medium"), std::string::npos) << status.reason;
}

TEST(Source, SendsNoMoreThanTheWindow) {
  Primary primary(LinkMode::Async, 3 * 4096);
  primary.attach_blank();
  primary.say(primary.marks(0));
  std::vector<format::Record> records;
  for (Seq seq = 1; seq <= 10; ++seq)
    records.push_back(write(seq));
  const auto sent = of<SendRecords>(primary.capture(records));
  ASSERT_FALSE(sent.empty());
  EXPECT_EQ(sent.back().last, 3U);
  const auto more = of<SendRecords>(primary.say(primary.marks(2)));
  ASSERT_FALSE(more.empty());
  EXPECT_EQ(more.front().first, 4U);
  EXPECT_EQ(more.back().last, 5U) << "what is durable gives room before all of the window is";
}

TEST(Source, SendsNoMoreThanTheCopysJournalTakes) {
  Primary primary;
  primary.attach_blank();
  format::WatermarksMessage full = primary.marks(0);
  full.journal_slots = 2;
  primary.say(full);
  const auto sent = of<SendRecords>(primary.capture({write(1), write(2), write(3)}));
  ASSERT_FALSE(sent.empty());
  EXPECT_EQ(sent.back().last, 2U);
}

TEST(Source, APeerThatReportsMoreThanWasSentIsRefused) {
  Primary primary;
  primary.attach_blank();
  primary.capture({write(1)});
  const Actions refused = primary.say(primary.marks(50));
  EXPECT_EQ(of<CloseLink>(refused).size(), 1U);
  EXPECT_TRUE(of<FreeRing>(refused).empty());
}

TEST(Source, FreesOnlyWhatIsDurableThereAndWrittenHere) {
  Primary primary;
  primary.attach_blank();
  primary.say(primary.marks(0));
  std::vector<format::Record> records{write(1), write(2)};
  primary.step(RecordsCommitted{test_stream, records});
  EXPECT_TRUE(of<FreeRing>(primary.say(primary.marks(2))).empty()) << "not yet on the disk here";
  EXPECT_EQ(of<FreeRing>(primary.step(RingProgress{1, false, Era{}}))[0].freed, 1U);
  EXPECT_EQ(of<FreeRing>(primary.step(RingProgress{2, false, Era{}}))[0].freed, 2U);
}

TEST(Source, MessagesThatOnlyASourceSendsAreRefused) {
  Primary primary;
  primary.step(LinkUp{0});
  EXPECT_EQ(of<CloseLink>(primary.say(format::ResumeMessage{})).size(), 1U);
}

TEST(Source, WithoutLinksThereIsNobodyToAsk) {
  SourceConfig config;
  config.volume_sectors = {64};
  format::GroupState state;
  state.role = format::Role::Primary;
  state.position = {{first_entry()}, Era::open()};
  Source source(config, state, {});
  EXPECT_EQ(of<LoadVolumes>(source.step(Started{false}, at_ms(0))).size(), 1U);
}

// After a takeover there are copies of the former primary at other sites, and no pair with them yet.
TEST(Source, ASiteThatTookOverIsNotItsOwnWitness) {
  SourceConfig config;
  config.volume_sectors = {64};
  format::GroupState state;
  state.role = format::Role::Primary;
  state.position = {{first_entry(), {2, "lyon", 22, Era::of(1, 9)}}, Era::open()};
  Source source(config, state, {});
  EXPECT_TRUE(of<LoadVolumes>(source.step(Started{false}, at_ms(0))).empty());
  EXPECT_TRUE(of<LoadVolumes>(source.step(NodesAsked{false, "nobody answers", "wait"}, at_ms(1))).empty());
  EXPECT_EQ(source.status(at_ms(1)).state, "waiting for confirmation");
  EXPECT_NE(source.status(at_ms(1)).reason.find("nobody answers"), std::string::npos);
  const Actions confirmed =
      source.step(NodesAsked{true, "node nice knows no newer generation", ""}, at_ms(2));
  ASSERT_EQ(of<LoadVolumes>(confirmed).size(), 1U);
  EXPECT_EQ(of<LoadVolumes>(confirmed)[0].generation, 2U);
  EXPECT_TRUE(of<LoadVolumes>(source.step(NodesAsked{true, "again", ""}, at_ms(3))).empty());
  Source right_after(config, state, {});
  EXPECT_EQ(of<LoadVolumes>(right_after.step(Started{false, true}, at_ms(0))).size(), 1U)
      << "commanded just now";
}

TEST(Source, TheDeadlineIsWithTheKernelBeforeTheAnswerIsSent) {
  Primary primary(LinkMode::Sync);
  primary.finish_copying(primary.attach_blank());
  primary.step(CheckpointPut{Era::of(1, 1), primary.read + 1, 0, ""}, 400);
  primary.capture({record(DMRC_MARKER, primary.read + 1), record(DMRC_HELD, primary.read + 2)}, 400);
  format::WatermarksMessage complete = primary.marks(primary.read);
  complete.complete = Era::of(1, 1);
  primary.say(complete, 410);
  ASSERT_EQ(primary.source->status(at_ms(420)).links[0].state, PairState::Duplex);
  const Actions waiting = primary.step(Tick{}, 450);
  ASSERT_EQ(of<SetSync>(waiting).size(), 1U);
  EXPECT_TRUE(of<SetSync>(waiting)[0].wait);
  primary.step(SyncSwitched{true, primary.read}, 450);
  const std::uint64_t lease = lease_for(5000);
  const Actions answered = primary.say(format::ChallengeMessage{test_stream, 1, lease}, 500);
  std::size_t ack = answered.size();
  std::size_t send = answered.size();
  for (std::size_t i = 0; i < answered.size(); ++i) {
    if (const auto* it = std::get_if<AckRing>(&answered[i]))
      if (it->alone_after_ns == at_ms(500).boot_ns + lease + margin_for(lease))
        ack = i;
    if (std::holds_alternative<SendMessage>(answered[i]))
      send = i;
  }
  ASSERT_LT(ack, answered.size());
  ASSERT_LT(send, answered.size());
  EXPECT_LT(ack, send);
  const Actions too_long = primary.say(format::ChallengeMessage{test_stream, 2, 6 * second}, 510);
  EXPECT_TRUE((said<format::ChallengeAnswerMessage, SendMessage>(too_long).empty()))
      << "longer than the wait allows";
}

TEST(Source, AResyncByCommandGivesUpWhatCouldBeResumed) {
  Primary primary;
  primary.finish_copying(primary.attach_blank());
  primary.step(CheckpointPut{Era::of(1, 1), primary.read + 1, 0, ""}, 400);
  primary.capture({record(DMRC_MARKER, primary.read + 1), record(DMRC_HELD, primary.read + 2)}, 400);
  format::WatermarksMessage complete = primary.marks(primary.read);
  complete.complete = Era::of(1, 1);
  primary.say(complete, 410);
  const auto state = [&] { return primary.source->status(at_ms(420)).links[0].state; };
  ASSERT_EQ(state(), PairState::Duplex);
  const auto greet = [&] {
    primary.step(LinkDown{0, "test"}, 420);
    primary.step(LinkUp{0}, 430);
    return primary.say(primary.hello(primary.read), 440);
  };
  ASSERT_EQ((said<format::ResumeMessage, SendMessage>(greet()).size()), 1U) << "it could go on";
  EXPECT_EQ(of<CloseLink>(primary.step(ResyncRequested{0}, 450)).size(), 1U);
  EXPECT_EQ(state(), PairState::Pending);
  const Actions begun = greet();
  EXPECT_EQ((said<format::ResyncMessage, SendMessage>(begun).size()), 1U);
  EXPECT_TRUE((said<format::ResumeMessage, SendMessage>(begun).empty()));
  EXPECT_EQ((said<format::ResumeMessage, SendMessage>(greet()).size()), 1U) << "one command, one resync";
}

TEST(Source, InPlaceIsForOneResync) {
  Primary primary;
  primary.finish_copying(primary.attach_blank());
  const auto resync = [&](std::uint64_t time_ms) {
    primary.step(LinkDown{0, "test"}, time_ms);
    primary.step(LinkUp{0}, time_ms);
    primary.say(primary.hello(0, false), time_ms);
    format::ResyncReadyMessage ready;
    ready.position = {{first_entry()}, Era::of(1, 1)};
    ready.agreed = Era::of(1, 1);
    ready.image_volumes = {0};
    const auto asked = of<ReckonDirty>(primary.say(ready, time_ms));
    EXPECT_EQ(asked.size(), 1U);
    const auto attach = said<format::AttachMessage, SendMessage>(
        primary.step(Reckoned{0, asked[0].ticket, {{0, 0, 8, Era::of(1, 2)}}}, time_ms));
    EXPECT_EQ(attach.size(), 1U);
    return attach[0].in_place;
  };
  primary.step(ResyncRequested{0, true}, 450);
  EXPECT_TRUE(resync(460));
  format::WatermarksMessage in_place = primary.marks(primary.read);
  in_place.in_place = true;
  primary.say(in_place, 470);
  EXPECT_NE(primary.source->status(at_ms(470)).links[0].reason.find("no takeover is possible"),
            std::string::npos);
  EXPECT_TRUE(resync(480)) << "it was interrupted";
  primary.step(ResyncRequested{0, false}, 490);
  EXPECT_FALSE(resync(500)) << "the newest command counts";
}

TEST(Source, AResyncByCommandDoesNotWakeWhatIsSuspendedByCommand) {
  Primary primary;
  primary.finish_copying(primary.attach_blank());
  primary.step(SuspendRequested{0, "test"}, 400);
  EXPECT_TRUE(primary.step(ResyncRequested{0}, 410).empty());
  EXPECT_EQ(primary.source->status(at_ms(420)).links[0].state, PairState::Suspended);
}

TEST(Source, WithoutItsSyncPairItIsNotAloneAnyMore) {
  Primary primary(LinkMode::Sync);
  primary.finish_copying(primary.attach_blank());
  primary.step(CheckpointPut{Era::of(1, 1), primary.read + 1, 0, ""}, 400);
  primary.capture({record(DMRC_MARKER, primary.read + 1), record(DMRC_HELD, primary.read + 2)}, 400);
  format::WatermarksMessage complete = primary.marks(primary.read);
  complete.complete = Era::of(1, 1);
  primary.say(complete, 410);
  const Actions duplex = primary.step(Tick{}, 411);
  ASSERT_EQ(of<SetSync>(duplex).size(), 1U);
  primary.step(SyncSwitched{true, primary.read}, 412);
  primary.step(RingProgress{primary.read, true, Era::of(1, 2)}, 415);
  primary.step(SuspendRequested{0, "test"}, 416);
  ASSERT_TRUE(primary.source->status(at_ms(417)).alone);
  primary.step(LinkRemoved{0}, 420);
  EXPECT_FALSE(primary.source->status(at_ms(430)).alone);
  EXPECT_TRUE(primary.source->status(at_ms(430)).links.empty());
}

// What the copy holds was read before the agent was killed; until it is read again the copy seems to be
// ahead.
TEST(Source, ACopyIsAnsweredWhenAllThatTheRingHeldIsReadAgain) {
  Primary primary;
  primary.finish_copying(primary.attach_blank());
  const Seq synced = primary.read;
  primary.capture({write(synced + 1), write(synced + 2), write(synced + 3)});
  primary.say(primary.marks(synced + 2));

  primary.restart(synced, synced + 3);
  primary.step(LinkUp{0});
  EXPECT_TRUE(of<SendMessage>(primary.say(primary.hello(synced + 2))).empty());
  EXPECT_TRUE(of<SendMessage>(primary.capture({write(synced + 1)})).empty());
  const auto answers = of<SendMessage>(primary.capture({write(synced + 2), write(synced + 3)}));
  ASSERT_EQ(answers.size(), 1U);
  const auto* resume = std::get_if<format::ResumeMessage>(&answers[0].message);
  ASSERT_NE(resume, nullptr) << "no resync: nothing is missing";
  EXPECT_EQ(resume->from, synced + 3);
}

TEST(Source, AShorterIntervalCountsFromNowOn) {
  Primary primary;
  EXPECT_TRUE(of<PutCheckpoint>(primary.step(Tick{}, 900)).empty());
  primary.step(SettingsChanged{200, false}, 700);
  EXPECT_TRUE(of<PutCheckpoint>(primary.step(Tick{}, 899)).empty());
  EXPECT_EQ(of<PutCheckpoint>(primary.step(Tick{}, 900)).size(), 1U);
}

TEST(Source, ALongerWaitIsTakenOverByARunningPair) {
  Primary primary(LinkMode::Sync);
  primary.finish_copying(primary.attach_blank());
  LinkConfig link;
  link.peer = link.site = "lyon";
  link.mode = LinkMode::Sync;
  link.ack_timeout_ms = 20000;
  const Actions changed = primary.step(LinkAdded{link}, 400);
  EXPECT_TRUE(of<CloseLink>(changed).empty()) << "the pair goes on";
  primary.step(CheckpointPut{Era::of(1, 1), primary.read + 1, 0, ""}, 400);
  primary.capture({record(DMRC_MARKER, primary.read + 1), record(DMRC_HELD, primary.read + 2)}, 400);
  format::WatermarksMessage complete = primary.marks(primary.read);
  complete.complete = Era::of(1, 1);
  primary.say(complete, 410);
  primary.step(Tick{}, 450);
  const Actions answered = primary.say(format::ChallengeMessage{test_stream, 1, lease_for(20000)}, 500);
  EXPECT_EQ((said<format::ChallengeAnswerMessage, SendMessage>(answered).size()), 1U);
}

TEST(Source, ASuspendedPairStaysSuspendedWhenItsCopyGreets) {
  Primary primary;
  primary.finish_copying(primary.attach_blank());
  primary.step(SuspendRequested{0, "suspended by command"});
  primary.step(LinkDown{0, "closed"});
  primary.step(LinkUp{0});
  const Actions answers = primary.say(primary.hello(primary.read));
  ASSERT_EQ(of<SendMessage>(answers).size(), 1U);
  const auto told = said<format::RefusedMessage, SendMessage>(answers);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_TRUE(told[0].suspended);
  const auto link = primary.source->status(at_ms(0)).links[0];
  EXPECT_EQ(link.state, PairState::Suspended);
  EXPECT_EQ(link.reason, "suspended by command");
  EXPECT_EQ(link.next_action, "rcctl pair resume g --to lyon");
}

} // namespace
} // namespace rc::core
