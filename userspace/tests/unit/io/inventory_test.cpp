// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/inventory.hpp"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sqlite3.h>

using namespace rc;
using namespace rc::io;
using control::Outcome;
namespace fs = std::filesystem;

namespace {

struct Inventories : ::testing::Test {
  std::string dir;
  void SetUp() override {
    std::string made = (fs::temp_directory_path() / "rc-inventory-XXXXXX").string();
    ASSERT_NE(mkdtemp(made.data()), nullptr);
    dir = made;
  }
  void TearDown() override { fs::remove_all(dir); }
  std::string path() const { return dir + "/inventory.db"; }

  Inventory open() {
    auto inventory = Inventory::open(path());
    EXPECT_TRUE(inventory) << inventory.error().what;
    return std::move(*inventory);
  }

  static void fill(Inventory& inventory) {
    ASSERT_EQ(*inventory.put(NodeRow{"pa", "near", "pa:7700", true}), Outcome::Created);
    ASSERT_EQ(*inventory.put(NodeRow{"sy", "sync", "sy:7700", false}), Outcome::Created);
    GroupRow group;
    group.name = "bank";
    group.primary_node = "pa";
    group.journal = "/dev/vg/journal";
    group.journal_bytes = 1 << 30;
    ASSERT_EQ(*inventory.put(group), Outcome::Created);
    ASSERT_EQ(*inventory.put(VolumeRow{"bank", "pa", "data", 0, 4096, "/dev/vg/data", "/dev/vg/data-meta"}),
              Outcome::Created);
    ASSERT_EQ(*inventory.put(VolumeRow{"bank", "sy", "data", 0, 4096, "/dev/vg/data", "/dev/vg/data-meta"}),
              Outcome::Created);
    ASSERT_EQ(*inventory.put(
                  PairRow{"bank", "pa", "sy", control::Mode::Sync, 0, "/dev/vg/journal", 1 << 30, false}),
              Outcome::Created);
  }

  static control::StatusReply report() {
    control::PairStatus pair;
    pair.group = "bank";
    pair.source = "pa";
    pair.target = "sy";
    pair.mode = control::Mode::Sync;
    pair.state = control::PairState::InitialCopy;
    pair.link = control::LinkState::Up;
    pair.lag_seconds = 1.25;
    pair.progress = control::ProgressStatus{200, 50, 10, 5.0};
    pair.reason = "initial copy";
    control::GroupStatus group;
    group.name = "bank";
    group.role = control::Role::Primary;
    group.state = control::GroupState::Active;
    group.pairs.push_back(pair);
    control::StatusReply status;
    status.groups.push_back(group);
    status.links.push_back(
        {"sy", "sy:7700", control::LinkState::Up, 0.002, 0, 0, "2026-01-01T00:00:00Z", "", ""});
    status.links.push_back({"stranger", "", control::LinkState::Down, {}, 0, 0, "", "", ""});
    return status;
  }

  // As a person with sqlite3 would, while the agent has the file open.
  std::string ask(const std::string& sql) const {
    sqlite3* database = nullptr;
    EXPECT_EQ(sqlite3_open_v2(path().c_str(), &database, SQLITE_OPEN_READONLY, nullptr), SQLITE_OK);
    std::string text;
    char* error = nullptr;
    const auto row = [](void* to, int columns, char** values, char**) {
      std::string& line = *static_cast<std::string*>(to);
      for (int i = 0; i < columns; ++i)
        line += std::string(i ? "|" : "") + (values[i] ? values[i] : "");
      line += "\n";
      return 0;
    };
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), row, &text, &error), SQLITE_OK) << (error ? error : "");
    sqlite3_free(error);
    sqlite3_close(database);
    return text;
  }
};

} // namespace

