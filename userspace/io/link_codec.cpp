// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/link_codec.hpp"

#include <algorithm>

namespace rc::io {

using format::FrameType;

void FrameReceiver::expect(Part part, std::size_t bytes) {
  part_ = part;
  have_ = 0;
  if (part != Part::Data)
    part_bytes_.resize(bytes);
}

MutableByteView FrameReceiver::wanted() {
  Bytes& bytes = part_ == Part::Data ? *data_ : part_bytes_;
  return MutableByteView(bytes).subspan(have_);
}

Status FrameReceiver::got(std::size_t bytes) {
  RC_ASSERT(bytes <= wanted().size());
  have_ += bytes;
  // A part of no bytes (an empty body, records without data) is done at once.
  while (wanted().empty())
    if (Status good = part_done(); !good)
      return good;
  return {};
}

Status FrameReceiver::part_done() {
  RC_ASSERT(!ready_);
  switch (part_) {
  case Part::Header: {
    const auto header = format::parse_frame_header(part_bytes_);
    if (!header)
      return header.error();
    header_ = *header;
    if (header_.number != next_number_)
      return Error{ErrorCode::Corrupt,
                   "frame number " + std::to_string(header_.number) + " where " +
                       std::to_string(next_number_) + " was to come: frames were lost or repeated",
                   ""};
    next_number_++;
    if (header_.type == FrameType::KeepAlive)
      expect(Part::Header, format::frame_header_bytes);
    else if (header_.type != FrameType::Records)
      expect(Part::Body, header_.length);
    else if (header_.length < format::records_prefix_bytes)
      return Error{ErrorCode::Corrupt, "a records frame without records", ""};
    else
      expect(Part::Prefix, format::records_prefix_bytes);
    return {};
  }
  case Part::Body:
    ready_ = ReceivedFrame{header_.type, header_.channel, std::move(part_bytes_), {}};
    part_bytes_ = {};
    expect(Part::Header, format::frame_header_bytes);
    return {};
  case Part::Prefix: {
    const auto prefix = format::parse_records_prefix(part_bytes_, header_.length);
    if (!prefix)
      return prefix.error();
    prefix_ = *prefix;
    expect(Part::Headers, prefix_.count * sizeof(format::Record));
    return {};
  }
  case Part::Headers:
    headers_.swap(part_bytes_);
    data_ = std::make_shared<Bytes>(prefix_.data_bytes);
    expect(Part::Data, prefix_.data_bytes);
    return {};
  case Part::Data: {
    std::shared_ptr<const Bytes> data = prefix_.data_bytes ? std::move(data_) : nullptr;
    data_.reset();
    auto records = format::decode_records(prefix_, headers_, std::move(data));
    if (!records)
      return records.error();
    ready_ = ReceivedFrame{header_.type, header_.channel, {}, std::move(*records)};
    expect(Part::Header, format::frame_header_bytes);
    return {};
  }
  }
  return {};
}

std::optional<ReceivedFrame> FrameReceiver::take() { return std::exchange(ready_, std::nullopt); }

std::size_t OutgoingFrame::bytes() const {
  const std::size_t length = std::holds_alternative<Bytes>(body)
                                 ? std::get<Bytes>(body).size()
                                 : std::get<format::OutgoingRecords>(body).body_bytes();
  return format::frame_header_bytes + length;
}

void FrameSender::begin_frame() {
  current_ = std::move(queue_.front());
  queue_.pop_front();
  head_.assign(format::frame_header_bytes, std::byte{0});
  const format::FrameHeader header{current_.type, current_.channel,
                                   static_cast<std::uint32_t>(current_.bytes() - format::frame_header_bytes),
                                   next_number_++};
  format::write_frame_header(header, head_);
  if (const auto* records = std::get_if<format::OutgoingRecords>(&current_.body)) {
    format::append_records_head(*records, head_);
    pieces_.push_back(head_);
    for (const format::SharedPiece& piece : records->pieces)
      pieces_.push_back(piece.view());
  } else {
    pieces_.push_back(head_);
    if (const Bytes& body = std::get<Bytes>(current_.body); !body.empty())
      pieces_.push_back(body);
  }
}

ByteView FrameSender::next() {
  if (begin_ == end_)
    begin_ = end_ = 0;
  while (end_ < staging_.size() && !(pieces_.empty() && queue_.empty())) {
    if (pieces_.empty()) {
      begin_frame();
      continue;
    }
    ByteView& piece = pieces_.front();
    const std::size_t part = std::min(piece.size(), staging_.size() - end_);
    std::memcpy(staging_.data() + end_, piece.data(), part);
    end_ += part;
    piece = piece.subspan(part);
    if (piece.empty())
      pieces_.pop_front();
  }
  return ByteView(staging_).subspan(begin_, end_ - begin_);
}

void FrameSender::sent(std::size_t bytes) {
  RC_ASSERT(bytes <= end_ - begin_);
  begin_ += bytes;
}

} // namespace rc::io
