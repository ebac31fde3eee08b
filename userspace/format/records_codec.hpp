// SPDX-License-Identifier: GPL-2.0-or-later
// Body of a Records frame (docs/wire.md): u64 stream, u32 count, u32 zero, `count` records of 64 bytes, then
// the data of those that have data, one after the other. Decoding checks everything that can be checked
// without knowing the group: CRCs of headers and data, types, one stream, contiguous seq, lengths that add
// up.
#pragma once

#include "format/frame.hpp"
#include "format/messages.hpp"

#include <span>

namespace rc::format {

inline constexpr std::size_t records_prefix_bytes = 16;
inline constexpr std::uint32_t records_count_max = 65536;

// A part of somebody's immutable buffer.
struct SharedPiece {
  std::shared_ptr<const Bytes> bytes;
  std::size_t offset = 0;
  std::size_t length = 0;
  ByteView view() const { return ByteView(*bytes).subspan(offset, length); }
};

// Records for one link, their data in pieces, so that several links and the spill share one copy of it.
struct OutgoingRecords {
  StreamId stream{};
  std::vector<Record> records;
  std::vector<SharedPiece> pieces; // the data of all records with data, in order
  std::size_t data_bytes() const;
  std::size_t body_bytes() const {
    return records_prefix_bytes + records.size() * sizeof(Record) + data_bytes();
  }
};

// What the link with this bit of `tag` gets: copy records that are not for it lose their data (flag elided,
// header sealed again). Shares the data of `message`.
OutgoingRecords outgoing_for_link(const RecordsMessage& message, std::uint32_t link_bit);

// Prefix and headers, without the data. Only data_pos is changed (0, except in `failed` records).
void append_records_head(const OutgoingRecords& records, Bytes& to);
// Whole body in one buffer.
Bytes encode_records(const OutgoingRecords& records);

struct RecordsPrefix {
  StreamId stream{};
  std::uint32_t count = 0;
  std::size_t data_bytes = 0; // what follows the headers
};
// `prefix`: records_prefix_bytes; `body_length`: from the frame header.
Result<RecordsPrefix> parse_records_prefix(ByteView prefix, std::uint32_t body_length);
// `headers`: count * 64 bytes; `data`: data_bytes, becomes the data of the message.
Result<RecordsMessage> decode_records(const RecordsPrefix& prefix, ByteView headers,
                                      std::shared_ptr<const Bytes> data);
Result<RecordsMessage> decode_records(ByteView body);

} // namespace rc::format
