// SPDX-License-Identifier: GPL-2.0-or-later
// The seats of one site with their Copysets, and a post between them that the test delivers or loses. The
// seats' Sources and Targets are played by the test: it says their facts and looks at their orders. Steps are
// those of docs/copyset.md; paper seeds/002, Figs. 3B to 3D.
#include "core/copyset.hpp"
#include "core/copyset_table.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>

namespace rc::core {
namespace {
using namespace copyset;
using format::CopysetMessage;
using format::CopysetTable;
using format::Seat;

constexpr Epoch first{1};

CopysetTable table_of_two() {
  CopysetTable table;
  table.name = "bank";
  table.epoch = first;
  table.seats = {{"a", "S"}, {"b", "S"}, {"a", "P"}, {"b", "P"}};
  table.masters = {{"a", "S"}, {"a", "P"}};
  table.registrar = {"b", "S"};
  table.memberships = {{first, {"a", "b"}}};
  return table;
}

struct Site {
  struct At {
    Copyset copyset;
    Actions orders; // all but Send
  };
  std::map<Seat, At> seats;
  std::deque<CopysetMessage> post;
  Now now{second, second};
  std::uint64_t ids = 100;

  explicit Site(const std::string& site, const CopysetTable& table = table_of_two()) {
    for (const Seat& seat : seats_of(table, site))
      start(seat, table);
  }
  void start(const Seat& seat, const CopysetTable& table = table_of_two()) {
    seats.erase(seat);
    seats.emplace(seat, At{Copyset({seat, 1000, 200}, table), {}});
    say(seat, Started{++ids});
  }
  void say(const Seat& seat, const Event& event) {
    for (Action& action : seats.at(seat).copyset.step(event, now))
      if (auto* send = std::get_if<Send>(&action))
        post.push_back(std::move(send->message));
      else if (!std::holds_alternative<Note>(action))
        seats.at(seat).orders.push_back(std::move(action));
  }
  void deliver() {
    while (!post.empty()) {
      const CopysetMessage message = post.front();
      post.pop_front();
      if (seats.count(message.to))
        say(message.to, MessageArrived{message});
    }
  }
  void lose() { post.clear(); }
  void pass(std::uint64_t time) {
    now.boot_ns += time;
    for (auto& [seat, at] : seats)
      say(seat, Tick{});
    deliver();
  }
  // Orders of one kind since the last question.
  template <typename Order> std::vector<Order> asked(const Seat& seat) {
    std::vector<Order> found;
    auto& orders = seats.at(seat).orders;
    for (const Action& action : orders)
      if (const auto* order = std::get_if<Order>(&action))
        found.push_back(*order);
    std::erase_if(orders, [](const Action& action) { return std::holds_alternative<Order>(action); });
    return found;
  }
};

const Seat a_at_p{"a", "P"}, b_at_p{"b", "P"}, a_at_s{"a", "S"}, b_at_s{"b", "S"};
Era era(std::uint64_t n) { return Era::of(1, n); }

// ---- the table

TEST(CopysetTable, WhatCantBeIsSaid) {
  EXPECT_EQ(problem_of(table_of_two()), "");
  CopysetTable bad = table_of_two();
  bad.masters.pop_back();
  EXPECT_EQ(problem_of(bad), "a site has no master");
  bad = table_of_two();
  bad.registrar = {"c", "S"};
  EXPECT_EQ(problem_of(bad), "the registrar c@S is no seat");
  bad = table_of_two();
  bad.memberships.push_back({Epoch{9}, {"a"}});
  EXPECT_EQ(problem_of(bad), "memberships are not in order");
  bad = table_of_two();
  bad.memberships = {{first, {"a", "c"}}};
  EXPECT_EQ(problem_of(bad), "group c is in the image and has no seat");
}

TEST(CopysetTable, AGroupThatIsTakenOutKeepsItsSeatsAndHoldsNoOffice) {
  const CopysetTable next = without(table_of_two(), "a");
  EXPECT_EQ(problem_of_swap(table_of_two(), next), "");
  EXPECT_EQ(next.seats, table_of_two().seats);
  EXPECT_EQ(*master_of(next, "S"), b_at_s);
  EXPECT_EQ(*groups_at(next, Epoch{1}), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(*groups_at(next, Epoch{2}), std::vector<std::string>{"b"});
  EXPECT_EQ(groups_at(next, Epoch{3}), nullptr);
}

TEST(CopysetTable, OnlyTheNextEpochFollows) {
  CopysetTable next = without(table_of_two(), "a");
  next.epoch.value++;
  EXPECT_EQ(problem_of_swap(table_of_two(), next), "epoch 3 does not follow 1");
}

// ---- checkpoints

struct Primaries : Site {
  Primaries() : Site("P") {
    run(a_at_p, era(4));
    run(b_at_p, era(7));
    deliver();
  }
  void run(const Seat& seat, Era open) { say(seat, SourceFacts{true, open, false, {1, "P", 5, {}}}); }
  void mark(const Seat& seat, Era n) { say(seat, copyset::CheckpointPut{n, Era{n.value + 1}, true, {}}); }
};

TEST(CopysetCheckpoint, TheNumberIsAboveWhatAnyMemberUsedAndNobodyLiftsBeforeAllMarked) {
  Primaries site;
  const auto a = site.asked<copyset::PutCheckpoint>(a_at_p), b = site.asked<copyset::PutCheckpoint>(b_at_p);
  ASSERT_EQ(a.size(), 1u);
  ASSERT_EQ(b.size(), 1u);
  EXPECT_EQ(a[0].n, era(7)) << "b's open era";
  EXPECT_EQ(b[0].n, era(7));
  EXPECT_EQ(a[0].epoch, first);
  EXPECT_EQ(a[0].max_hold_us, 200'000u);
  site.mark(a_at_p, era(7));
  site.deliver();
  EXPECT_TRUE(site.asked<LiftHold>(a_at_p).empty()) << "b has not marked";
  site.mark(b_at_p, era(7));
  site.deliver();
  EXPECT_EQ(site.asked<LiftHold>(a_at_p).size(), 1u);
  EXPECT_EQ(site.asked<LiftHold>(b_at_p).size(), 1u);
  site.say(a_at_p, HoldLifted{era(7), true});
  site.say(b_at_p, HoldLifted{era(7), true});
  site.deliver();
  EXPECT_EQ(site.seats.at(a_at_p).copyset.status(site.now).last_valid, era(7));
  EXPECT_TRUE(site.asked<copyset::PutCheckpoint>(a_at_p).empty()) << "not before the interval is over";
  site.pass(second);
  ASSERT_EQ(site.asked<copyset::PutCheckpoint>(a_at_p).size(), 1u);
}

TEST(CopysetCheckpoint, ALostOrderIsSaidAgainAndMarkedOnce) {
  Primaries site;
  site.mark(a_at_p, era(7));
  site.mark(b_at_p, era(7));
  site.lose(); // b's report
  EXPECT_TRUE(site.asked<LiftHold>(a_at_p).empty());
  site.pass(60 * ms);
  EXPECT_EQ(site.asked<LiftHold>(a_at_p).size(), 1u);
  EXPECT_EQ(site.asked<copyset::PutCheckpoint>(b_at_p).size(), 1u);
}

TEST(CopysetCheckpoint, AMemberThatRefusesEndsTheRoundAndItsNumberIsSkipped) {
  Primaries site;
  site.asked<copyset::PutCheckpoint>(a_at_p);
  site.mark(a_at_p, era(7));
  site.say(b_at_p,
           copyset::CheckpointPut{era(7), era(12), false, "the number is not above all that were used"});
  site.deliver();
  EXPECT_TRUE(site.asked<LiftHold>(a_at_p).empty()) << "its hold ends at the cap, as void";
  site.say(a_at_p, HoldLifted{era(7), false});
  site.pass(300 * ms);
  const auto again = site.asked<copyset::PutCheckpoint>(a_at_p);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].n, era(12));
  EXPECT_EQ(site.seats.at(a_at_p).copyset.status(site.now).last_valid, Era{});
}

TEST(CopysetCheckpoint, AMemberThatDoesNotRunStopsCheckpointsAndIsNamed) {
  Site site("P");
  site.say(a_at_p, SourceFacts{true, era(1), false, {1, "P", 5, {}}});
  site.say(b_at_p, SourceFacts{false, era(1), false, {1, "P", 5, {}}});
  site.deliver();
  site.pass(3 * second);
  EXPECT_TRUE(site.asked<copyset::PutCheckpoint>(a_at_p).empty());
  EXPECT_EQ(site.seats.at(a_at_p).copyset.status(site.now).waits, "b@P");
}

TEST(CopysetCheckpoint, AMemberWhoseAgentIsANewProcessIsAskedAgain) {
  Primaries site;
  site.start(b_at_p);
  site.run(b_at_p, era(9));
  site.deliver();
  site.pass(2 * second);
  const auto put = site.asked<copyset::PutCheckpoint>(b_at_p);
  ASSERT_FALSE(put.empty());
  EXPECT_GE(put.back().n, era(9));
}

// ---- rendezvous

struct Copies : Site {
  Copies() : Site("S") {}
  std::map<Seat, CopyFacts> facts;
  void holds(const Seat& seat, std::uint64_t from, std::uint64_t to, Epoch epoch = first) {
    facts[seat].held = {{era(from), era(to), epoch}};
    facts[seat].image = true;
    tell(seat);
  }
  void tell(const Seat& seat) {
    say(seat, facts[seat]);
    deliver();
  }
  void stored(const Seat& seat, std::uint64_t n) {
    facts[seat].released = era(n);
    tell(seat);
  }
  void complete(const Seat& seat, std::uint64_t n) {
    facts[seat].released = facts[seat].complete = era(n);
    tell(seat);
  }
  Era ordered(const Seat& seat) {
    const auto orders = asked<OrderRelease>(seat);
    return orders.empty() ? Era{} : orders.back().n;
  }
};

TEST(CopysetRendezvous, OnlyWhatAllCopiesHaveIsReleased) {
  Copies site;
  site.holds(a_at_s, 1, 9);
  site.holds(b_at_s, 1, 4);
  EXPECT_EQ(site.ordered(a_at_s), era(4));
  EXPECT_EQ(site.ordered(b_at_s), era(4));
}

TEST(CopysetRendezvous, ACheckpointThatIsVoidAnywhereIsNot) {
  Copies site;
  site.holds(a_at_s, 1, 9);
  site.facts[b_at_s].held = {{era(1), era(2), first}, {era(4), era(4), first}};
  site.facts[a_at_s].held = {{era(1), era(3), first}, {era(5), era(9), first}};
  site.tell(a_at_s);
  site.tell(b_at_s);
  EXPECT_EQ(site.ordered(a_at_s), era(2)) << "3 is void at b, 4 at a";
}

TEST(CopysetRendezvous, MarkersOfDifferentEpochsAreDifferentCuts) {
  Copies site;
  site.holds(a_at_s, 3, 3, first);
  site.holds(b_at_s, 3, 3, Epoch{2});
  EXPECT_EQ(site.ordered(a_at_s), Era{});
}

TEST(CopysetRendezvous, ResetOnlyWhenAllAreComplete) {
  Copies site;
  site.holds(a_at_s, 1, 4);
  site.holds(b_at_s, 1, 4);
  site.stored(a_at_s, 4);
  site.stored(b_at_s, 4);
  site.complete(a_at_s, 4);
  EXPECT_TRUE(site.asked<OrderReset>(a_at_s).empty());
  EXPECT_TRUE(site.asked<OrderReset>(b_at_s).empty());
  site.complete(b_at_s, 4);
  EXPECT_EQ(site.asked<OrderReset>(a_at_s).size(), 1u);
  EXPECT_EQ(site.asked<OrderReset>(b_at_s).size(), 1u);
}

TEST(CopysetRendezvous, ANewMasterRollsForwardNeverBack) {
  Copies site;
  site.holds(a_at_s, 1, 9);
  site.holds(b_at_s, 1, 6);
  site.stored(b_at_s, 6); // and the order to a was lost
  site.asked<OrderRelease>(a_at_s);
  site.start(a_at_s);
  site.tell(a_at_s);
  site.pass(second);
  EXPECT_EQ(site.ordered(a_at_s), era(6));
}

TEST(CopysetRendezvous, AMasterOrdersNothingBeforeItHasHeardAll) {
  Copies site;
  site.holds(a_at_s, 1, 9);
  site.pass(second);
  EXPECT_EQ(site.ordered(a_at_s), Era{});
  EXPECT_EQ(site.seats.at(a_at_s).copyset.status(site.now).waits, "b@S");
}

TEST(CopysetRendezvous, AnEndingCopyDiscardsNothingThatAnotherMustReach) {
  Copies site;
  site.holds(a_at_s, 1, 9);
  site.holds(b_at_s, 1, 6);
  site.facts[b_at_s].ending = true;
  site.tell(b_at_s);
  EXPECT_TRUE(site.asked<OrderDiscard>(b_at_s).empty()) << "release 6 is under way";
  site.stored(a_at_s, 6);
  site.complete(a_at_s, 6);
  EXPECT_TRUE(site.asked<OrderDiscard>(b_at_s).empty()) << "b itself is not there";
  site.facts[b_at_s].held.clear();
  site.complete(b_at_s, 6);
  ASSERT_EQ(site.asked<OrderDiscard>(b_at_s).size(), 1u);
}

// ---- takeover

struct Takeover : Copies {
  Takeover() {
    for (const Seat& seat : {a_at_s, b_at_s}) {
      facts[seat].image = true;
      facts[seat].newest_generation = 1;
      facts[seat].entry = {1, "P", 5, {}};
      complete(seat, 3);
    }
    facts[a_at_s].held = {{era(4), era(8), first}};
    tell(a_at_s);
  }
  void close(const Seat& seat, const format::LineageEntry& entry) {
    facts[seat].takeover = entry;
    facts[seat].closed = true;
    tell(seat);
  }
  void lineage(const Seat& seat, const format::LineageEntry& entry) {
    facts[seat].awaiting = true;
    facts[seat].entry = entry;
    tell(seat);
  }
};

TEST(CopysetTakeover, EachStepWaitsForAllSeats) {
  Takeover site;
  site.say(a_at_s, TakeoverRequested{77});
  site.deliver();
  const auto a = site.asked<OrderClose>(a_at_s), b = site.asked<OrderClose>(b_at_s);
  ASSERT_FALSE(a.empty());
  ASSERT_FALSE(b.empty());
  EXPECT_EQ(a[0].entry, b[0].entry);
  EXPECT_EQ(a[0].entry.generation, 2u);
  EXPECT_EQ(a[0].entry.id, 77u);
  EXPECT_EQ(a[0].entry.site, "S");
  site.close(a_at_s, a[0].entry);
  EXPECT_EQ(site.ordered(a_at_s), Era{}) << "b may still receive";
  site.facts[b_at_s].held = {{era(4), era(5), first}};
  site.close(b_at_s, a[0].entry);
  EXPECT_EQ(site.ordered(a_at_s), era(5));
  EXPECT_EQ(site.ordered(b_at_s), era(5));
  site.complete(a_at_s, 5);
  EXPECT_TRUE(site.asked<OrderLineage>(a_at_s).empty());
  site.complete(b_at_s, 5);
  const auto entry = site.asked<OrderLineage>(a_at_s);
  ASSERT_FALSE(entry.empty());
  EXPECT_EQ(entry[0].entry.base, era(5));
  site.lineage(a_at_s, entry[0].entry);
  EXPECT_TRUE(site.asked<OrderPromote>(a_at_s).empty()) << "half a generation";
  site.lineage(b_at_s, entry[0].entry);
  EXPECT_EQ(site.asked<OrderPromote>(a_at_s).size(), 1u);
  EXPECT_EQ(site.asked<OrderPromote>(b_at_s).size(), 1u);
}

TEST(CopysetTakeover, ANewMasterGoesOnWithTheEntryThatIsStored) {
  Takeover site;
  site.say(a_at_s, TakeoverRequested{77});
  site.deliver();
  const auto entry = site.asked<OrderClose>(b_at_s).at(0).entry;
  site.close(b_at_s, entry); // and a's agent dies before it has stored it
  site.start(a_at_s);
  site.tell(a_at_s);
  site.pass(second);
  const auto again = site.asked<OrderClose>(a_at_s);
  ASSERT_FALSE(again.empty());
  EXPECT_EQ(again.back().entry.id, 77u);
}

TEST(CopysetTakeover, WithoutAnImageItIsRefusedAndNothingIsStored) {
  Takeover site;
  site.facts[b_at_s].image = false;
  site.tell(b_at_s);
  site.say(a_at_s, TakeoverRequested{77});
  site.deliver();
  const auto refused = site.asked<TakeoverRefused>(a_at_s);
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_EQ(refused[0].reason, "b@S holds no restartable image");
  EXPECT_TRUE(site.asked<OrderClose>(a_at_s).empty());
}

TEST(CopysetTakeover, ACopyThatLosesItsImageEndsItBeforeAnyLineageIsStored) {
  Takeover site;
  site.say(a_at_s, TakeoverRequested{77});
  site.deliver();
  const auto entry = site.asked<OrderClose>(a_at_s).at(0).entry;
  site.close(a_at_s, entry);
  site.facts[b_at_s] = {}; // its journal's disk is gone
  site.tell(b_at_s);
  EXPECT_FALSE(site.asked<OrderGiveUp>(a_at_s).empty());
}

TEST(CopysetTakeover, ASeatThatWasPromotedTellsLateOnes) {
  Takeover site;
  const format::LineageEntry entry{2, "S", 77, era(3)};
  site.facts[b_at_s].takeover = entry;
  site.lineage(b_at_s, entry);
  site.start(a_at_s); // restarted as the primary that it became
  site.say(a_at_s, SourceFacts{true, Era::of(2, 1), false, entry});
  site.deliver();
  site.pass(second);
  EXPECT_FALSE(site.asked<OrderPromote>(b_at_s).empty());
}

// Another site may have taken over while it was away: it must know first that it still is the primary.
TEST(CopysetTakeover, ASeatThatIsNotConfirmedPromotesNobody) {
  Takeover site;
  const format::LineageEntry entry{2, "S", 77, era(3)};
  site.facts[b_at_s].takeover = entry;
  site.lineage(b_at_s, entry);
  site.start(a_at_s);
  site.say(a_at_s, SourceFacts{false, {}, false, entry});
  site.deliver();
  site.pass(second);
  EXPECT_TRUE(site.asked<OrderPromote>(b_at_s).empty());
  site.say(a_at_s, SourceFacts{true, Era::of(2, 1), false, entry});
  site.pass(second);
  EXPECT_FALSE(site.asked<OrderPromote>(b_at_s).empty());
}

// ---- the worked example of seeds/002 (the 18 steps before its claims)

// Four subsystems at each site; 3 is the master of the primary site, 4 that of the secondary. Writes (1) and
// (3) go to subsystem 1, (2) to subsystem 2; each is issued when the one before has completed. The cut falls
// between (2) and (3).
CopysetTable table_of_four() {
  CopysetTable table;
  table.name = "dbms";
  table.epoch = first;
  format::Membership all{first, {"1", "2", "3", "4"}};
  for (const std::string& group : all.groups) {
    table.seats.push_back({group, "P"});
    table.seats.push_back({group, "S"});
  }
  table.masters = {{"3", "P"}, {"4", "S"}};
  table.registrar = {"4", "S"};
  table.memberships = {all};
  return table;
}

TEST(CopysetWorkedExample, TheCheckpointIsCutAtThePrimarySite) {
  Site primary("P", table_of_four());
  const auto at = [](const char* group) { return Seat{group, "P"}; };
  // Step 1: copy active messages: every subsystem is known to the master before it acts.
  for (const char* group : {"1", "2", "3"})
    primary.say(at(group), SourceFacts{true, era(1), false, {1, "P", 5, {}}});
  primary.deliver();
  EXPECT_TRUE(primary.asked<copyset::PutCheckpoint>(at("1")).empty()) << "4 has not spoken yet";
  primary.say(at("4"), SourceFacts{true, era(1), false, {1, "P", 5, {}}});
  primary.deliver();
  // Steps 2 to 5: (1) and (2) have completed; subsystem 3 sends checkpoint message n to all.
  for (const char* group : {"1", "2", "3", "4"}) {
    const auto put = primary.asked<copyset::PutCheckpoint>(at(group));
    ASSERT_EQ(put.size(), 1u) << group;
    EXPECT_EQ(put[0].n, era(1));
  }
  // Steps 6 to 8: subsystem 1 processes the message at once. Write (3) comes behind its marker: its
  // completion is withheld, since subsystem 2, which is slow, has not marked. (In the paper the clock parts
  // (2) from (3).)
  primary.say(at("1"), copyset::CheckpointPut{era(1), era(2), true, {}});
  primary.say(at("3"), copyset::CheckpointPut{era(1), era(2), true, {}});
  primary.say(at("4"), copyset::CheckpointPut{era(1), era(2), true, {}});
  primary.deliver();
  EXPECT_TRUE(primary.asked<LiftHold>(at("1")).empty());
  // Step 11: subsystem 2 processes it, too; now (3) may complete.
  primary.say(at("2"), copyset::CheckpointPut{era(1), era(2), true, {}});
  primary.deliver();
  for (const char* group : {"1", "2", "3", "4"})
    EXPECT_EQ(primary.asked<LiftHold>(at(group)).size(), 1u) << group;
}

TEST(CopysetWorkedExample, TheSecondarySiteMakesTheRendezvous) {
  Site secondary("S", table_of_four());
  const auto at = [](const char* group) { return Seat{group, "S"}; };
  std::map<std::string, CopyFacts> facts;
  const auto tell = [&](const char* group) {
    secondary.say(at(group), facts[group]);
    secondary.deliver();
  };
  const auto has = [&](const char* group) {
    facts[group].held = {{era(1), era(1), first}};
    tell(group);
  };
  const auto complete = [&](const char* group) {
    facts[group].released = facts[group].complete = era(1);
    facts[group].held.clear();
    tell(group);
  };
  for (const char* group : {"1", "2", "3", "4"})
    tell(group); // step 1
  has("1");      // step 9: marker n and (1) are durable at 1, which says so to 4; (3) lies behind the marker
  has("3");      // step 13
  has("4");
  EXPECT_TRUE(secondary.asked<OrderRelease>(at("1")).empty()) << "(2) is still missing";
  has("2");                                        // steps 10 to 12
  for (const char* group : {"1", "2", "3", "4"}) { // step 14
    const auto release = secondary.asked<OrderRelease>(at(group));
    ASSERT_FALSE(release.empty()) << group;
    EXPECT_EQ(release[0].n, era(1));
  }
  complete("3"); // step 15: no update there
  facts["1"].released = era(1);
  tell("1"); // step 16: update in progress
  complete("4");
  complete("1");
  for (const char* group : {"1", "2", "3", "4"})
    EXPECT_TRUE(secondary.asked<OrderReset>(at(group)).empty()) << "2 is still applying";
  complete("2"); // step 17
  for (const char* group : {"1", "2", "3", "4"})
    EXPECT_EQ(secondary.asked<OrderReset>(at(group)).size(), 1u) << "step 18, " << group;
}

// ---- epochs

TEST(CopysetRegistrar, WhoIsBehindLearnsTheTableAndIsNotBelieved) {
  Copies site;
  const CopysetTable next = without(table_of_two(), "b");
  site.start(a_at_s, next);
  site.facts[b_at_s].held = {{era(1), era(4), first}};
  site.say(b_at_s, site.facts[b_at_s]);
  site.say(a_at_s, site.facts[a_at_s]);
  site.deliver();
  const auto stored = site.asked<StoreTable>(b_at_s);
  ASSERT_FALSE(stored.empty());
  EXPECT_EQ(stored[0].table, next);
}

TEST(CopysetRegistrar, TheSecondOfTwoChangesIsNotTaken) {
  Copies site;
  site.say(a_at_s, TakeOutRequested{"a"});
  site.say(a_at_s, TakeOutRequested{"b"});
  site.deliver();
  const auto stored = site.asked<StoreTable>(b_at_s);
  ASSERT_EQ(stored.size(), 1u);
  EXPECT_EQ(stored[0].table.memberships.back().groups, std::vector<std::string>{"b"});
  site.say(b_at_s, TableStored{stored[0].table.epoch});
  site.deliver();
  EXPECT_EQ(site.asked<StoreTable>(a_at_s).at(0).table, stored[0].table) << "the registrar tells all";
}

} // namespace
} // namespace rc::core
