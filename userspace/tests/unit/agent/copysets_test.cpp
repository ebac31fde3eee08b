// SPDX-License-Identifier: GPL-2.0-or-later
// The channel between seats: who may speak for whom. The nodes here: this one (p1) and what the test says
// that others sent.
#include "agent/copysets.hpp"

#include "format/copyset_cbor.hpp"

#include <filesystem>
#include <gtest/gtest.h>

namespace rc::agent {
namespace {
using namespace core::copyset;
namespace fs = std::filesystem;

struct CopysetsTest : ::testing::Test {
  std::string dir;
  boost::asio::io_context loop;
  std::unique_ptr<Context> context;
  std::unique_ptr<Peers> peers;
  std::unique_ptr<Copysets> copysets;
  std::vector<Era> marked; // asked of the group's source
  std::vector<std::string> events;

  void SetUp() override {
    std::string made = (fs::temp_directory_path() / "rc-copysets-XXXXXX").string();
    ASSERT_NE(mkdtemp(made.data()), nullptr);
    dir = made;
    auto inventory = io::Inventory::open(dir + "/inventory.db");
    ASSERT_TRUE(inventory);
    for (const char* name : {"p1", "p2"})
      ASSERT_TRUE(inventory->put(io::NodeRow{name, "home", std::string(name) + ":7700", name[1] == '1'}));
    ASSERT_TRUE(inventory->put(io::NodeRow{"a1", "away", "a1:7700", false}));
    io::GroupRow group;
    group.name = "bank";
    group.journal = "/journal";
    ASSERT_TRUE(inventory->put(group));
    ASSERT_TRUE(inventory->put_copyset("money", "p2",
                                       {{"money", "audit", "home", "p2"},
                                        {"money", "bank", "away", "a1"},
                                        {"money", "bank", "home", "p1"}}));
    auto writer = io::InventoryWriter::start(*inventory);
    ASSERT_TRUE(writer);
    io::Config config;
    config.node = "p1";
    config.site = "home";
    context = std::make_unique<Context>(loop, config, std::move(*inventory), std::move(*writer), nullptr);
    context->events.follow([this](const control::EventInfo& event) { events.push_back(event.text); });
    peers = std::make_unique<Peers>(*context, Peers::Callbacks{});
    copysets =
        std::make_unique<Copysets>(*context, *peers, [this](const std::string& group, const Action& action) {
          EXPECT_EQ(group, "bank");
          if (const auto* put = std::get_if<PutCheckpoint>(&action))
            marked.push_back(put->n);
        });
    copysets->group_begins("bank", table());
    copysets->group_tells("bank", SourceFacts{true, Era::of(1, 3), false, {1, "home", 5, Era{}}});
  }
  void TearDown() override {
    copysets.reset();
    peers.reset();
    context.reset();
    fs::remove_all(dir);
  }
  static format::CopysetTable table() {
    format::CopysetTable table;
    table.name = "money";
    table.epoch = Epoch{1};
    table.seats = {{"audit", "home"}, {"bank", "home"}, {"bank", "away"}};
    table.masters = {{"audit", "home"}, {"bank", "away"}};
    table.registrar = {"audit", "home"};
    table.memberships = {{Epoch{1}, {"audit", "bank"}}};
    return table;
  }
  static Bytes mark(const format::Seat& from, const format::Seat& to, std::uint64_t n) {
    const format::CheckpointOrder order{{1, 9}, format::CheckpointOrder::Step::Mark, Era::of(1, n), 1000};
    return format::encode_copyset({from, to, Epoch{1}, order});
  }
};

const format::Seat master{"audit", "home"}, here{"bank", "home"};

TEST_F(CopysetsTest, the_node_that_holds_a_seat_may_speak_for_it) {
  copysets->frame("p2", mark(master, here, 3));
  EXPECT_EQ(marked, std::vector<Era>{Era::of(1, 3)});
  EXPECT_TRUE(events.empty());
}

TEST_F(CopysetsTest, another_node_may_not_and_it_is_told_once) {
  copysets->frame("a1", mark(master, here, 3));       // a good certificate, another seat
  copysets->frame("stranger", mark(master, here, 3)); // one with no seat
  copysets->frame("a1", mark(master, here, 4));
  EXPECT_TRUE(marked.empty());
  ASSERT_EQ(events.size(), 2u);
  EXPECT_NE(events[0].find("speaks for audit@home, which node p2 holds"), std::string::npos) << events[0];
}

TEST_F(CopysetsTest, a_seat_that_is_none_has_no_voice) {
  copysets->frame("p2", mark({"shop", "home"}, here, 3));
  EXPECT_TRUE(marked.empty());
  ASSERT_EQ(events.size(), 1u);
  EXPECT_NE(events[0].find("is no seat of that copyset"), std::string::npos);
}

TEST_F(CopysetsTest, what_is_for_a_seat_elsewhere_is_left_alone) {
  copysets->frame("p2", mark(master, {"bank", "away"}, 3));
  copysets->frame("p2", mark(master, {"shop", "home"}, 3));
  EXPECT_TRUE(marked.empty());
}

TEST_F(CopysetsTest, nonsense_is_refused) {
  copysets->frame("p2", Bytes(40, std::byte{0x5a}));
  EXPECT_TRUE(marked.empty());
  EXPECT_EQ(events.size(), 1u);
}

TEST_F(CopysetsTest, a_group_that_is_on_its_own_again_has_no_seat) {
  copysets->group_begins("bank", std::nullopt);
  copysets->frame("p2", mark(master, here, 3));
  EXPECT_TRUE(marked.empty());
  EXPECT_EQ(copysets->table_of("bank"), nullptr);
}

TEST_F(CopysetsTest, the_list_says_who_leads) {
  const auto list = copysets->list();
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].epoch, 1u);
  ASSERT_EQ(list[0].seats.size(), 3u);
  EXPECT_TRUE(list[0].seats[0].master && list[0].seats[0].registrar); // audit@home
  EXPECT_TRUE(list[0].seats[1].master);                               // bank@away
  EXPECT_FALSE(list[0].seats[2].master);                              // bank@home
}

} // namespace
} // namespace rc::agent
