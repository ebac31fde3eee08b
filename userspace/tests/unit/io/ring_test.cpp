// SPDX-License-Identifier: GPL-2.0-or-later
// Taking records out of a ring in memory.
#include "support/memory_ring.hpp"

#include <gtest/gtest.h>

namespace rc::io {
namespace {

using format::Record;

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