TEST_F(Inventories, what_was_put_is_there_after_a_restart) {
  {
    Inventory inventory = open();
    fill(inventory);
  }
  Inventory inventory = open();
  const auto topology = inventory.load();
  ASSERT_TRUE(topology);
  ASSERT_EQ(topology->nodes.size(), 2u);
  EXPECT_EQ(topology->nodes[0], (NodeRow{"pa", "near", "pa:7700", true}));
  ASSERT_EQ(topology->groups.size(), 1u);
  EXPECT_EQ(topology->groups[0].copyset, "bank");
  EXPECT_EQ(topology->groups[0].checkpoint_ms, 1000u);
  ASSERT_EQ(topology->volumes.size(), 2u);
  EXPECT_EQ(topology->volumes[1].node, "sy");
  ASSERT_EQ(topology->pairs.size(), 1u);
  EXPECT_EQ(topology->pairs[0].mode, control::Mode::Sync);
}

TEST_F(Inventories, putting_the_same_again_changes_nothing_and_says_so) {
  Inventory inventory = open();
  fill(inventory);
  const auto topology = inventory.load();
  EXPECT_EQ(*inventory.put(topology->nodes[1]), Outcome::Unchanged);
  EXPECT_EQ(*inventory.put(topology->groups[0]), Outcome::Unchanged);
  EXPECT_EQ(*inventory.put(topology->volumes[0]), Outcome::Unchanged);
  EXPECT_EQ(*inventory.put(topology->pairs[0]), Outcome::Unchanged);
  NodeRow moved = topology->nodes[1];
  moved.address = "sy2:7700";
  EXPECT_EQ(*inventory.put(moved), Outcome::Changed);
  PairRow suspended = topology->pairs[0];
  suspended.suspended = true;
  EXPECT_EQ(*inventory.put(suspended), Outcome::Changed);
  EXPECT_TRUE(inventory.load()->pairs[0].suspended);
}

TEST_F(Inventories, a_parent_that_is_missing_is_named_with_the_command_that_makes_it) {
  Inventory inventory = open();
  const auto volume = inventory.put(VolumeRow{"bank", "pa", "data", 0, 4096, "/d", "/m"});
  ASSERT_FALSE(volume);
  EXPECT_EQ(volume.error().code, ErrorCode::NotFound);
  EXPECT_NE(volume.error().what.find("bank"), std::string::npos);
  EXPECT_NE(volume.error().next.find("rcctl group create bank"), std::string::npos);
  fill(inventory);
  EXPECT_EQ(inventory.put(PairRow{"bank", "pa", "as", control::Mode::Async, 1, "/j", 0, false}).error().code,
            ErrorCode::NotFound);
}

TEST_F(Inventories, a_device_serves_one_purpose_on_a_node) {
  Inventory inventory = open();
  fill(inventory);
  for (const auto& [device, meta] : {std::pair{"/dev/vg/data", "/m"},
                                     {"/d", "/dev/vg/data-meta"},
                                     {"/dev/vg/data-meta", "/m"},
                                     {"/d", "/dev/vg/journal"}}) {
    const auto put = inventory.put(VolumeRow{"bank", "pa", "log", 1, 4096, device, meta});
    ASSERT_FALSE(put) << device << " " << meta;
    EXPECT_EQ(put.error().code, ErrorCode::Refused);
  }
  EXPECT_EQ(inventory.put(VolumeRow{"bank", "pa", "log", 0, 4096, "/d", "/m"}).error().code,
            ErrorCode::Refused);
  EXPECT_EQ(*inventory.put(VolumeRow{"bank", "pa", "log", 1, 4096, "/d", "/m"}), Outcome::Created);
  GroupRow second;
  second.name = "shop";
  second.journal = "/dev/vg/journal";
  EXPECT_EQ(inventory.put(second).error().code, ErrorCode::Refused);
  second.journal = "/dev/vg/data";
  EXPECT_EQ(inventory.put(second).error().code, ErrorCode::Refused);
}

