// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/record.hpp"
#include "tests/unit/format/samples.hpp"

#include <gtest/gtest.h>

namespace rc::format {
namespace {

TEST(Record, AnySingleBitFlipIsDetectedExceptInDataPos) {
  const Bytes data = samples::bytes_of(512, 1);
  Record good = samples::header(DMRC_WRITE, 7, 512);
  seal_record(good, data);
  ASSERT_TRUE(check_header(good).ok() && check_data(good, data).ok());
  for (std::size_t bit = 0; bit < sizeof(Record) * 8; bit++) {
    Record bad = good;
    reinterpret_cast<unsigned char*>(&bad)[bit / 8] ^= static_cast<unsigned char>(1 << (bit % 8));
    const bool in_data_pos = bit / 8 >= offsetof(Record, data_pos) && bit / 8 < offsetof(Record, data_crc);
    EXPECT_EQ(check_header(bad).ok(), in_data_pos) << "bit " << bit;
  }
}

TEST(Record, AnySingleBitFlipInTheDataIsDetected) {
  Bytes data = samples::bytes_of(512, 2);
  Record record = samples::header(DMRC_COPY, 7, 512);
  seal_record(record, data);
  for (std::size_t bit = 0; bit < data.size() * 8; bit++) {
    data[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    EXPECT_FALSE(check_data(record, data).ok());
    data[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
  }
}

TEST(Record, TheSeqThatAFailedRecordNamesIsCoveredByItsDataCrc) {
  Record failed = samples::header(DMRC_FAILED, 9, 4096);
  failed.data_pos = 5;
  seal_record(failed, {});
  EXPECT_TRUE(check_data(failed, {}).ok());
  failed.data_pos = 6;
  EXPECT_TRUE(check_header(failed).ok());
  EXPECT_FALSE(check_data(failed, {}).ok());
}

TEST(Record, WhatMakesNoSenseIsRefusedAlthoughItsCrcIsRight) {
  const auto refused = [](auto&& change) {
    Record record = samples::header(DMRC_WRITE, 7, 512);
    change(record);
    seal_header(record);
    return !check_header(record).ok();
  };
  EXPECT_FALSE(refused([](Record&) {}));
  EXPECT_TRUE(refused([](Record& r) { r.type = DMRC_INVALID; }));
  EXPECT_TRUE(refused([](Record& r) { r.type = DMRC_LOSS + 1; }));
  EXPECT_TRUE(refused([](Record& r) { r.seq = 0; }));
  EXPECT_TRUE(refused([](Record& r) { r.stream = 0; }));
  EXPECT_TRUE(refused([](Record& r) { r.flags = 0x80; }));
  EXPECT_TRUE(refused([](Record& r) { r.flags = DMRC_F_ELIDED; }));
  EXPECT_TRUE(refused([](Record& r) { r.length = 511; }));
  EXPECT_TRUE(refused([](Record& r) { r.length = 0; }));
  EXPECT_TRUE(refused([](Record& r) { r.type = DMRC_MARKER; }));
  EXPECT_TRUE(refused([](Record& r) { r.sector = ~0ULL; }));
  EXPECT_TRUE(refused([](Record& r) { r.era = ~0ULL; }));
}

TEST(Record, ZeroedSpaceIsNeverARecord) { EXPECT_FALSE(check_header(Record{}).ok()); }

TEST(Record, AnElidedCopyHasNoDataAndChangesNothing) {
  Record record = samples::header(DMRC_COPY, 7, 512);
  record.flags = DMRC_F_ELIDED;
  seal_record(record, {});
  EXPECT_EQ(data_bytes(record), 0u);
  EXPECT_FALSE(changes_volume(record));
  EXPECT_TRUE(check_header(record).ok() && check_data(record, {}).ok());
}

} // namespace
} // namespace rc::format
