// SPDX-License-Identifier: GPL-2.0-or-later
// The master of a sync site of two copies (docs/copyset.md, "Sync"): the copies are played by the test, which
// says what they have stored and looks at what they are told. Paper seeds/003: the set is suspended as a
// whole.
#include "core/copyset.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <map>

namespace rc::core {
namespace {
using namespace copyset;
using format::Seat;

const Seat one{"a", "S"}, other{"b", "S"};
constexpr std::uint64_t lease = 800 * ms;
Era checkpoint(std::uint64_t n) { return Era::of(1, n); }

struct SyncSite {
  std::map<Seat, Copyset> seats;
  std::map<Seat, CopyFacts> facts;
  std::map<Seat, format::SyncOrder> told;
  std::map<Seat, std::vector<Action>> orders;
  std::deque<format::CopysetMessage> post;
  Now now{second, second};
  format::CopysetTable table;

  SyncSite() {
    table.name = "bank";
    table.epoch = Epoch{1};
    table.seats = {one, other};
    table.masters = {one};
    table.registrar = one;
    table.memberships = {{Epoch{1}, {"a", "b"}}};
    for (const Seat& seat : table.seats) {
      seats.emplace(seat, Copyset({seat, 1000, 200}, table));
      say(seat, Started{seats.size()});
      facts[seat].image = true;
      facts[seat].released = facts[seat].complete = checkpoint(5);
      facts[seat].sync.lease_ns = lease;
    }
    tell_all();
  }
  void say(const Seat& seat, const Event& event) {
    for (Action& action : seats.at(seat).step(event, now))
      if (auto* send = std::get_if<Send>(&action)) {
        post.push_back(std::move(send->message));
      } else if (const auto* sync = std::get_if<OrderSync>(&action)) {
        told[seat] = sync->order;
        facts[seat].rounds_of = sync->term;
      } else if (!std::holds_alternative<Note>(action))
        orders[seat].push_back(action);
  }
  void tell(const Seat& seat) {
    say(seat, facts.at(seat));
    while (!post.empty()) {
      const auto message = post.front();
      post.pop_front();
      say(message.to, MessageArrived{message});
    }
  }
  void tell_all() {
    tell(one);
    tell(other);
  }
  void both(auto&& change) {
    change(facts.at(one).sync);
    change(facts.at(other).sync);
    tell_all();
  }
  void pass(std::uint64_t time) {
    now.boot_ns += time;
    say(one, Tick{});
    tell_all();
  }
  void current_since(std::uint64_t n) {
    both([&](auto& sync) { sync.since = checkpoint(n); });
  }
  template <typename Order> bool ordered(const Seat& seat) {
    for (const Action& action : orders[seat])
      if (std::holds_alternative<Order>(action))
        return true;
    return false;
  }
};

TEST(CopysetSync, NobodyIsChallengedBeforeAllHaveStampedAndNoLeaseIsRenewedBeforeAllHaveAnswered) {
  SyncSite site;
  ASSERT_EQ(site.told[one].stamp, 1u);
  EXPECT_EQ(site.told[one].lease_ns, lease);
  site.facts[one].sync.stamped = 1;
  site.tell(one);
  EXPECT_EQ(site.told[one].challenge, 0u) << "the other copy has no stamp yet";
  site.facts[other].sync.stamped = 1;
  site.tell(other);
  EXPECT_EQ(site.told[one].challenge, 1u);
  site.facts[one].sync.answered = 1;
  site.tell(one);
  EXPECT_EQ(site.told[one].renew, 0u);
  site.facts[other].sync.answered = 1;
  site.tell(other);
  EXPECT_EQ(site.told[one].renew, 1u);
  EXPECT_EQ(site.told[other].renew, 1u);
  site.pass(lease / 4);
  EXPECT_EQ(site.told[other].stamp, 2u);
}

TEST(CopysetSync, TheShortestLeaseIsEverybodys) {
  SyncSite site;
  site.facts[other].sync.lease_ns = lease / 2;
  site.tell(other);
  EXPECT_EQ(site.told[one].lease_ns, lease / 2);
}

TEST(CopysetSync, AnotherLeaseIsAnotherRound) {
  SyncSite site;
  const std::uint64_t before = site.told[one].stamp;
  site.facts[other].sync.lease_ns = lease / 2;
  site.tell(other);
  EXPECT_EQ(site.told[one].stamp, before + 1);
}

TEST(CopysetSync, RoundsOfAnotherTermDontCount) {
  SyncSite site;
  site.both([](auto& sync) { sync.stamped = sync.answered = 57; });
  EXPECT_EQ(site.told[other].renew, 57u);
  for (const Seat& seat : {one, other})
    site.facts[seat].rounds_of = {9, 9}; // its Target has not heard of this term's rounds
  site.tell_all();
  EXPECT_EQ(site.told[other].challenge, 0u);
  EXPECT_EQ(site.told[other].renew, 0u);
}

TEST(CopysetSync, ACopyThatForgotItsStampsGetsANewRound) {
  SyncSite site;
  site.facts[one].sync.stamped = 1;
  site.tell(one);
  const std::uint64_t before = site.told[other].stamp;
  site.seats.erase(other);
  site.seats.emplace(other, Copyset({other, 1000, 200}, site.table));
  site.say(other, Started{100});
  site.tell_all();
  EXPECT_GT(site.told[other].stamp, before) << "the others may have answered the old one";
}

TEST(CopysetSync, OneAsyncCopyKeepsTheSiteFromBeingSync) {
  SyncSite site;
  site.both([](auto& sync) { sync.ready = checkpoint(4); });
  EXPECT_EQ(site.told[one].current, checkpoint(4));
  SyncSite mixed;
  mixed.facts[other].sync.lease_ns = 0;
  mixed.tell(other);
  mixed.told.clear();
  mixed.both([](auto& sync) { sync.ready = checkpoint(4); });
  mixed.pass(second);
  EXPECT_EQ(mixed.told[one].current, Era{});
  EXPECT_EQ(mixed.told[one].stamp, 0u) << "nobody is challenged";
}

TEST(CopysetSync, ATermBeginsWhenAllSourcesWaitAndItsCheckpointIsCompleteEverywhere) {
  SyncSite site;
  site.facts[one].sync.ready = checkpoint(4);
  site.tell(one);
  EXPECT_EQ(site.told[one].current, Era{}) << "the other source does not wait";
  site.facts[other].sync.ready = checkpoint(6);
  site.tell(other);
  EXPECT_EQ(site.told[one].current, Era{}) << "checkpoint 6 is not complete";
  for (const Seat& seat : {one, other})
    site.facts[seat].released = site.facts[seat].complete = checkpoint(6);
  site.tell_all();
  EXPECT_EQ(site.told[one].current, checkpoint(6));
  EXPECT_EQ(site.told[other].current, checkpoint(6));
  site.facts[one].sync.since = checkpoint(6);
  site.tell(one);
  EXPECT_EQ(site.told[one].confirmed, Era{}) << "one has not stored it";
  site.facts[other].sync.since = checkpoint(6);
  site.tell(other);
  EXPECT_EQ(site.told[one].confirmed, checkpoint(6));
}

TEST(CopysetSync, WhenOneHasClosedAllDoAndOnlyThenSourcesMayGoOnAlone) {
  SyncSite site;
  site.current_since(5);
  ASSERT_EQ(site.told[other].confirmed, checkpoint(5));
  site.facts[one].sync.shut = checkpoint(5);
  site.tell(one);
  EXPECT_EQ(site.told[other].shut, checkpoint(5));
  EXPECT_EQ(site.told[one].all_shut, Era{});
  EXPECT_EQ(site.told[one].stamp, 0u) << "no lease is renewed in between";
  site.facts[other].sync.shut = checkpoint(5);
  site.tell(other);
  EXPECT_EQ(site.told[one].all_shut, checkpoint(5));
  EXPECT_EQ(site.told[one].reopen, Era{}) << "what was written beyond the checkpoint counts in a takeover";
  site.both([](auto& sync) { sync.passed = true; });
  EXPECT_EQ(site.told[other].reopen, checkpoint(5));
}

TEST(CopysetSync, ATermThatNotAllHaveStoredIsNoneForASeal) {
  SyncSite site;
  site.facts[one].sync.since = site.facts[one].sync.shut = checkpoint(5);
  site.tell(one);
  EXPECT_EQ(site.told[other].shut, checkpoint(5)) << "it must not be stored any more";
  site.facts[other].sync.shut = checkpoint(5);
  site.tell(other);
  EXPECT_EQ(site.told[one].reopen, checkpoint(5)) << "nobody was promised anything";
  site.say(one, TakeoverRequested{77});
  site.tell_all();
  for (const Seat& seat : {one, other}) {
    site.facts[seat].takeover = format::LineageEntry{1, "S", 77, {}};
    site.facts[seat].closed = true;
  }
  site.tell_all();
  EXPECT_EQ(site.told[one].seal, Era{});
  EXPECT_TRUE(site.ordered<OrderLineage>(one));
}

TEST(CopysetSync, ACopyWhoseStreamEndedSealsBeforeItDiscards) {
  SyncSite site;
  site.current_since(5);
  site.facts[one].ending = true;
  site.tell(one);
  EXPECT_EQ(site.told[other].shut, checkpoint(5));
  EXPECT_FALSE(site.ordered<OrderDiscard>(one));
  site.both([](auto& sync) { sync.shut = checkpoint(5); });
  EXPECT_EQ(site.told[one].seal, checkpoint(5));
  EXPECT_EQ(site.told[other].seal, Era{}) << "its stream goes on";
  EXPECT_FALSE(site.ordered<OrderDiscard>(one));
  site.facts[one].sync.passed = true;
  site.tell(one);
  EXPECT_TRUE(site.ordered<OrderDiscard>(one));
}

TEST(CopysetSync, ATakeoverSealsWhenAllStandAtOneCheckpoint) {
  SyncSite site;
  site.current_since(5);
  site.say(one, TakeoverRequested{77});
  site.tell_all();
  ASSERT_TRUE(site.ordered<OrderClose>(other));
  for (const Seat& seat : {one, other}) {
    site.facts[seat].takeover = format::LineageEntry{1, "S", 77, {}};
    site.facts[seat].closed = true;
    site.facts[seat].sync.shut = checkpoint(5);
  }
  site.tell_all();
  EXPECT_EQ(site.told[one].seal, checkpoint(5));
  EXPECT_FALSE(site.ordered<OrderLineage>(one));
  site.facts[one].sync.passed = true;
  site.tell(one);
  EXPECT_FALSE(site.ordered<OrderLineage>(one)) << "the other copy's seal is not complete";
  site.facts[other].sync.passed = true;
  site.tell(other);
  EXPECT_TRUE(site.ordered<OrderLineage>(one));
}

TEST(CopysetTakeover, ASecondCommandIsTheSameTakeoverEvenBeforeTheFirstIsStored) {
  SyncSite site;
  site.say(one, TakeoverRequested{77});
  site.say(one, TakeoverRequested{78});
  site.tell_all();
  for (const Seat& seat : {one, other})
    for (const Action& action : site.orders[seat])
      if (const auto* close = std::get_if<OrderClose>(&action)) {
        EXPECT_EQ(close->entry.id, 77u);
      }
  EXPECT_TRUE(site.ordered<OrderClose>(other));
}

} // namespace
} // namespace rc::core