TEST_F(Inventories, volume_numbers_are_not_given_twice_and_link_slots_are_the_lowest_free) {
  Inventory inventory = open();
  fill(inventory);
  EXPECT_EQ(*inventory.next_volume_number("bank"), 1u);
  ASSERT_TRUE(inventory.put(VolumeRow{"bank", "pa", "log", 1, 4096, "/d", "/m"}));
  EXPECT_EQ(*inventory.remove_volume("bank", "pa", "log"), Outcome::Removed);
  EXPECT_EQ(*inventory.next_volume_number("bank"), 2u);
  EXPECT_EQ(inventory.next_volume_number("shop").error().code, ErrorCode::NotFound);
  EXPECT_EQ(*inventory.free_link_slot("bank", "pa"), 1u);
  EXPECT_EQ(*inventory.remove_pair("bank", "pa", "sy"), Outcome::Removed);
  EXPECT_EQ(*inventory.remove_pair("bank", "pa", "sy"), Outcome::Unchanged);
  EXPECT_EQ(*inventory.free_link_slot("bank", "pa"), 0u);
}

TEST_F(Inventories, a_node_in_use_stays_and_a_group_goes_with_all_that_is_its) {
  Inventory inventory = open();
  fill(inventory);
  EXPECT_EQ(inventory.remove_node("sy").error().code, ErrorCode::Refused);
  EXPECT_EQ(inventory.remove_node("pa").error().code, ErrorCode::Refused);
  EXPECT_EQ(*inventory.remove_group("bank"), Outcome::Removed);
  EXPECT_TRUE(inventory.load()->volumes.empty());
  EXPECT_TRUE(inventory.load()->pairs.empty());
  EXPECT_EQ(*inventory.remove_node("sy"), Outcome::Removed);
  EXPECT_EQ(*inventory.remove_node("sy"), Outcome::Unchanged);
}

TEST_F(Inventories, another_nodes_inventory_is_not_taken_over) {
  Inventory inventory = open();
  fill(inventory);
  EXPECT_EQ(inventory.put(NodeRow{"other", "x", "", true}).error().code, ErrorCode::Refused);
}

TEST_F(Inventories, people_read_the_views_while_the_agent_has_the_file_open) {
  Inventory inventory = open();
  fill(inventory);
  ASSERT_TRUE(inventory.store_status(report()));
  EXPECT_EQ(ask("select group_name, source, target, target_site, mode, state, lag_seconds, link, percent, "
                "volumes, reason "
                "from pair_status"),
            "bank|pa|sy|sync|sync|initial_copy|1.25|up|75.0|1|initial copy\n");
  EXPECT_EQ(ask("select group_name, role, state, volumes from group_status"), "bank|primary|active|1\n");
  EXPECT_EQ(ask("select node, state from links"), "sy|up\n"); // strangers are no rows
  EXPECT_NE(ask("select updated from pair_status"), "\n");
}

TEST_F(Inventories, a_lag_that_is_not_known_is_null) {
  Inventory inventory = open();
  fill(inventory);
  ASSERT_TRUE(inventory.store_status(report()));
  control::StatusReply later = report();
  later.groups[0].pairs[0].lag_seconds.reset();
  later.groups[0].pairs[0].progress.reset();
  ASSERT_TRUE(inventory.store_status(later));
  EXPECT_EQ(ask("select lag_seconds is null, percent is null from pair_status"), "1|1\n");
}

TEST_F(Inventories, status_does_not_touch_the_topology) {
  Inventory inventory = open();
  fill(inventory);
  const auto before = inventory.load();
  ASSERT_TRUE(inventory.store_status(report()));
  const auto after = inventory.load();
  EXPECT_EQ(before->groups, after->groups);
  EXPECT_EQ(before->pairs, after->pairs);
  EXPECT_EQ(before->nodes, after->nodes);
}

