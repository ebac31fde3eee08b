// SPDX-License-Identifier: GPL-2.0-or-later
// The cost of a record in the core stays far below what 30 000 records a second leave: nothing is allocated
// or looked up for each of them. Counted in allocations, not in time, so that a loaded machine does not
// matter.
#include "unit/core/samples.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<std::uint64_t> allocations{0};
}
void* operator new(std::size_t size) {
  ++allocations;
  if (void* it = std::malloc(size))
    return it;
  throw std::bad_alloc();
}
void operator delete(void* it) noexcept { std::free(it); }
void operator delete(void* it, std::size_t) noexcept { std::free(it); }

namespace rc::core {
namespace {

TEST(Throughput, TheSourceAllocatesByBatchNotByRecord) {
  SourceConfig config;
  config.volume_sectors = {1 << 20};
  config.links = {LinkConfig{0, "lyon", "lyon", LinkMode::Async, 8 << 20, 5000}};
  format::GroupState state;
  state.position = {{first_entry()}, Era::open()};
  Source source(config, state, {});
  source.step(source::Started{true}, at_ms(0));
  source::RingAttached ring;
  ring.data_bytes = 256 << 20;
  ring.slots = 1 << 16;
  source.step(ring, at_ms(0));
  source.step(source::StreamStarted{test_stream, Era::of(1, 1), ""}, at_ms(0));
  format::HelloMessage hello;
  hello.position = {{first_entry()}, Era::of(1, 1)};
  hello.stream = test_stream;
  hello.volume_sectors = {1 << 20};
  source.step(source::LinkUp{0}, at_ms(0));
  source.step(source::MessageArrived{0, hello}, at_ms(0));

  constexpr Seq batch = 512;
  constexpr int batches = 200;
  std::vector<format::Record> records(batch);
  Seq seq = 0;
  Seq sent = 0;
  const std::uint64_t before = allocations;
  for (int i = 0; i < batches; ++i) {
    for (format::Record& each : records)
      each = write(++seq);
    for (const auto& action : source.step(source::RecordsCommitted{test_stream, records}, at_ms(i)))
      if (const auto* send = std::get_if<source::SendRecords>(&action))
        sent = send->last;
    format::WatermarksMessage marks;
    marks.stream = test_stream;
    marks.durable = sent;
    marks.journal_bytes = 1ULL << 40;
    marks.journal_slots = 1ULL << 40;
    for (const auto& action : source.step(source::MessageArrived{0, marks}, at_ms(i)))
      if (const auto* send = std::get_if<source::SendRecords>(&action))
        sent = send->last;
    source.step(source::RingProgress{seq, false, Era{}}, at_ms(i));
  }
  EXPECT_GT(sent, seq - 8192) << "the records flowed";
  EXPECT_LT(allocations - before, batches * 40U)
      << "for " << batch << " records in each of " << batches << " batches";
}

TEST(Throughput, TheTargetAllocatesByBatchNotByRecord) {
  format::GroupState state;
  state.position = {{first_entry()}, Era::of(1, 1)};
  RecoveredJournal journal;
  journal.index.begin(test_stream, 1);
  journal.space = {0, 1ULL << 40, 0, 1ULL << 40};
  Target target(TargetConfig{"g", "lyon", "paris", 0, {1 << 20}, 0, false}, state, std::move(journal));
  target.step(target::Started{}, at_ms(0));
  target.step(target::LinkUp{}, at_ms(0));
  target.step(target::MessageArrived{format::ResumeMessage{Epoch{}, test_stream, 1}}, at_ms(0));
  constexpr int batches = 200;
  Seq seq = 0;
  std::uint64_t inside = 0;
  for (int i = 0; i < batches; ++i) {
    auto message = std::make_shared<format::RecordsMessage>();
    message->stream = test_stream;
    for (int k = 0; k < 512; ++k)
      message->records.push_back(write(++seq, 0, Era::of(1, 2)));
    const std::uint64_t before = allocations;
    target.step(target::RecordsArrived{message}, at_ms(i));
    target.step(target::JournalDurable{test_stream, seq, {0, 1ULL << 40, 0, 1ULL << 40}}, at_ms(i));
    inside += allocations - before;
  }
  EXPECT_EQ(target.status(at_ms(0)).durable, seq);
  EXPECT_LT(inside, batches * 40U);
}

} // namespace
} // namespace rc::core
