// SPDX-License-Identifier: GPL-2.0-or-later
// A copy of a sync site of several (docs/copyset.md, "Sync"): what it stores, accepts and tells its source
// when the site's master orders it.
#include "core/lease_rounds.hpp"
#include "unit/core/samples.hpp"

#include <gtest/gtest.h>

namespace rc::core {
namespace {
using namespace target;

constexpr std::uint64_t lease = 800 * ms;
const format::Term term{1, 7};

TEST(LeaseRounds, AnAnswerCountsForTheRoundInWhichItsChallengeWentOut) {
  LeaseRounds rounds;
  rounds.follow(term);
  EXPECT_FALSE(rounds.challenge(1)) << "it has no stamp";
  rounds.stamp(1, at_ms(0), lease);
  const auto first = rounds.challenge(1);
  ASSERT_TRUE(first);
  EXPECT_FALSE(rounds.challenge(1)) << "once in a session";
  rounds.answered(*first + 1);
  EXPECT_EQ(rounds.answered(), 0u);
  rounds.answered(*first);
  EXPECT_EQ(rounds.answered(), 1u);
  rounds.stamp(1, at_ms(500), lease);
  EXPECT_EQ(rounds.find(1)->at.boot_ns, at_ms(0).boot_ns) << "the first stamp counts";
}

TEST(LeaseRounds, AnotherMastersRoundsAreOthers) {
  LeaseRounds rounds;
  rounds.follow(term);
  rounds.stamp(1, at_ms(0), lease);
  const auto number = rounds.challenge(1);
  rounds.follow({2, 8});
  rounds.answered(*number);
  EXPECT_EQ(rounds.answered(), 0u);
  EXPECT_EQ(rounds.find(1), nullptr);
}

// Holds records 1 (era 4) and 2 of the running stream, image at checkpoint 3.
struct Seat {
  explicit Seat(format::GroupState state = held()) : target(config(), std::move(state), journal()) {
    step(Started{});
  }
  static TargetConfig config() {
    TargetConfig config{"g", "lyon", "paris", 0, {64}, lease};
    config.copyset = true;
    return config;
  }
  static format::GroupState held() {
    format::GroupState state;
    state.position = {{first_entry()}, Era::of(1, 3)};
    state.source_lineage = {first_entry()};
    state.image_volumes = {0};
    return state;
  }
  static RecoveredJournal journal() {
    RecoveredJournal journal{{}, {0, 1 << 20, 0, 1000}};
    journal.index.begin(test_stream, 1);
    const std::vector<format::Record> records{write(1, 0, Era::of(1, 4)), write(2, 1, Era::of(1, 4))};
    journal.index.add(records);
    return journal;
  }
  Actions step(const Event& event, std::uint64_t time_ms = 0) {
    Actions actions = target.step(event, at_ms(time_ms));
    target.check_invariants();
    for (const auto& facts : of<TellCopyset>(actions))
      if (const auto* copy = std::get_if<copyset::CopyFacts>(&facts.what))
        reported = copy->sync;
    return actions;
  }
  Actions say(format::GroupMessage message, std::uint64_t time_ms = 0) {
    return step(MessageArrived{std::move(message)}, time_ms);
  }
  Actions order(format::SyncOrder sync, std::uint64_t time_ms = 0) {
    return step(SyncOrdered{term, sync}, time_ms);
  }
  Actions record(Seq seq, std::uint64_t time_ms) {
    auto message = std::make_shared<format::RecordsMessage>();
    message->stream = test_stream;
    message->records = {write(seq, 0, Era::of(1, 4))};
    return step(RecordsArrived{message}, time_ms);
  }
  void receive() {
    step(LinkUp{});
    say(format::ResumeMessage{Epoch{}, test_stream, 3});
  }
  // Stamped, challenged, answered and renewed at `time_ms`.
  void round(std::uint64_t number, std::uint64_t time_ms) {
    order({lease, number, 0, 0, {}, {}, {}, {}, {}, {}}, time_ms);
    const Actions asked = order({lease, number, number, 0, {}, {}, {}, {}, {}, {}}, time_ms);
    const auto challenge = said<format::ChallengeMessage, SendMessage>(asked);
    ASSERT_EQ(challenge.size(), 1u);
    say(format::ChallengeAnswerMessage{test_stream, challenge[0].number}, time_ms);
    EXPECT_EQ(reported.answered, number);
    order({lease, number, number, number, {}, {}, {}, {}, {}, {}}, time_ms);
  }
  void become_current() {
    receive();
    round(1, 0);
    say(format::CurrentMessage{test_stream, Era::of(1, 3)}, 10);
    order(current(3), 20);
    order(confirmed(3), 30);
  }
  static format::SyncOrder current(std::uint64_t n) {
    format::SyncOrder order;
    order.current = Era::of(1, n);
    return order;
  }
  static format::SyncOrder confirmed(std::uint64_t n) {
    format::SyncOrder order;
    order.confirmed = Era::of(1, n);
    return order;
  }
  static format::SyncOrder shut(std::uint64_t n, bool all = false) {
    format::SyncOrder order;
    order.shut = Era::of(1, n);
    order.all_shut = all ? order.shut : Era{};
    return order;
  }
  Target target;
  format::SyncReport reported;
};

TEST(TargetSiteSync, NoTermWithoutASourceThatWaitsAndAStandingLease) {
  Seat seat;
  seat.receive();
  EXPECT_TRUE(of<StoreState>(seat.order(Seat::current(3))).empty()) << "its source does not wait";
  seat.say(format::CurrentMessage{test_stream, Era::of(1, 3)});
  EXPECT_EQ(seat.reported.ready, Era::of(1, 3));
  EXPECT_TRUE(of<StoreState>(seat.order(Seat::current(3))).empty()) << "no lease stands";
  seat.round(1, 0);
  const Actions stored = seat.order(Seat::current(3), 10);
  ASSERT_EQ(of<StoreState>(stored).size(), 1u);
  EXPECT_EQ(of<StoreState>(stored)[0].state.current_since, Era::of(1, 3));
  EXPECT_EQ(seat.reported.since, Era::of(1, 3));
  EXPECT_FALSE(seat.target.status(at_ms(20)).current) << "the others may not have stored it";
  const Actions all = seat.order(Seat::confirmed(3), 30);
  EXPECT_EQ((said<format::CurrentStoredMessage, SendMessage>(all).size()), 1u);
  EXPECT_TRUE(seat.target.status(at_ms(40)).current);
  EXPECT_FALSE(seat.target.status(at_ms(801)).current) << "the lease counts from the stamp";
}

TEST(TargetSiteSync, WhetherTheSourceWaitsIsForgottenWithTheLink) {
  Seat seat;
  seat.receive();
  seat.round(1, 0);
  seat.say(format::CurrentMessage{test_stream, Era::of(1, 3)});
  seat.step(LinkDown{"cut"});
  EXPECT_EQ(seat.reported.ready, Era{}) << "it may go on alone while the link is down";
  seat.receive();
  EXPECT_TRUE(of<StoreState>(seat.order(Seat::current(3), 10)).empty());
}

TEST(TargetSiteSync, AfterItsLeaseNothingIsStoredAndTheLeaseIsNotRenewed) {
  Seat seat;
  seat.become_current();
  EXPECT_EQ(of<AppendJournal>(seat.record(3, 700)).size(), 1u);
  EXPECT_TRUE(of<AppendJournal>(seat.record(4, 801)).empty());
  EXPECT_EQ(seat.reported.shut, Era::of(1, 3));
  Seat renewed;
  renewed.become_current();
  const Actions late = renewed.order({lease, 1, 1, 1, {}, {}, {}, {}, {}, {}}, 900);
  ASSERT_EQ(of<StoreState>(late).size(), 1u);
  EXPECT_EQ(of<StoreState>(late)[0].state.closed, test_stream) << "a lease that ended stays ended";
}

TEST(TargetSiteSync, TheSourceHearsOfTheCloseWhenAllHaveClosed) {
  Seat seat;
  seat.become_current();
  const Actions closed = seat.order(Seat::shut(3), 100);
  ASSERT_EQ(of<StoreState>(closed).size(), 1u);
  EXPECT_EQ(of<StoreState>(closed)[0].state.closed_at, 2u);
  EXPECT_EQ(of<CloseLink>(closed).size(), 1u) << "nothing more is acknowledged";
  EXPECT_TRUE((said<format::NotCurrentMessage, SendMessage>(closed).empty()));
  seat.step(LinkDown{"closed"}, 110);
  seat.step(LinkUp{}, 1200);
  const Actions told = seat.order(Seat::shut(3, true), 1210);
  const auto words = said<format::NotCurrentMessage, SendMessage>(told);
  ASSERT_EQ(words.size(), 1u);
  EXPECT_EQ(words[0].through, Era::of(1, 3));
  EXPECT_TRUE((said<format::NotCurrentMessage, SendMessage>(seat.order(Seat::shut(3, true), 1220)).empty()));
}

TEST(TargetSiteSync, ATermThatWasShutElsewhereIsNotStoredLater) {
  Seat seat;
  seat.receive();
  seat.round(1, 0);
  seat.say(format::CurrentMessage{test_stream, Era::of(1, 3)});
  seat.order(Seat::shut(3), 10);
  EXPECT_EQ(seat.reported.shut, Era::of(1, 3)) << "so the master knows that it can't begin here";
  EXPECT_TRUE(of<StoreState>(seat.order(Seat::current(3), 20)).empty()) << "overtaken order";
}

TEST(TargetSiteSync, ASourceThatWaitsForATermThatIsOverIsToldSo) {
  Seat seat;
  seat.receive();
  seat.order(Seat::shut(3), 10);
  const Actions answer = seat.say(format::CurrentMessage{test_stream, Era::of(1, 3)}, 20);
  const auto words = said<format::NotCurrentMessage, SendMessage>(answer);
  ASSERT_EQ(words.size(), 1u) << "else it would wait for it for ever";
  EXPECT_EQ(words[0].through, Era::of(1, 3));
  EXPECT_EQ(seat.reported.ready, Era{});
}

TEST(TargetSiteSync, ARoundHasTheLeaseOfItsStamp) {
  Seat seat;
  seat.receive();
  seat.order({lease, 1, 0, 0, {}, {}, {}, {}, {}, {}});
  const Actions asked = seat.order({lease / 4, 1, 1, 0, {}, {}, {}, {}, {}, {}});
  const auto challenge = said<format::ChallengeMessage, SendMessage>(asked);
  ASSERT_EQ(challenge.size(), 1u);
  EXPECT_EQ(challenge[0].lease_ns, lease) << "what its own lease will count with";
  seat.order({2 * lease, 2, 0, 0, {}, {}, {}, {}, {}, {}});
  EXPECT_EQ(seat.reported.stamped, 1u) << "longer than it is configured for";
}

TEST(TargetSiteSync, ImagesBeyondTheCloseHavePassedItWhateverIsOnItsWay) {
  Seat seat;
  seat.become_current();
  seat.order(Seat::shut(3), 100);
  format::SyncOrder seal;
  seal.seal = Era::of(1, 3);
  seat.order(seal, 110);
  seat.step(Applied{test_stream, 2}, 120);
  seat.step(LinkDown{"closed"}, 130);
  seat.step(LinkUp{}, 1200);
  seat.say(format::ResumeMessage{Epoch{}, test_stream, 3}, 1210);
  seat.record(3, 1220); // not durable yet
  EXPECT_TRUE(seat.reported.passed);
}

TEST(TargetSiteSync, TheSealCountsUntilTheTermIsForgotten) {
  Seat seat;
  seat.become_current();
  seat.order(Seat::shut(3), 100);
  EXPECT_FALSE(seat.reported.passed);
  format::SyncOrder seal;
  seal.seal = Era::of(1, 3);
  const Actions applies = seat.order(seal, 110);
  ASSERT_EQ(of<ApplyRecords>(applies).size(), 1u);
  EXPECT_EQ(of<ApplyRecords>(applies)[0].last, 2u);
  EXPECT_FALSE(seat.reported.passed);
  seat.step(Applied{test_stream, 2}, 120);
  EXPECT_TRUE(seat.reported.passed);
  EXPECT_EQ(seat.reported.since, Era::of(1, 3));
  format::SyncOrder reopen;
  reopen.reopen = Era::of(1, 3);
  const Actions forgets = seat.order(reopen, 130);
  ASSERT_EQ(of<StoreState>(forgets).size(), 1u);
  EXPECT_EQ(of<StoreState>(forgets)[0].state.current.value, 0u);
  EXPECT_EQ(seat.reported.since, Era{});
}

TEST(TargetSiteSync, ATakeoverOfTheSiteDoesNotLetItsSourceGoOnAlone) {
  Seat seat;
  seat.become_current();
  const Actions closes = seat.step(CloseOrdered{{2, "lyon", 9, Era{}}}, 100);
  EXPECT_TRUE((said<format::NotCurrentMessage, SendMessage>(closes).empty()))
      << "other copies may still be open: its source waits for its deadline";
  EXPECT_EQ(of<CloseLink>(closes).size(), 1u);
}

} // namespace
} // namespace rc::core
