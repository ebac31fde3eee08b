// SPDX-License-Identifier: GPL-2.0-or-later
// Single rules of the Target that the transcripts don't show: refusals, limits, restarts in the middle.
#include "unit/core/samples.hpp"

#include <gtest/gtest.h>

namespace rc::core {
namespace {

using namespace target;

struct Copy {
  explicit Copy(format::GroupState state = {}, RecoveredJournal journal = roomy(), std::uint64_t lease_ns = 0)
      : target(TargetConfig{"g", "lyon", "paris", 0, {64}, lease_ns}, std::move(state), std::move(journal)) {
    first = step(Started{});
  }
  static RecoveredJournal roomy() { return {{}, {0, 1 << 20, 0, 1000}}; }
  Actions step(const Event& event, std::uint64_t time_ms = 0) {
    Actions actions = target.step(event, at_ms(time_ms));
    target.check_invariants();
    return actions;
  }
  Actions say(format::GroupMessage message, std::uint64_t time_ms = 0) {
    return step(MessageArrived{std::move(message)}, time_ms);
  }
  Actions records(std::vector<format::Record> records, std::uint64_t time_ms = 0) {
    auto message = std::make_shared<format::RecordsMessage>();
    message->stream = test_stream;
    message->records = std::move(records);
    return step(RecordsArrived{message}, time_ms);
  }
  // Greets, ends its old stream, attaches for a copy of everything.
  void attach(std::uint64_t copy_bytes = 4096, bool full = true, bool in_place = false) {
    step(LinkUp{});
    say(format::ResyncMessage{Epoch{}, {first_entry()}});
    if (!full)
      step(OwnDirty{1, {}});
    format::AttachMessage message;
    message.stream = test_stream;
    message.from = 1;
    message.source_lineage = {first_entry()};
    message.full = full;
    message.agreed = full ? Era{} : Era::of(1, 3);
    message.copy_bytes = copy_bytes;
    message.in_place = in_place;
    attached = say(message);
  }
  Target target;
  Actions first;
  Actions attached;
};

format::GroupState with_image() {
  format::GroupState state;
  state.position = {{first_entry()}, Era::of(1, 3)};
  state.source_lineage = {first_entry()};
  state.image_volumes = {0};
  return state;
}

RecoveredJournal holding(std::vector<format::Record> records) {
  RecoveredJournal journal = Copy::roomy();
  journal.index.begin(test_stream, records.front().seq);
  journal.index.add(records);
  return journal;
}

TEST(Target, StoresTheReleaseBeforeUpdateInProgressBeforeApply) {
  Copy copy(with_image(), holding({write(1, 0, Era::of(1, 4)), record(DMRC_MARKER, 2, Era::of(1, 4)),
                                   record(DMRC_HELD, 3, Era::of(1, 4))}));
  std::vector<std::size_t> order;
  for (const Action& action : copy.first)
    order.push_back(action.index());
  const std::vector<std::size_t> wanted{Action(SetUpdateInProgress{}).index(), Action(StoreState{}).index(),
                                        Action(SetUpdateInProgress{}).index(),
                                        Action(ApplyRecords{}).index()};
  EXPECT_EQ(order, wanted) << "the first one clears what a crash may have left";
  EXPECT_EQ(of<StoreState>(copy.first)[0].state.position.applied, Era::of(1, 3))
      << "position changes at complete";
  const Actions done = copy.step(Applied{test_stream, 3});
  ASSERT_EQ(of<StoreState>(done).size(), 1U);
  EXPECT_EQ(of<StoreState>(done)[0].state.position.applied, Era::of(1, 4));
  EXPECT_EQ(of<StoreState>(done)[0].journal.trim->through, 3U) << "in the same step";
  EXPECT_FALSE(of<SetUpdateInProgress>(done)[0].in_progress);
}

TEST(Target, RedoesAStoredReleaseAndWaitsForItBeforeGreeting) {
  format::GroupState state = with_image();
  state.release = format::Release{test_stream, 3, Era::of(1, 4), false, 0};
  Copy copy(state, holding({write(1, 0, Era::of(1, 4)), record(DMRC_MARKER, 2, Era::of(1, 4)),
                            record(DMRC_HELD, 3, Era::of(1, 4))}));
  ASSERT_EQ(of<ApplyRecords>(copy.first).size(), 1U);
  EXPECT_TRUE(of<ApplyRecords>(copy.first)[0].redo);
  EXPECT_TRUE(of<SetUpdateInProgress>(copy.first)[0].in_progress);
  const Actions up = copy.step(LinkUp{});
  const auto hello = said<format::HelloMessage, SendMessage>(up);
  ASSERT_EQ(hello.size(), 1U);
  EXPECT_TRUE(hello[0].update_in_progress);
  EXPECT_EQ(hello[0].position.applied, Era::of(1, 3));
}

TEST(Target, GreetsOnlyWhenAllItReceivedIsDurable) {
  Copy copy;
  copy.attach();
  copy.records({write(1)});
  copy.step(LinkDown{"cut"});
  EXPECT_TRUE((said<format::HelloMessage, SendMessage>(copy.step(LinkUp{})).empty()));
  const Actions flushed = copy.step(JournalDurable{test_stream, 1, {512, 1 << 20, 1, 1000}});
  const auto hello = said<format::HelloMessage, SendMessage>(flushed);
  ASSERT_EQ(hello.size(), 1U);
  EXPECT_EQ(hello[0].durable, 1U);
}

TEST(Target, ReportsOnlyWhatIsDurable) {
  Copy copy;
  copy.attach();
  const Actions taken = copy.records({write(1), write(2)});
  EXPECT_EQ(of<AppendJournal>(taken).size(), 1U);
  EXPECT_TRUE((said<format::WatermarksMessage, SendMessage>(taken).empty()));
  const auto marks = said<format::WatermarksMessage, SendMessage>(
      copy.step(JournalDurable{test_stream, 1, {512, 1 << 20, 1, 1000}}));
  ASSERT_FALSE(marks.empty());
  EXPECT_EQ(marks[0].durable, 1U);
}

TEST(Target, RefusesABadBatchWholeAndSaysWhy) {
  Copy copy;
  copy.attach();
  const Actions refused = copy.records({write(1), write(3)});
  EXPECT_TRUE(of<AppendJournal>(refused).empty());
  EXPECT_EQ((said<format::RefusedMessage, SendMessage>(refused).size()), 1U);
  EXPECT_EQ(of<CloseLink>(refused).size(), 1U);
  EXPECT_TRUE(of<AppendJournal>(copy.records({write(1)})).empty()) << "the link is closed";
  EXPECT_EQ(copy.target.status(at_ms(0)).state, PairState::Failed);
}

TEST(Target, SaysThatItIsSuspendedWhenTheSourceSuspendedIt) {
  Copy copy;
  copy.attach();
  copy.step(MessageArrived{format::RefusedMessage{"suspended by command", "rcctl pair resume g", true}});
  copy.step(LinkDown{"closed"});
  const auto status = copy.target.status(at_ms(0));
  EXPECT_EQ(status.state, PairState::Suspended);
  EXPECT_EQ(status.reason, "suspended by command");
  EXPECT_EQ(status.next_action, "rcctl pair resume g");
}

TEST(Target, RefusesWhatDoesNotFitItsJournal) {
  RecoveredJournal small;
  small.space = {0, 8192, 0, 1000};
  Copy copy({}, small);
  copy.attach();
  EXPECT_EQ(of<AppendJournal>(copy.records({write(1), write(2)})).size(), 1U);
  const Actions refused = copy.records({write(3)});
  EXPECT_TRUE(of<AppendJournal>(refused).empty());
  EXPECT_EQ(of<CloseLink>(refused).size(), 1U);
}

TEST(Target, RecordsBeforeAnAgreementAreIgnored) {
  Copy copy;
  EXPECT_TRUE(copy.records({write(1)}).empty());
  copy.step(LinkUp{});
  EXPECT_TRUE(copy.records({write(1)}).empty());
}

TEST(Target, MessagesOutOfOrderCloseTheLinkWithoutEffect) {
  Copy copy(with_image());
  copy.step(LinkUp{});
  format::AttachMessage attach;
  attach.stream = test_stream;
  attach.from = 1;
  const Actions refused = copy.say(attach);
  EXPECT_EQ(of<CloseLink>(refused).size(), 1U);
  EXPECT_TRUE(of<StoreState>(refused).empty());
  EXPECT_EQ(copy.target.state().position.applied, Era::of(1, 3));
}

TEST(Target, RefusesAnOlderEpoch) {
  format::GroupState state = with_image();
  state.epoch = Epoch{7};
  Copy copy(state);
  copy.step(LinkUp{});
  EXPECT_EQ(of<CloseLink>(copy.say(format::ResyncMessage{Epoch{6}, {first_entry()}})).size(), 1U);
}

TEST(Target, ADeltaThatCantFitIsRefusedUnlessInPlaceIsAllowed) {
  RecoveredJournal small;
  small.space = {0, 1 << 20, 0, 1000};
  Copy strict(with_image(), small);
  strict.attach(64 << 20, false);
  EXPECT_EQ(of<CloseLink>(strict.attached).size(), 1U);
  EXPECT_TRUE(strict.target.status(at_ms(0)).restartable) << "the old image stays";
  EXPECT_NE(strict.target.status(at_ms(0)).next_action.find("rcctl pair resync g --in-place"),
            std::string::npos);
  Copy roomy(with_image());
  roomy.attach(4096, false, true);
  EXPECT_TRUE(of<SetUpdateInProgress>(roomy.attached).empty()) << "it fits: it is gathered as ever";
  Copy allowed(with_image(), small);
  allowed.attach(64 << 20, false, true);
  EXPECT_TRUE(of<CloseLink>(allowed.attached).empty());
  ASSERT_EQ(of<SetUpdateInProgress>(allowed.attached).size(), 1U);
  EXPECT_FALSE(allowed.target.status(at_ms(0)).restartable) << "no promotion until done";
  EXPECT_NE(allowed.target.status(at_ms(0)).reason.find("no takeover is possible"), std::string::npos);
  const auto marks = said<format::WatermarksMessage, SendMessage>(allowed.attached);
  ASSERT_FALSE(marks.empty());
  EXPECT_TRUE(marks.back().in_place);
  EXPECT_EQ(of<TakeoverRefused>(allowed.step(TakeoverRequested{"lyon", 5})).size(), 1U);
}

TEST(Target, IsNotCurrentBeforeItsLeaseAndTheCheckpoint) {
  Copy copy(with_image(), holding({write(1, 0, Era::of(1, 4))}), 2 * second);
  copy.step(LinkUp{});
  copy.say(format::ResumeMessage{Epoch{}, test_stream, 2});
  Actions answer = copy.say(format::CurrentMessage{test_stream, Era::of(1, 3)});
  EXPECT_EQ((said<format::NotCurrentMessage, SendMessage>(answer).size()), 1U) << "no challenge was answered";
  copy.say(format::ChallengeAnswerMessage{test_stream, 1}, 10);
  answer = copy.say(format::CurrentMessage{test_stream, Era::of(1, 4)}, 20);
  EXPECT_EQ((said<format::NotCurrentMessage, SendMessage>(answer).size()), 1U)
      << "the checkpoint is not complete";
  answer = copy.say(format::CurrentMessage{test_stream, Era::of(1, 3)}, 30);
  ASSERT_EQ(of<StoreState>(answer).size(), 1U) << "stored before it is said";
  EXPECT_EQ((said<format::CurrentStoredMessage, SendMessage>(answer).size()), 1U);
  EXPECT_TRUE(copy.target.status(at_ms(40)).current);
  EXPECT_FALSE(copy.target.status(at_ms(2100)).current) << "the lease ended, even before a tick";
}

TEST(Target, ACurrentCopyTakesNoRecordAfterItsLease) {
  Copy copy(with_image(), holding({write(1, 0, Era::of(1, 4))}), 2 * second);
  copy.step(LinkUp{});
  copy.say(format::ResumeMessage{Epoch{}, test_stream, 2});
  copy.say(format::ChallengeAnswerMessage{test_stream, 1}, 10);
  copy.say(format::CurrentMessage{test_stream, Era::of(1, 3)}, 30);
  EXPECT_EQ(of<AppendJournal>(copy.records({write(2, 0, Era::of(1, 4))}, 1900)).size(), 1U);
  const Actions late = copy.records({write(3, 0, Era::of(1, 4))}, 2100);
  EXPECT_TRUE(of<AppendJournal>(late).empty());
  ASSERT_EQ(of<StoreState>(late).size(), 1U);
  EXPECT_EQ(of<StoreState>(late)[0].state.closed_at, 2U) << "what was received in time counts";
}

TEST(Target, ATakeoverThatWasDecidedGoesOnAfterARestart) {
  format::GroupState state = with_image();
  state.takeover = format::LineageEntry{2, "lyon", 77, Era{}};
  Copy copy(state);
  ASSERT_EQ(of<BecomePrimary>(copy.first).size(), 1U);
  EXPECT_EQ(of<BecomePrimary>(copy.first)[0].generation, 2U);
  const auto stored = of<StoreState>(copy.first);
  ASSERT_FALSE(stored.empty());
  EXPECT_EQ(stored.back().state.role, format::Role::Primary);
  EXPECT_EQ(stored.back().state.position.lineage.back().base, Era::of(1, 3));
  EXPECT_EQ(stored.back().state.position.lineage.back().id, 77U);
  EXPECT_TRUE(copy.step(LinkUp{}).empty()) << "it does nothing more";
}

TEST(Target, ATakeoverTakesAGenerationAboveEveryOneThatWasHeardOf) {
  Copy unaware(with_image());
  const auto plain = of<BecomePrimary>(unaware.step(TakeoverRequested{"lyon", 5}));
  ASSERT_EQ(plain.size(), 1U);
  EXPECT_EQ(plain[0].generation, 2U);
  Copy aware(with_image());
  const auto above = of<BecomePrimary>(aware.step(TakeoverRequested{"lyon", 5, 4}));
  ASSERT_EQ(above.size(), 1U);
  EXPECT_EQ(above[0].generation, 5U);
}

TEST(Target, ABlankCopyIsNoPlaceForATakeover) {
  Copy copy;
  EXPECT_EQ(of<TakeoverRefused>(copy.step(TakeoverRequested{"lyon", 5})).size(), 1U);
}

TEST(Target, AFailedApplyIsAskedAgainFromTheBeginning) {
  Copy copy(with_image(), holding({write(1, 0, Era::of(1, 4)), record(DMRC_MARKER, 2, Era::of(1, 4)),
                                   record(DMRC_HELD, 3, Era::of(1, 4))}));
  copy.step(ApplyFailed{"input/output error"});
  EXPECT_EQ(copy.target.status(at_ms(0)).state, PairState::Failed);
  EXPECT_TRUE(of<ApplyRecords>(copy.step(Tick{}, 1000)).empty());
  const Actions again = copy.step(Tick{}, 6000);
  ASSERT_EQ(of<ApplyRecords>(again).size(), 1U);
  EXPECT_TRUE(of<ApplyRecords>(again)[0].redo);
}

TEST(Target, AFailedJournalStopsItWithWords) {
  Copy copy;
  copy.attach();
  const Actions failed = copy.step(JournalFailed{"no space left on device"});
  EXPECT_EQ(of<CloseLink>(failed).size(), 1U);
  EXPECT_EQ(copy.target.status(at_ms(0)).state, PairState::Failed);
  EXPECT_TRUE(copy.step(LinkUp{}).empty());
}

} // namespace
} // namespace rc::core
