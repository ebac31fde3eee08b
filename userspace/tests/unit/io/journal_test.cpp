// SPDX-License-Identifier: GPL-2.0-or-later
// The journal as its owner uses it: threads, order, room, what is reported when.
#include "io/journal.hpp"
#include "tests/unit/io/fault_disk.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <future>
#include <gtest/gtest.h>

namespace rc::io {
namespace {

using format::GroupState;
using format::Record;
using format::RecordsMessage;

RecordsMessage writes(StreamId stream, Seq first, int count, std::uint32_t length = 4096) {
  RecordsMessage message;
  message.stream = stream;
  Bytes all;
  for (int i = 0; i < count; i++) {
    Record record{};
    record.type = DMRC_WRITE;
    record.stream = static_cast<std::uint32_t>(stream.value);
    record.seq = first + static_cast<Seq>(i);
    record.length = length;
    record.sector = 8 * record.seq;
    const Bytes data(length, static_cast<std::byte>(record.seq));
    format::seal_record(record, data);
    append_bytes(all, data);
    message.records.push_back(record);
  }
  message.data = std::make_shared<const Bytes>(std::move(all));
  return message;
}

class JournalTest : public testing::Test {
protected:
  JournalTest() : disk_(std::make_shared<FaultDisk>(format::journal_bytes_min)) {
    GroupState state;
    state.epoch = Epoch{41};
    EXPECT_TRUE(Journal::format(*disk_, state, 99).ok());
    open();
  }

  void open() {
    auto opened = Journal::open(disk_, context_.get_executor(),
                                {.durable =
                                     [this](StreamId stream, Seq seq) {
                                       durable_stream_ = stream;
                                       durable_ = seq;
                                       durable_calls_++;
                                     },
                                 .failed = [this](Error error) { failures_.push_back(error.text()); }});
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    journal_ = std::move(*opened);
  }
  void reopen() {
    journal_.reset();
    context_.restart();
    context_.poll();
    durable_ = 0;
    open();
  }

  template <typename Condition> void run_until(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition() && std::chrono::steady_clock::now() < end) {
      context_.restart();
      context_.run_one_for(std::chrono::milliseconds(50));
    }
    ASSERT_TRUE(condition()) << "it did not happen within a minute";
  }
  void store(const JournalChange& change, std::uint64_t epoch = 42) {
    GroupState state;
    state.epoch = Epoch{epoch};
    bool done = false;
    ASSERT_TRUE(journal_->store(state, change, [&] { done = true; }).ok());
    run_until([&] { return done; });
  }
  void begin(StreamId stream, Seq first) { store({.trim = {}, .empty = false, .begin = {{stream, first}}}); }
  void append(const RecordsMessage& records) {
    ASSERT_TRUE(journal_->append(records).ok());
    run_until([&] { return durable_ >= records.records.back().seq; });
  }

