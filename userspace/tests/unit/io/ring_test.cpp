// SPDX-License-Identifier: GPL-2.0-or-later
// Taking records out of a ring in memory.
#include "io/ring.hpp"

#include <gtest/gtest.h>
#include <map>

namespace rc::io {
namespace {

using format::Record;

class MemoryRing final : public RingSource {
public:
  void add(std::uint8_t type, Bytes data, std::uint8_t flags = 0) {
    Record record{};
    record.type = type;
    record.flags = flags;
    record.stream = 9;
    record.seq = records_.size() + 1;
    record.length = static_cast<std::uint32_t>(data.size());
    record.data_pos = type == DMRC_FAILED ? 3 : 1000 + record.seq;
    if (type == DMRC_FAILED)
      record.length = 512;
    data_[record.seq] = std::move(data);
    records_.push_back(record);
  }

  const RingGeometry& geometry() const override { return geometry_; }
  Result<dmrc_state> state() override { return dmrc_state{}; }
  Result<Era> start(StreamId) override { return Era{}; }
  Status stop() override { return {}; }
  StreamId stream() const override { return StreamId{9}; }
  Seq first_unread() const override { return 1; }
  Seq reserved() const override { return records_.size(); }
  bool load(Seq seq, Record& record) const override {
    if (seq == 0 || seq > records_.size())
      return false;
    record = records_[seq - 1];
    return true;
  }
  Result<ByteView> data(const Record& record) const override {
    return format::has_data(record) ? ByteView(data_.at(record.seq)) : ByteView();
  }
  void set_freed(Seq) override {}
  void set_read(Seq) override {}
  int poll_fd() const override { return -1; }
  void request_wakeup(std::uint32_t) override {}
  void cancel_wakeup() override {}
  Status ack(Seq, std::uint64_t) override { return {}; }
  Result<Seq> set_sync(bool, bool, std::uint64_t) override { return Seq{0}; }
  Result<CheckpointPut> checkpoint(std::uint64_t, std::uint64_t) override { return CheckpointPut{}; }
  Status lift(std::uint64_t) override { return {}; }
  Status copy(VolumeNumber, std::uint64_t, std::uint32_t, std::uint32_t) override { return {}; }
  Result<Seq> put(format::RecordType, std::uint32_t) override { return Seq{0}; }

private:
  RingGeometry geometry_;
  std::vector<Record> records_;
  std::map<Seq, Bytes> data_;
};

TEST(TakeRecords, AreSealedAndCarryNothingThatIsOfTheRingOnly) {
  MemoryRing ring;
  ring.add(DMRC_WRITE, Bytes(1024, std::byte{1}));
  ring.add(DMRC_MARKER, {});
  ring.add(DMRC_COPY, Bytes(512, std::byte{2}), DMRC_F_COPY_SLOT);
  ring.add(DMRC_FAILED, {});
  const auto taken = take_records(ring, 1, 1 << 20, 100);
  ASSERT_TRUE(taken.ok());
  ASSERT_EQ(taken->records.size(), 4u);
  ASSERT_EQ(taken->data->size(), 1536u);
  ByteView left = *taken->data;
  for (const Record& record : taken->records) {
    EXPECT_TRUE(format::check_header(record).ok());
    EXPECT_TRUE(format::check_data(record, left.first(format::data_bytes(record))).ok());
    EXPECT_FALSE(record.flags & DMRC_F_COPY_SLOT);
    EXPECT_EQ(record.data_pos, record.type == DMRC_FAILED ? 3u : 0u);
    left = left.subspan(format::data_bytes(record));
  }
}

TEST(TakeRecords, StopsAtItsLimitsButTakesAtLeastOne) {
  MemoryRing ring;
  for (int i = 0; i < 5; i++)
    ring.add(DMRC_WRITE, Bytes(1024));
  EXPECT_EQ(take_records(ring, 1, 1, 100)->records.size(), 1u);
  EXPECT_EQ(take_records(ring, 1, 3000, 100)->records.size(), 2u);
  EXPECT_EQ(take_records(ring, 1, 1 << 20, 3)->records.size(), 3u);
  EXPECT_EQ(take_records(ring, 4, 1 << 20, 100)->records.size(), 2u);
  const auto none = take_records(ring, 6, 1 << 20, 100);
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(none->records.empty());
  EXPECT_FALSE(none->data);
}

TEST(Ring, WithoutTheModuleTheErrorSaysWhatToDo) {
  const auto ring = attach_ring("g", "/nonexistent/remotecopy");
  ASSERT_FALSE(ring.ok());
  EXPECT_NE(ring.error().next.find("modprobe"), std::string::npos);
}

} // namespace
} // namespace rc::io