TEST_F(Inventories, events_are_numbered_and_read_on_from_any_id) {
  Inventory inventory = open();
  for (int i = 0; i < 5; ++i) {
    control::EventInfo event;
    event.severity = i == 3 ? control::Severity::Error : control::Severity::Info;
    event.object = "pair bank@sy";
    event.group = i % 2 ? "bank" : "shop";
    event.text = "event " + std::to_string(i);
    const auto stored = inventory.append(event);
    ASSERT_TRUE(stored);
    EXPECT_EQ(stored->id, i + 1);
    EXPECT_FALSE(stored->time.empty());
  }
  EXPECT_EQ(inventory.events("", -1, 2)->at(0).text, "event 3");
  EXPECT_EQ(inventory.events("", -1, 2)->size(), 2u);
  EXPECT_EQ(inventory.events("", 2, 2)->at(0).text, "event 2");
  EXPECT_EQ(inventory.events("", 5, 10)->size(), 0u);
  EXPECT_EQ(inventory.events("bank", -1, 10)->size(), 2u);
  EXPECT_EQ(inventory.events("", 3, 10)->at(0).severity, control::Severity::Error);
  EXPECT_EQ(ask("select text from recent_events limit 1"), "event 4\n");
}

TEST_F(Inventories, only_the_newest_checkpoints_are_kept) {
  Inventory inventory = open();
  fill(inventory);
  for (std::uint64_t n = 1; n <= Inventory::checkpoints_kept + 20; ++n)
    ASSERT_TRUE(inventory.add_checkpoint({"bank", "sy", 1, n, "2026-01-01T00:00:00Z"}));
  ASSERT_TRUE(
      inventory.add_checkpoint({"bank", "sy", 1, Inventory::checkpoints_kept + 20, "2026-01-01T00:00:00Z"}));
  EXPECT_EQ(ask("select count(*), min(n), max(n) from checkpoints"), "1000|21|1020\n");
}

TEST_F(Inventories, an_unfinished_plan_is_there_after_a_restart_until_it_ended) {
  std::int64_t id = 0;
  {
    Inventory inventory = open();
    fill(inventory);
    PlanRow plan;
    plan.request = {"bank", false, true, {"as"}};
    plan.plan.group = "bank";
    plan.plan.steps.push_back({"sy", "close the stream", control::StepState::Done, ""});
    plan.plan.steps.push_back({"sy", "release the seal", control::StepState::Running, ""});
    id = *inventory.store_plan(plan);
    EXPECT_GT(id, 0);
  }
  Inventory inventory = open();
  auto plans = inventory.unfinished_plans();
  ASSERT_TRUE(plans);
  ASSERT_EQ(plans->size(), 1u);
  PlanRow& plan = plans->front();
  EXPECT_EQ(plan.id, id);
  EXPECT_TRUE(plan.request.force);
  EXPECT_EQ(plan.request.accept_loss_of, std::vector<std::string>{"as"});
  EXPECT_EQ(plan.plan.steps[1].state, control::StepState::Running);
  plan.ended = true;
  EXPECT_EQ(*inventory.store_plan(plan), id);
  EXPECT_TRUE(inventory.unfinished_plans()->empty());
  plan.id = 4711;
  EXPECT_EQ(inventory.store_plan(plan).error().code, ErrorCode::NotFound);
}

TEST_F(Inventories, role_changes_are_stored) {
  Inventory inventory = open();
  fill(inventory);
  ASSERT_TRUE(inventory.set_role("bank", control::Role::Secondary, "sy", 2));
  EXPECT_EQ(inventory.load()->groups[0].role, control::Role::Secondary);
  EXPECT_EQ(inventory.load()->groups[0].generation, 2u);
  EXPECT_EQ(inventory.set_role("shop", control::Role::Primary, "sy", 2).error().code, ErrorCode::NotFound);
}

