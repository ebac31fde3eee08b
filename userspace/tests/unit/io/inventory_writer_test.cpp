// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/inventory_writer.hpp"

#include <chrono>
#include <filesystem>
#include <future>
#include <gtest/gtest.h>
#include <sqlite3.h>

namespace rc::io {
namespace {

namespace fs = std::filesystem;

struct InventoryWriters : ::testing::Test {
  std::string dir;
  std::optional<Inventory> inventory;
  std::unique_ptr<InventoryWriter> writer;

  void SetUp() override {
    std::string made = (fs::temp_directory_path() / "rc-writer-XXXXXX").string();
    ASSERT_NE(mkdtemp(made.data()), nullptr);
    dir = made;
    auto opened = Inventory::open(dir + "/inventory.db");
    ASSERT_TRUE(opened);
    inventory.emplace(std::move(*opened));
    GroupRow group;
    group.name = "bank";
    group.primary_node = "pa";
    group.journal = "/dev/vg/journal";
    ASSERT_TRUE(inventory->put(NodeRow{"pa", "near", "pa:7700", true}));
    ASSERT_TRUE(inventory->put(group));
    start();
  }
  void TearDown() override {
    writer.reset();
    fs::remove_all(dir);
  }
  void start() {
    auto started = InventoryWriter::start(*inventory);
    ASSERT_TRUE(started);
    writer = std::move(*started);
  }
  static control::StatusReply status(const std::string& reason) {
    control::StatusReply reply;
    control::GroupStatus group;
    group.name = "bank";
    group.reason = reason;
    reply.groups.push_back(group);
    return reply;
  }
  static control::EventInfo event(std::int64_t id) {
    control::EventInfo info;
    info.id = id;
    info.time = "2026-01-01T00:00:00.000Z";
    info.severity = id % 2 ? control::Severity::Warning : control::Severity::Info;
    info.text = "event " + std::to_string(id);
    return info;
  }
  InventoryWriter::Events read(std::int64_t after) {
    std::promise<InventoryWriter::Events> told;
    writer->read_events("", after, 1000,
                        [&](InventoryWriter::Events events) { told.set_value(std::move(events)); });
    return told.get_future().get();
  }
  std::string stored_reason() {
    sqlite3* database = nullptr;
    std::string text;
    EXPECT_EQ(sqlite3_open((dir + "/inventory.db").c_str(), &database), SQLITE_OK);
    sqlite3_exec(
        database, "select reason from group_status",
        [](void* to, int, char** values, char**) {
          *static_cast<std::string*>(to) = values[0] ? values[0] : "";
          return 0;
        },
        &text, nullptr);
    sqlite3_close(database);
    return text;
  }
};

TEST_F(InventoryWriters, what_was_handed_over_is_stored_when_it_ends) {
  for (int i = 1; i <= 50; i++) {
    writer->store(status("reason " + std::to_string(i)));
    writer->append(event(i));
  }
  writer.reset();
  EXPECT_EQ(stored_reason(), "reason 50");
  start();
  EXPECT_EQ(writer->last_event(), 50);
  const auto events = read(0);
  ASSERT_TRUE(events);
  ASSERT_EQ(events->size(), 50u);
  EXPECT_EQ(events->back().text, "event 50");
}

TEST_F(InventoryWriters, events_are_read_behind_those_that_were_handed_over_before) {
  writer->append(event(1));
  writer->append(event(2));
  EXPECT_EQ(read(-1)->size(), 2u);
}

// A disk that does not answer, as the owner sees it: somebody holds the file and does not let go.
TEST_F(InventoryWriters, a_file_that_does_not_answer_delays_nobody) {
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open((dir + "/inventory.db").c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  const auto before = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; i++)
    writer->store(status("reason " + std::to_string(i)));
  writer->append(event(1));
  EXPECT_TRUE(inventory->load()) << "what is stored can be read meanwhile";
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(100));
  sqlite3_exec(other, "ROLLBACK", nullptr, nullptr, nullptr);
  sqlite3_close(other);
  writer.reset();
  EXPECT_EQ(stored_reason(), "reason 999");
  EXPECT_EQ(*inventory->last_event(), 1);
}

TEST_F(InventoryWriters, changes_of_the_topology_take_turns_with_it) {
  for (int i = 1; i <= 200; i++) {
    writer->append(event(i));
    ASSERT_TRUE(inventory->put(NodeRow{"sy", "site" + std::to_string(i), "sy:7700", false})) << i;
  }
  writer.reset();
  EXPECT_EQ(*inventory->last_event(), 200);
}

} // namespace
} // namespace rc::io
