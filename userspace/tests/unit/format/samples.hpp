// SPDX-License-Identifier: GPL-2.0-or-later
// Records and states that the tests of formats share.
#pragma once

#include "format/group_state.hpp"
#include "format/messages.hpp"

#include <random>

namespace rc::format::samples {

inline Bytes bytes_of(std::size_t length, std::uint32_t seed) {
  std::mt19937 random(seed);
  Bytes bytes(length);
  for (std::byte& byte : bytes)
    byte = static_cast<std::byte>(random());
  return bytes;
}

inline Record header(std::uint8_t type, Seq seq, std::uint32_t length = 0,
                     std::uint64_t stream = 0x1234abcd) {
  Record record{};
  record.type = type;
  record.stream = static_cast<std::uint32_t>(stream);
  record.length = length;
  record.seq = seq;
  record.time_ns = 1000 + seq;
  record.era = Era::of(2, 17).value;
  if (length) {
    record.volume = static_cast<std::uint16_t>(1 + seq % 2);
    record.sector = 8 * seq;
  }
  return record;
}

// write, marker, held, discard, copy for link 1, failed, write
inline RecordsMessage message(Seq first = 5, std::uint64_t stream = 0x1234abcd) {
  RecordsMessage m;
  m.stream = StreamId{stream};
  Bytes data;
  const auto add = [&](std::uint8_t type, std::uint32_t length, std::uint32_t tag = 0) {
    Record record = header(type, first + m.records.size(), length, stream);
    record.tag = tag;
    if (type == DMRC_FAILED)
      record.data_pos = 4711;
    const Bytes own = bytes_of(data_bytes(record), static_cast<std::uint32_t>(record.seq));
    seal_record(record, own);
    append_bytes(data, own);
    m.records.push_back(record);
  };
  add(DMRC_WRITE, 4096);
  add(DMRC_MARKER, 0);
  add(DMRC_HELD, 0);
  add(DMRC_DISCARD, 1 << 20);
  add(DMRC_COPY, 8192, 1 << 1);
  add(DMRC_FAILED, 512);
  add(DMRC_WRITE, 512);
  m.data = std::make_shared<const Bytes>(std::move(data));
  return m;
}

inline std::vector<LineageEntry> lineage() {
  return {{1, "paris", 77, Era{}}, {2, "lyon", ~0ULL, Era::of(1, 40)}};
}

inline DraftInfo draft_info() {
  return {
      lineage(), Era::of(1, 39), Era::of(2, 3), {{1, 0, 2048, Era::of(2, 1)}, {2, 4096, 2048, Era::open()}}};
}

inline GroupState state() {
  GroupState s;
  s.role = Role::Primary;
  s.position = {lineage(), Era::of(2, 5)};
  s.release = Release{StreamId{9}, 100, Era::of(2, 6), true, 123456789};
  s.draft = Draft{lineage(), Era::of(1, 40), true, Era::of(2, 2), true, {{3, 10, 20, Era::of(1, 1)}}};
  s.source_lineage = lineage();
  s.segments = {{StreamId{9}, 1, 0, 0}, {StreamId{10}, 50, 200, 8192}};
  s.epoch = Epoch{4};
  s.current = StreamId{10};
  s.closed = StreamId{9};
  s.closed_at = 99;
  s.alone = true;
  s.alone_since = Era::of(2, 4);
  s.confirmed = true;
  return s;
}

} // namespace rc::format::samples
