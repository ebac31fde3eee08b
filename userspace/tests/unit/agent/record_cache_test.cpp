// SPDX-License-Identifier: GPL-2.0-or-later
// Parts of what was read from the ring, as links and the spill ask for them.
#include "agent/record_cache.hpp"
#include "support/memory_ring.hpp"

#include <gtest/gtest.h>

namespace rc::agent {
namespace {

// Records 1..6: two writes, two markers without data, two writes; record n's data is full of n.
struct Ring : io::MemoryRing {
  Ring() {
    for (const bool with_data : {true, true, false, false, true, true}) {
      number++;
      if (with_data)
        add(DMRC_WRITE, Bytes(512, std::byte{number}));
      else
        add(DMRC_MARKER, {});
    }
  }
  format::RecordsMessage taken(Seq first, std::size_t records) const {
    return *io::take_records(*this, first, 1 << 20, records);
  }
  std::uint8_t number = 0;
};

void expect_holds(const Result<format::RecordsMessage>& got, Seq first, Seq last) {
  ASSERT_TRUE(got.ok()) << got.error().text();
  ASSERT_EQ(got->records.size(), last - first + 1);
  std::size_t at = 0;
  for (const auto& record : got->records) {
    EXPECT_EQ(record.seq, first++);
    for (std::size_t end = at + format::data_bytes(record); at < end; at++)
      ASSERT_EQ(got->data->at(at), std::byte(record.seq));
  }
  EXPECT_EQ(got->data ? got->data->size() : 0, at);
}

TEST(RecordCache, GivesPartsOfAChunk) {
  const Ring ring;
  RecordCache cache(1 << 20);
  cache.add(ring.taken(1, 6));
  expect_holds(cache.get(ring, 1, 6), 1, 6);
  expect_holds(cache.get(ring, 2, 5), 2, 5);
  expect_holds(cache.get(ring, 6, 6), 6, 6);
  expect_holds(cache.get(ring, 3, 4), 3, 4);
}

TEST(RecordCache, GivesPartsOfAChunkThatHasNoData) {
  const Ring ring;
  RecordCache cache(1 << 20);
  cache.add(ring.taken(3, 2));
  expect_holds(cache.get(ring, 4, 4), 4, 4);
  expect_holds(cache.get(ring, 3, 4), 3, 4);
}

TEST(RecordCache, TakesFromTheRingWhatItLacks) {
  const Ring ring;
  RecordCache cache(1 << 20);
  cache.add(ring.taken(4, 3));
  expect_holds(cache.get(ring, 1, 3), 1, 3);
  cache.forget_through(6);
  expect_holds(cache.get(ring, 5, 6), 5, 6);
  EXPECT_FALSE(cache.get(ring, 7, 8).ok()) << "the ring does not have it";
}

TEST(RecordCache, BeginsAnewAfterAGap) {
  const Ring ring;
  RecordCache cache(2000);
  cache.add(ring.taken(1, 2));
  EXPECT_TRUE(cache.has_room());
  cache.add(ring.taken(5, 2));
  cache.add(ring.taken(5, 2));
  expect_holds(cache.get(ring, 1, 2), 1, 2);
  cache.clear();
  cache.add(ring.taken(1, 6));
  EXPECT_FALSE(cache.has_room());
}

} // namespace
} // namespace rc::agent