TEST_F(Inventories, seats_of_a_copyset_make_its_groups_part_of_it) {
  Inventory inventory = open();
  fill(inventory);
  const std::vector<SeatRow> seats = {{"money", "audit", "near", "sy"}, {"money", "bank", "near", "pa"}};
  EXPECT_EQ(*inventory.put_copyset("money", "sy", seats), Outcome::Created);
  EXPECT_EQ(*inventory.put_copyset("money", "sy", seats), Outcome::Unchanged);
  const auto topology = inventory.load();
  ASSERT_TRUE(topology);
  EXPECT_EQ(topology->seats, seats);
  EXPECT_EQ(topology->groups[0].copyset, "money");
  EXPECT_EQ(ask("SELECT name, registrar FROM copysets"), "money|sy\n");
  EXPECT_EQ(inventory.remove_node("sy").error().code, ErrorCode::Refused);
  EXPECT_EQ(inventory.put_copyset("other", "sy", {{"other", "bank", "far", "nobody"}}).error().code,
            ErrorCode::NotFound);
  EXPECT_EQ(inventory.load()->groups[0].copyset, "money");
  ASSERT_TRUE(inventory.remove_group("bank"));
  EXPECT_TRUE(inventory.load()->seats.empty());
}

TEST_F(Inventories, a_damaged_file_is_found_when_it_is_opened) {
  {
    Inventory inventory = open();
    fill(inventory);
  }
  {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(5000);
    file << std::string(20000, 'x');
  }
  const auto damaged = Inventory::open(path());
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, ErrorCode::Corrupt);
  EXPECT_NE(damaged.error().next.find("no data is lost"), std::string::npos);

  std::ofstream(path(), std::ios::trunc) << std::string(4096, 'z');
  EXPECT_EQ(Inventory::open(path()).error().code, ErrorCode::Corrupt);
}

// A file as the first version made it: what it holds stays, new settings have their defaults.
TEST_F(Inventories, an_older_schema_is_migrated) {
  {
    Inventory inventory = open();
    fill(inventory);
  }
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(path().c_str(), &database), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(database,
                         "ALTER TABLE groups DROP COLUMN on_full; ALTER TABLE groups DROP COLUMN fence; "
                         "DROP TABLE copyset_seats; PRAGMA user_version = 1",
                         nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(database);
  Inventory inventory = open();
  const auto topology = inventory.load();
  ASSERT_TRUE(topology);
  ASSERT_EQ(topology->groups.size(), 1u);
  EXPECT_EQ(topology->groups[0].name, "bank");
  EXPECT_EQ(topology->groups[0].on_full, control::OnFull::Suspend);
  EXPECT_EQ(topology->groups[0].fence, control::Fence::Go);
  EXPECT_EQ(ask("PRAGMA user_version"), "3\n");
  EXPECT_TRUE(topology->seats.empty());
  GroupRow group = topology->groups[0];
  group.on_full = control::OnFull::Throttle;
  group.fence = control::Fence::Stop;
  ASSERT_TRUE(inventory.put(group));
  EXPECT_EQ(inventory.load()->groups[0].on_full, control::OnFull::Throttle);
  EXPECT_EQ(inventory.load()->groups[0].fence, control::Fence::Stop);
}

TEST_F(Inventories, a_newer_schema_is_refused) {
  { Inventory inventory = open(); }
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(path().c_str(), &database), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(database, "PRAGMA user_version = 99", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(database);
  EXPECT_EQ(Inventory::open(path()).error().code, ErrorCode::Usage);
}

TEST_F(Inventories, a_missing_directory_is_told) {
  EXPECT_EQ(Inventory::open(dir + "/none/inventory.db").error().code, ErrorCode::NotFound);
}

TEST_F(Inventories, a_writer_elsewhere_is_an_error_and_no_hang) {
  Inventory inventory = open();
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(path().c_str(), &database), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(database, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  EXPECT_EQ(inventory.put(NodeRow{"pa", "near", "", true}).error().code, ErrorCode::Again);
  EXPECT_EQ(inventory.store_status(report()).error().code, ErrorCode::Again);
  ASSERT_EQ(sqlite3_exec(database, "ROLLBACK", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(database);
  EXPECT_TRUE(inventory.put(NodeRow{"pa", "near", "", true}));
}
