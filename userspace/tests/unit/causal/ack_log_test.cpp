// SPDX-License-Identifier: GPL-2.0-or-later
#include "causal/ack_log.hpp"

#include <gtest/gtest.h>

using namespace rc;
using namespace rc::causal;

namespace {

Shape shape_of_run(std::uint64_t run, std::uint16_t hosts = 1) {
  return {.run = run, .seed = 1, .hosts = hosts, .lanes = 2, .devices = 2, .sizes = 8, .span = 100};
}

Completion completion(const Shape& shape, WriteId id, std::uint64_t time) {
  return {
      .id = id, .place = shape.place_of(id), .done_ns = time, .took_us = 5, .flushed = id.number % 2 == 0};
}

void add(Bytes& log, const Completion& done) {
  Bytes record(log_record_bytes);
  encode(done, record);
  append_bytes(log, record);
}

Bytes section(std::uint64_t run, std::uint32_t writes, std::uint16_t hosts = 1, std::uint16_t host = 0) {
  const Shape shape = shape_of_run(run, hosts);
  Bytes log = encode(LogHeader{shape, host, 1000u + host});
  for (std::uint32_t number = 1; number <= writes; number++)
    for (std::uint32_t lane = 0; lane < 2; lane++)
      add(log, completion(shape, {host * 2u + lane, number}, 1000 + number * 10 + lane + host * 5u));
  return log;
}

Bytes joined(const Bytes& a, const Bytes& b) {
  Bytes all = a;
  append_bytes(all, b);
  return all;
}

} // namespace

TEST(AckLog, gives_back_what_was_written) {
  Bytes log = section(3, 4);
  Bytes end(log_record_bytes);
  encode_end(5000, end);
  append_bytes(log, end);
  const auto sections = parse_log(log);
  ASSERT_TRUE(sections) << sections.error().text();
  ASSERT_EQ(sections->size(), 1u);
  const LogSection& one = (*sections)[0];
  EXPECT_EQ(one.header.shape, shape_of_run(3));
  EXPECT_EQ(one.ended_ns, 5000u);
  ASSERT_EQ(one.completions.size(), 8u);
  EXPECT_EQ(one.completions[3].id, (WriteId{1, 2}));
  EXPECT_EQ(one.completions[3].done_ns, 1021u);
  EXPECT_EQ(one.completions[3].took_us, 5u);
  EXPECT_TRUE(one.completions[3].flushed);
}

TEST(AckLog, a_cut_at_any_byte_keeps_all_whole_records_before_it) {
  const Bytes log = section(3, 4);
  for (std::size_t size = 0; size < log.size(); size++) {
    const auto sections = parse_log(ByteView(log).first(size));
    ASSERT_TRUE(sections) << size;
    ASSERT_EQ(sections->size(), size >= log_header_bytes ? 1u : 0u);
    if (!sections->empty()) {
      ASSERT_EQ((*sections)[0].completions.size(), (size - log_header_bytes) / log_record_bytes);
    }
  }
}

TEST(AckLog, a_new_start_follows_a_torn_end) {
  Bytes first = section(3, 4);
  first.resize(first.size() - 13);
  const auto sections = parse_log(joined(first, section(4, 2)));
  ASSERT_TRUE(sections) << sections.error().text();
  ASSERT_EQ(sections->size(), 2u);
  EXPECT_EQ((*sections)[0].completions.size(), 7u);
  EXPECT_EQ((*sections)[0].torn_bytes, log_record_bytes - 13);
  EXPECT_EQ((*sections)[1].completions.size(), 4u);
  const auto newest = join_logs({*sections}, 0);
  ASSERT_TRUE(newest);
  EXPECT_EQ(newest->shape.run, 4u);
  EXPECT_EQ(join_logs({*sections}, 3)->completions.size(), 7u);
  EXPECT_EQ(join_logs({*sections}, 5).error().code, ErrorCode::NotFound);
}

TEST(AckLog, damage_in_the_middle_is_an_error_and_not_a_shorter_log) {
  const Bytes log = section(3, 4);
  for (std::size_t at = 0; at < log.size() - log_record_bytes; at++) {
    Bytes bytes = log;
    bytes[at] ^= std::byte{1};
    const auto sections = parse_log(bytes);
    ASSERT_FALSE(sections) << at;
    EXPECT_EQ(sections.error().code, ErrorCode::Corrupt);
  }
}

TEST(AckLog, a_gap_in_a_lane_is_an_error) {
  const Bytes log = section(3, 4);
  Bytes gap(log.begin(), log.begin() + log_header_bytes + 2 * log_record_bytes);
  append_bytes(gap, ByteView(log).subspan(log_header_bytes + 3 * log_record_bytes));
  const auto sections = parse_log(gap);
  ASSERT_FALSE(sections);
  EXPECT_NE(sections.error().what.find("lane 0 has number 3 where 2 is due"), std::string::npos)
      << sections.error().what;
}

TEST(AckLog, logs_of_several_hosts_become_one_by_time) {
  const auto first = parse_log(section(3, 4, 2, 0));
  const auto second = parse_log(section(3, 2, 2, 1));
  ASSERT_TRUE(first && second);
  const auto both = join_logs({*first, *second}, 0);
  ASSERT_TRUE(both);
  EXPECT_EQ(both->completions.size(), 12u);
  EXPECT_EQ(both->acked, (std::vector<std::uint32_t>{4, 4, 2, 2}));
  EXPECT_EQ(both->hosts_missing, 0u);
  EXPECT_EQ(both->started_ns, 1000u);
  for (std::size_t i = 1; i < both->completions.size(); i++)
    EXPECT_LE(both->completions[i - 1].done_ns, both->completions[i].done_ns);
  EXPECT_EQ(join_logs({*first}, 0)->hosts_missing, 1u);
  EXPECT_FALSE(join_logs({*first, *first}, 0));
}
