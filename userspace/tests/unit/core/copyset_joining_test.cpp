// SPDX-License-Identifier: GPL-2.0-or-later
// A group that ran on its own gets the first table of a copyset, while it runs.
#include "unit/core/primary.hpp"

namespace rc::core {
namespace {

format::CopysetTable table() {
  format::CopysetTable table;
  table.name = "money";
  table.epoch = Epoch{1};
  table.seats = {{"g", "paris"}, {"g", "lyon"}};
  table.masters = table.seats;
  table.registrar = table.seats[1];
  table.memberships = {{Epoch{1}, {"g"}}};
  return table;
}

template <typename Told, typename Tell, typename Actions> std::vector<Told> told(const Actions& actions) {
  std::vector<Told> found;
  for (const Tell& tell : of<Tell>(actions))
    if (const Told* what = std::get_if<Told>(&tell.what))
      found.push_back(*what);
  return found;
}

TEST(CopysetJoining, a_primary_makes_no_checkpoint_of_its_own_any_more) {
  Primary primary;
  EXPECT_EQ(of<PutCheckpoint>(primary.step(Tick{}, 2000)).size(), 1u);
  primary.step(CheckpointPut{Era::of(1, 1), 1, 1, ""}, 2000);
  const Actions joined = primary.step(TableChanged{table()}, 2100);
  ASSERT_EQ(of<StoreState>(joined).size(), 1u);
  EXPECT_EQ(of<StoreState>(joined)[0].state.table, table());
  EXPECT_EQ(of<StoreState>(joined)[0].state.epoch, Epoch{1});
  EXPECT_EQ((told<copyset::TableStored, TellCopyset>(joined).size()), 1u);
  const auto facts = told<copyset::SourceFacts, TellCopyset>(joined);
  ASSERT_EQ(facts.size(), 1u) << "its seat must know where it stands";
  EXPECT_TRUE(facts[0].running);
  EXPECT_EQ(facts[0].era, Era::of(1, 2));
  EXPECT_TRUE(of<PutCheckpoint>(primary.step(Tick{}, 60000)).empty());
}

TEST(CopysetJoining, a_copy_releases_nothing_by_itself_any_more) {
  format::GroupState state;
  state.position = {{first_entry()}, Era::of(1, 3)};
  state.source_lineage = {first_entry()};
  state.image_volumes = {0};
  JournalIndex index;
  index.begin(test_stream, 1);
  index.add(std::vector{write(1, 0, Era::of(1, 4))});
  Target target(TargetConfig{"g", "lyon", "paris", 0, {64}, 0}, state,
                {std::move(index), {0, 1 << 20, 0, 1000}});
  target.step(target::Started{}, at_ms(0));
  const auto joined = target.step(target::TableChanged{table()}, at_ms(1));
  ASSERT_EQ(of<target::StoreState>(joined).size(), 1u);
  EXPECT_EQ(of<target::StoreState>(joined)[0].state.table, table());
  const auto facts = told<copyset::CopyFacts, target::TellCopyset>(joined);
  ASSERT_EQ(facts.size(), 1u);
  EXPECT_TRUE(facts[0].image);
  EXPECT_EQ(facts[0].complete, Era::of(1, 3));

  target.step(target::LinkUp{}, at_ms(2));
  target.step(target::MessageArrived{format::ResumeMessage{Epoch{1}, test_stream, 2}}, at_ms(3));
  auto message = std::make_shared<format::RecordsMessage>();
  message->stream = test_stream;
  message->records = {record(DMRC_MARKER, 2, Era::of(1, 4)), record(DMRC_HELD, 3, Era::of(1, 4))};
  target.step(target::RecordsArrived{message}, at_ms(4));
  const auto durable = target.step(target::JournalDurable{test_stream, 3, {0, 1 << 20, 0, 1000}}, at_ms(5));
  EXPECT_TRUE(of<target::ApplyRecords>(durable).empty());
  const auto held = told<copyset::CopyFacts, target::TellCopyset>(durable);
  ASSERT_EQ(held.size(), 1u) << "it says what it could release";
  ASSERT_EQ(held[0].held.size(), 1u);
  EXPECT_EQ(held[0].held[0].last, Era::of(1, 4));
}

} // namespace
} // namespace rc::core