  boost::asio::io_context context_;
  std::shared_ptr<FaultDisk> disk_;
  std::unique_ptr<Journal> journal_;
  StreamId durable_stream_{};
  Seq durable_ = 0;
  int durable_calls_ = 0;
  std::vector<std::string> failures_;
};

constexpr StreamId one{0x1'00000001};
constexpr StreamId two{0x1'00000002};

TEST_F(JournalTest, WhatIsDurableIsFoundByTheNextOneWithStateAndData) {
  begin(one, 10);
  append(writes(one, 10, 20));
  store({}, 77);
  reopen();
  EXPECT_EQ(journal_->state().epoch.value, 77u);
  EXPECT_EQ(journal_->journal_id(), 99u);
  ASSERT_EQ(journal_->segments().size(), 1u);
  EXPECT_EQ(journal_->segments()[0].first, 10u);
  EXPECT_EQ(journal_->segments()[0].last, 29u);
  EXPECT_EQ(journal_->durable(one), 29u);
  const auto read = journal_->read(one, 10, 29, 1 << 20, 1000);
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(*read->data, *writes(one, 10, 20).data);
  EXPECT_EQ(read->records[3].sector, 8 * 13u);
  append(writes(one, 30, 1)); // goes on without a seam
}

TEST_F(JournalTest, WhatGathersDuringACommitSharesTheNextFlush) {
  begin(one, 1);
  const std::uint64_t before = disk_->flushes();
  std::promise<void> all_appended;
  const auto gate = all_appended.get_future().share();
  disk_->before_flush = [gate] { gate.wait(); };
  for (Seq seq = 1; seq <= 300; seq++)
    ASSERT_TRUE(journal_->append(writes(one, seq, 1, 512)).ok());
  EXPECT_EQ(journal_->durable(one), 0u);
  all_appended.set_value();
  run_until([&] { return durable_ == 300; });
  EXPECT_LE(disk_->flushes() - before, 2u);
}

TEST_F(JournalTest, NothingIsReportedBeforeItsFlush) {
  begin(one, 1);
  const std::uint64_t cut = disk_->operations() + 1; // data goes through, nothing after it
  disk_->cut_at(cut);
  ASSERT_TRUE(journal_->append(writes(one, 1, 5)).ok());
  run_until([&] { return !failures_.empty(); });
  EXPECT_EQ(durable_, 0u);
  EXPECT_EQ(journal_->durable(one), 0u);
}

TEST_F(JournalTest, AFailedFlushEndsItsLifeAndIsToldOnce) {
  begin(one, 1);
  disk_->fail_flushes();
  bool done = false;
  ASSERT_TRUE(journal_->append(writes(one, 1, 1)).ok());
  (void)journal_->store({}, {}, [&] { done = true; });
  run_until([&] { return !failures_.empty(); });
  context_.restart();
  context_.poll();
  EXPECT_EQ(failures_.size(), 1u);
  EXPECT_FALSE(done);
  EXPECT_FALSE(journal_->append(writes(one, 2, 1)).ok());
  EXPECT_FALSE(journal_->store({}, {}, {}).ok());
}

TEST_F(JournalTest, AGapAForeignStreamAndAMissingSegmentAreRefused) {
  EXPECT_EQ(journal_->append(writes(one, 1, 1)).error().code, ErrorCode::Refused);
  begin(one, 5);
  EXPECT_EQ(journal_->append(writes(one, 4, 1)).error().code, ErrorCode::Refused);
  EXPECT_EQ(journal_->append(writes(one, 6, 1)).error().code, ErrorCode::Refused);
  EXPECT_EQ(journal_->append(writes(two, 5, 1)).error().code, ErrorCode::Refused);
  append(writes(one, 5, 1));
  const StreamId looks_alike{0x2'00000001};
  EXPECT_FALSE(journal_->store({}, {.trim = {}, .empty = false, .begin = {{looks_alike, 1}}}, {}).ok());
  EXPECT_FALSE(journal_->store({}, {.trim = {}, .empty = false, .begin = {{one, 5}}}, {}).ok());
  EXPECT_FALSE(journal_->store({}, {.trim = {{one, 6}}, .empty = false, .begin = {}}, {}).ok());
}

TEST_F(JournalTest, FullIsAnAnswerAndTrimmingMakesRoomAgain) {
  begin(one, 1);
  Seq next = 1;
  Status status;
  while ((status = journal_->append(writes(one, next, 4, 1 << 16))).ok())
    next += 4;
  ASSERT_EQ(status.error().code, ErrorCode::Full) << status.error().text();
  EXPECT_GT(next, 40u);
  const JournalUse full = journal_->use();
  EXPECT_GT(full.data_used + (4 << 16), full.data_bytes);
  run_until([&] { return durable_ == next - 1; });
  store({.trim = {{one, next - 3}}, .empty = false, .begin = {}});
  EXPECT_LT(journal_->use().data_used, full.data_used / 2);
  // Round and round, through the wrap.
  for (int round = 0; round < 50; round++, next += 4) {
    append(writes(one, next, 4, 1 << 16));
    ASSERT_TRUE(journal_->trim({one, next + 1}).ok());
    store({});
  }
  reopen();
  EXPECT_EQ(journal_->segments()[0].last, next - 1);
  const auto read = journal_->read(one, next - 2, next - 1, 1 << 20, 10);
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(*read->data, *writes(one, next - 2, 2, 1 << 16).data);
}

TEST_F(JournalTest, ATrimAloneReachesTheDiskByItself) {
  begin(one, 1);
  append(writes(one, 1, 8));
  ASSERT_TRUE(journal_->trim({one, 6}).ok());
  run_until([&] { return journal_->use().slots_used <= 64 && journal_->use().data_used <= 8192; });
  reopen();
  EXPECT_EQ(journal_->segments()[0].first, 7u);
}

TEST_F(JournalTest, StateTrimEmptyAndBeginAreOneStep) {
  begin(one, 1);
  append(writes(one, 1, 4));
  store({.trim = {}, .empty = true, .begin = {{two, 100}}}, 55);
  append(writes(two, 100, 2));
  reopen();
  EXPECT_EQ(journal_->state().epoch.value, 55u);
  ASSERT_EQ(journal_->segments().size(), 1u);
  EXPECT_EQ(journal_->segments()[0].stream, two);
  EXPECT_EQ(journal_->segments()[0].last, 101u);
  EXPECT_EQ(journal_->read(one, 1, 1, 1, 1).error().code, ErrorCode::NotFound);
}

TEST_F(JournalTest, AStreamMayGoOnInAFurtherSegmentAfterAGap) {
  begin(one, 1);
  append(writes(one, 1, 4));
  begin(one, 50);
  append(writes(one, 50, 3));
  for (int round = 0; round < 2; round++) {
    ASSERT_EQ(journal_->segments().size(), 2u);
    EXPECT_EQ(journal_->durable(one), 52u);
    EXPECT_EQ(journal_->appended(one), 52u);
    EXPECT_EQ(journal_->read(one, 2, 4, 1 << 20, 10)->records.size(), 3u);
    EXPECT_EQ(journal_->read(one, 50, 52, 1 << 20, 10)->records.size(), 3u);
    EXPECT_FALSE(journal_->read(one, 4, 50, 1 << 20, 10).ok());
    reopen();
  }
  store({.trim = {{one, 51}}, .empty = false, .begin = {}});
  ASSERT_EQ(journal_->segments().size(), 1u);
  EXPECT_EQ(journal_->segments()[0].first, 52u);
}

TEST_F(JournalTest, TrimOfAWholeOlderSegmentKeepsTheNewerOne) {
  begin(one, 1);
  append(writes(one, 1, 4));
  begin(two, 1);
  append(writes(two, 1, 4));
  store({.trim = {{one, 4}}, .empty = false, .begin = {}});
  ASSERT_EQ(journal_->segments().size(), 1u);
  EXPECT_EQ(journal_->segments()[0].stream, two);
  reopen();
  EXPECT_EQ(*journal_->read(two, 1, 4, 1 << 20, 10)->data, *writes(two, 1, 4).data);
}

TEST_F(JournalTest, ReadStopsAtItsLimitsButGivesAtLeastOneRecord) {
  begin(one, 1);
  append(writes(one, 1, 10, 8192));
  EXPECT_EQ(journal_->read(one, 1, 10, 1, 100)->records.size(), 1u);
  EXPECT_EQ(journal_->read(one, 1, 10, 3 * 8192, 100)->records.size(), 3u);
  EXPECT_EQ(journal_->read(one, 1, 10, 1 << 20, 4)->records.size(), 4u);
  EXPECT_EQ(journal_->read_headers(one, 3, 10, 100)->size(), 8u);
  EXPECT_EQ(journal_->read(one, 5, 11, 1 << 20, 100).error().code, ErrorCode::NotFound);
}

TEST_F(JournalTest, DamagedDataIsFoundWhenItIsRead) {
  begin(one, 1);
  append(writes(one, 1, 4));
  const auto geometry = *format::geometry_for(format::journal_bytes_min);
  disk_->image()[geometry.data_offset + 4096 + 7] ^= std::byte{1};
  EXPECT_TRUE(journal_->read(one, 1, 1, 1 << 20, 10).ok());
  EXPECT_EQ(journal_->read(one, 2, 2, 1 << 20, 10).error().code, ErrorCode::Corrupt);
}

TEST_F(JournalTest, AStateTooLargeIsRefusedWithoutHarm) {
  GroupState state;
  state.draft.emplace();
  state.draft->shipped.assign(50000, format::Extent{1, 2, 3, Era{}});
  EXPECT_EQ(journal_->store(state, {}, {}).error().code, ErrorCode::Full);
  store({}, 43);
  state.draft->shipped.resize(30000); // several blocks
  bool done = false;
  ASSERT_TRUE(journal_->store(state, {}, [&] { done = true; }).ok());
  run_until([&] { return done; });
  reopen();
  EXPECT_EQ(journal_->state().draft->shipped.size(), 30000u);
}

TEST_F(JournalTest, WhatWasNeverFormattedIsNotFound) {
  auto blank = std::make_shared<FaultDisk>(format::journal_bytes_min);
  EXPECT_EQ(Journal::open(blank, context_.get_executor(), {}).error().code, ErrorCode::NotFound);
  FaultDisk small(4 << 20);
  EXPECT_EQ(Journal::format(small, {}, 1).error().code, ErrorCode::Usage);
}

} // namespace
} // namespace rc::io
