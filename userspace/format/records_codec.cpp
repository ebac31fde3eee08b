// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/records_codec.hpp"

#include <algorithm>

namespace rc::format {
namespace {

Error corrupt(const std::string& why) { return Error{ErrorCode::Corrupt, "records frame: " + why, ""}; }

} // namespace

std::size_t OutgoingRecords::data_bytes() const {
  std::size_t bytes = 0;
  for (const SharedPiece& piece : pieces)
    bytes += piece.length;
  return bytes;
}

OutgoingRecords outgoing_for_link(const RecordsMessage& message, std::uint32_t link_bit) {
  OutgoingRecords out{message.stream, message.records, {}};
  std::size_t at = 0;
  const auto add = [&](std::size_t length) {
    if (!out.pieces.empty() && out.pieces.back().offset + out.pieces.back().length == at)
      out.pieces.back().length += length;
    else
      out.pieces.push_back({message.data, at, length});
  };
  for (Record& record : out.records) {
    const std::size_t length = format::data_bytes(record);
    if (record.type == DMRC_COPY && !(record.tag & link_bit)) {
      record.flags |= DMRC_F_ELIDED;
      record.data_crc = 0;
      seal_header(record);
    } else if (length > 0) {
      add(length);
    }
    at += length;
  }
  RC_ASSERT(at == (message.data ? message.data->size() : 0));
  return out;
}

void append_records_head(const OutgoingRecords& records, Bytes& to) {
  RC_ASSERT(records.records.size() <= records_count_max);
  append(to, records.stream.value);
  append(to, static_cast<std::uint32_t>(records.records.size()));
  append(to, std::uint32_t{0});
  for (Record record : records.records) {
    if (record.type != DMRC_FAILED)
      record.data_pos = 0;
    append(to, record);
  }
}

Bytes encode_records(const OutgoingRecords& records) {
  Bytes body;
  body.reserve(records.body_bytes());
  append_records_head(records, body);
  for (const SharedPiece& piece : records.pieces)
    append_bytes(body, piece.view());
  return body;
}

Result<RecordsPrefix> parse_records_prefix(ByteView prefix, std::uint32_t body_length) {
  RC_ASSERT(prefix.size() == records_prefix_bytes);
  RecordsPrefix parsed;
  parsed.stream.value = load<std::uint64_t>(prefix.data());
  parsed.count = load<std::uint32_t>(prefix.data() + 8);
  if (load<std::uint32_t>(prefix.data() + 12) != 0)
    return corrupt("reserved bits are set");
  if (static_cast<std::uint32_t>(parsed.stream.value) == 0)
    return corrupt("no stream");
  if (parsed.count == 0 || parsed.count > records_count_max)
    return corrupt(std::to_string(parsed.count) + " records are not allowed in one frame");
  const std::size_t head = records_prefix_bytes + parsed.count * sizeof(Record);
  if (head > body_length)
    return corrupt("its body is too short for " + std::to_string(parsed.count) + " records");
  parsed.data_bytes = body_length - head;
  return parsed;
}

Result<RecordsMessage> decode_records(const RecordsPrefix& prefix, ByteView headers,
                                      std::shared_ptr<const Bytes> data) {
  if (headers.size() != prefix.count * sizeof(Record) || (data ? data->size() : 0) != prefix.data_bytes)
    return corrupt("its parts are not as long as its head says");
  RecordsMessage message;
  message.stream = prefix.stream;
  message.records.resize(prefix.count);
  std::memcpy(message.records.data(), headers.data(), headers.size());
  ByteView left = data ? ByteView(*data) : ByteView();
  Seq expected = message.records.front().seq;
  for (const Record& record : message.records) {
    if (Status ok = check_header(record); !ok)
      return ok.error();
    if (record.stream != static_cast<std::uint32_t>(prefix.stream.value))
      return corrupt("record seq=" + std::to_string(record.seq) + " is of another stream");
    if (record.seq != expected)
      return corrupt("seq " + std::to_string(record.seq) + " where " + std::to_string(expected) +
                     " was to come");
    if (record.flags & DMRC_F_COPY_SLOT)
      return corrupt("record seq=" + std::to_string(record.seq) + " points into a ring");
    expected++;
    const std::size_t length = data_bytes(record);
    if (length > left.size())
      return corrupt("the data ends before that of record seq=" + std::to_string(record.seq));
    if (Status ok = check_data(record, left.first(length)); !ok)
      return ok.error();
    left = left.subspan(length);
  }
  if (!left.empty())
    return corrupt(std::to_string(left.size()) + " bytes too many");
  message.data = std::move(data);
  return message;
}

Result<RecordsMessage> decode_records(ByteView body) {
  if (body.size() < records_prefix_bytes || body.size() > records_body_bytes_max)
    return corrupt("its body has " + std::to_string(body.size()) + " bytes");
  auto prefix =
      parse_records_prefix(body.first(records_prefix_bytes), static_cast<std::uint32_t>(body.size()));
  if (!prefix)
    return prefix.error();
  const ByteView headers = body.subspan(records_prefix_bytes, prefix->count * sizeof(Record));
  const ByteView data = body.subspan(records_prefix_bytes + headers.size());
  return decode_records(*prefix, headers,
                        data.empty() ? nullptr : std::make_shared<const Bytes>(data.begin(), data.end()));
}

} // namespace rc::format
