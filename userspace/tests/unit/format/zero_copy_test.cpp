// SPDX-License-Identifier: GPL-2.0-or-later
// A copy record whose data is all zero says so and carries none; it is as good a copy as any.
#include "format/records_codec.hpp"

#include <gtest/gtest.h>

using namespace rc;
using namespace rc::format;

namespace {

Record zero_copy(Seq seq) {
  Record record{};
  record.type = DMRC_COPY;
  record.flags = DMRC_F_ZERO;
  record.stream = 7;
  record.length = 1 << 20;
  record.tag = 2;
  record.seq = seq;
  record.era = 1;
  seal_record(record, {});
  return record;
}

} // namespace

TEST(ZeroCopy, has_no_data_but_brings_its_region) {
  const Record record = zero_copy(1);
  EXPECT_EQ(data_bytes(record), 0u);
  EXPECT_TRUE(brings_copy(record));
  EXPECT_TRUE(changes_volume(record));
  EXPECT_TRUE(check_header(record));
  EXPECT_TRUE(check_data(record, {}));
}

TEST(ZeroCopy, travels_as_a_header_and_is_elided_like_others) {
  const RecordsMessage message{StreamId{7}, {zero_copy(1), zero_copy(2)}, nullptr};
  const auto mine = decode_records(encode_records(outgoing_for_link(message, 2)));
  ASSERT_TRUE(mine) << mine.error().text();
  EXPECT_TRUE(brings_copy(mine->records[1]));
  const auto others = decode_records(encode_records(outgoing_for_link(message, 1)));
  ASSERT_TRUE(others) << others.error().text();
  EXPECT_FALSE(brings_copy(others->records[1]));
}

TEST(ZeroCopy, the_flag_is_refused_on_other_records) {
  Record record = zero_copy(1);
  record.type = DMRC_ZEROES;
  record.tag = 0;
  seal_record(record, {});
  EXPECT_FALSE(check_header(record));
}
