// SPDX-License-Identifier: GPL-2.0-or-later
// Two ends of a session over channels that keep order: in every schedule of openings, closings and broken
// links both come up in the end, soon, and nothing that was sent in one session is taken in another.
#include "core/session.hpp"

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <optional>
#include <random>

namespace rc::core {
namespace {

struct Message {
  enum class Kind { Open, Closed, Data } kind;
  Session::Open open;    // Open
  Session::Open session; // Data: the sender's numbers when it was sent
};

struct World {
  struct End {
    Session session;
    std::deque<Message> inbox;
    bool pausing = false;
    std::size_t received = 0;
  };
  std::array<End, 2> ends;
  std::uint64_t numbers = 0;
  std::size_t delivered = 0;

  void send(int from, Message message) { ends[1 - from].inbox.push_back(message); }
  void open(int end) {
    End& at = ends[end];
    if (at.session.opened())
      return;
    at.pausing = false;
    send(end, {Message::Kind::Open, at.session.begin(++numbers), {}});
  }
  void talk(int end) { // what an end sends while it takes the session for standing
    if (ends[end].session.up())
      send(end, {Message::Kind::Data, {}, ends[end].session.current()});
  }
  void close(int end) {
    if (!ends[end].session.opened())
      return;
    ends[end].session.reset();
    ends[end].pausing = true;
    send(end, {Message::Kind::Closed, {}, {}});
  }
  void link_breaks() {
    for (End& end : ends) {
      end.inbox.clear();
      end.session.reset();
      end.pausing = true;
    }
  }
  bool deliver(int end) {
    End& at = ends[end];
    if (at.inbox.empty())
      return false;
    const Message message = at.inbox.front();
    at.inbox.pop_front();
    ++delivered;
    switch (message.kind) {
    case Message::Kind::Open: {
      const auto heard = at.session.heard(message.open);
      if (!at.session.opened())
        open(end);
      else if (heard.reply)
        send(end, {Message::Kind::Open, at.session.current(), {}});
      talk(end);
      break;
    }
    case Message::Kind::Closed:
      at.session.reset();
      at.pausing = true;
      break;
    case Message::Kind::Data:
      if (!at.session.up())
        break; // dropped unread
      ++at.received;
      EXPECT_EQ(message.session.own, at.session.current().heard) << "taken in another session than sent in";
      EXPECT_EQ(message.session.heard, at.session.current().own) << "taken in another session than sent in";
      break;
    }
    return true;
  }
  bool both_up() const { return ends[0].session.up() && ends[1].session.up(); }
  void settle() {
    for (int end : {0, 1})
      if (!ends[end].session.opened())
        open(end);
    delivered = 0;
    while (delivered < 1000 && (deliver(0) || deliver(1))) {
    }
  }
};

TEST(Session, ComesUpInThreeOpeningsAndThenIsQuiet) {
  World world;
  world.open(0);
  world.settle();
  EXPECT_TRUE(world.both_up());
  EXPECT_LE(world.delivered, 8U);
}

TEST(Session, AnOpeningThatCrossesAClosingLeadsToOneSession) {
  World world;
  world.open(1); // under way when the other end, which knows nothing of it, closes and opens anew
  world.open(0);
  world.close(0);
  world.open(0);
  world.settle();
  EXPECT_TRUE(world.both_up());
  EXPECT_LT(world.delivered, 20U);
}

TEST(Session, AnOpeningIsRememberedUntilThisEndOpens) {
  Session session;
  EXPECT_FALSE(session.heard({7, 0}).reply);
  EXPECT_EQ(session.begin(3).heard, 7U);
  EXPECT_FALSE(session.up());
  EXPECT_TRUE(session.heard({7, 3}).up);
}

TEST(Session, AnOpeningAnewEndsWhatStood) {
  Session session;
  session.begin(3);
  session.heard({7, 3});
  ASSERT_TRUE(session.up());
  const auto heard = session.heard({8, 0});
  EXPECT_TRUE(heard.down);
  EXPECT_TRUE(heard.reply);
  EXPECT_FALSE(heard.up);
  EXPECT_FALSE(session.up());
}

TEST(Session, EveryScheduleEndsInOneSessionAndMixesNothing) {
  std::size_t received = 0;
  for (unsigned seed = 1; seed <= 3000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    World world;
    for (int step = 0; step < 60; ++step) {
      const int end = static_cast<int>(random() % 2);
      switch (random() % 10) {
      case 0:
        world.close(end);
        break;
      case 1:
        if (random() % 4 == 0)
          world.link_breaks();
        break;
      case 2:
      case 3:
        world.open(end);
        break;
      case 4:
        world.talk(end);
        break;
      default:
        world.deliver(end);
      }
    }
    world.settle();
    ASSERT_LT(world.delivered, 200U) << "the two ends open for ever";
    ASSERT_TRUE(world.ends[0].session.up() == world.ends[1].session.up());
    if (!world.ends[0].session.up()) { // a closing was still under way: the pause ends, both open
      world.settle();
      ASSERT_TRUE(world.both_up());
    }
    for (const auto& end : world.ends)
      received += end.received;
  }
  EXPECT_GT(received, 10000U) << "the schedules moved hardly anything";
}

} // namespace
} // namespace rc::core
