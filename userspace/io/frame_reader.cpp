// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/frame_reader.hpp"

#include <algorithm>

namespace rc::io {

FrameReader::FrameReader() { begin(Part::Header, format::frame_header_bytes); }

void FrameReader::begin(Part part, std::size_t size) {
  part_ = part;
  at_ = 0;
  if (part == Part::RecordsData)
    data_ = std::make_shared<Bytes>(size);
  else
    bytes_.resize(size);
}

MutableByteView FrameReader::space() {
  return part_ == Part::RecordsData ? MutableByteView(*data_).subspan(at_)
                                    : MutableByteView(bytes_).subspan(at_);
}

Result<std::optional<ReceivedFrame>> FrameReader::filled(std::size_t bytes) {
  at_ += bytes;
  const std::size_t size = part_ == Part::RecordsData ? data_->size() : bytes_.size();
  RC_ASSERT(at_ <= size);
  if (at_ < size)
    return std::optional<ReceivedFrame>();
  return part_done();
}

Result<std::optional<ReceivedFrame>> FrameReader::part_done() {
  switch (part_) {
  case Part::Header: {
    const auto header = format::parse_frame_header(bytes_);
    if (!header)
      return header.error();
    header_ = *header;
    if (header_.number != expected_number_)
      return Error{ErrorCode::Corrupt,
                   "frame " + std::to_string(header_.number) + " where " + std::to_string(expected_number_) +
                       " was to come: lost or repeated",
                   ""};
    expected_number_++;
    if (header_.type == format::FrameType::Records) {
      if (header_.length < format::records_prefix_bytes)
        return Error{ErrorCode::Corrupt, "records frame: too short", ""};
      begin(Part::RecordsPrefix, format::records_prefix_bytes);
      return std::optional<ReceivedFrame>();
    }
    begin(Part::Body, header_.length);
    return header_.length == 0 ? frame_done() : std::optional<ReceivedFrame>();
  }
  case Part::RecordsPrefix: {
    const auto prefix = format::parse_records_prefix(bytes_, header_.length);
    if (!prefix)
      return prefix.error();
    prefix_ = *prefix;
    begin(Part::RecordsHeaders, prefix_.count * sizeof(format::Record));
    return std::optional<ReceivedFrame>();
  }
  case Part::RecordsHeaders:
    record_headers_ = std::move(bytes_);
    bytes_ = {};
    begin(Part::RecordsData, prefix_.data_bytes);
    return prefix_.data_bytes == 0 ? frame_done() : std::optional<ReceivedFrame>();
  case Part::Body:
  case Part::RecordsData:
    return frame_done();
  }
  return Error{ErrorCode::Corrupt, "frame reader lost its place", ""};
}

Result<std::optional<ReceivedFrame>> FrameReader::frame_done() {
  ReceivedFrame frame;
  frame.type = header_.type;
  frame.channel = header_.channel;
  if (header_.type == format::FrameType::Records) {
    auto records = format::decode_records(prefix_, record_headers_, std::move(data_));
    if (!records)
      return records.error();
    frame.records = std::move(*records);
    data_.reset();
  } else if (header_.type == format::FrameType::Packed) {
    const auto body = packer_.unpack(bytes_);
    auto records = body ? format::decode_records(*body) : Result<format::RecordsMessage>(body.error());
    if (!records)
      return records.error();
    frame.type = format::FrameType::Records; // nobody else needs to know
    frame.unpacked_more = body->size() - std::min(body->size(), bytes_.size());
    frame.records = std::move(*records);
  } else {
    frame.body = std::move(bytes_);
    bytes_ = {};
  }
  begin(Part::Header, format::frame_header_bytes);
  return std::optional(std::move(frame));
}

} // namespace rc::io
