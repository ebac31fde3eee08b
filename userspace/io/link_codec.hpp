// SPDX-License-Identifier: GPL-2.0-or-later
// Frames of a link to bytes and back, a piece at a time, without copying data more than once: the receiver
// says where the next bytes belong, the sender fills a staging buffer. No I/O; one thread.
#pragma once

#include "io/link.hpp"

#include <deque>
#include <variant>

namespace rc::io {

class FrameReceiver {
public:
  explicit FrameReceiver(std::uint64_t next_number) : next_number_(next_number) {}

  // Where the next bytes are to be put; never empty.
  MutableByteView wanted();
  // So many of them came. Corrupt: nothing more may be fed in.
  Status got(std::size_t bytes);
  // A whole frame (keep-alives are swallowed), as often as there is one.
  std::optional<ReceivedFrame> take();

private:
  enum class Part { Header, Body, Prefix, Headers, Data };
  Status part_done();
  void expect(Part part, std::size_t bytes);

  Part part_ = Part::Header;
  Bytes part_bytes_ = Bytes(format::frame_header_bytes);
  std::size_t have_ = 0;
  std::uint64_t next_number_;
  format::FrameHeader header_;
  format::RecordsPrefix prefix_;
  Bytes headers_;
  std::shared_ptr<Bytes> data_;
  std::optional<ReceivedFrame> ready_;
};

struct OutgoingFrame {
  format::FrameType type{};
  std::uint32_t channel = 0;
  std::variant<Bytes, format::OutgoingRecords> body;
  std::size_t bytes() const; // with the frame header
};

class FrameSender {
public:
  FrameSender(std::uint64_t next_number, std::size_t staging_bytes)
      : next_number_(next_number), staging_(staging_bytes) {}

  void add(OutgoingFrame frame) { queue_.push_back(std::move(frame)); }
  // What is to be sent next, as long a piece as fits the staging buffer; empty when there is nothing.
  ByteView next();
  void sent(std::size_t bytes); // of what next() gave
  bool empty() const { return begin_ == end_ && queue_.empty() && pieces_.empty(); }

private:
  void begin_frame(); // the front of the queue becomes pieces_

  std::uint64_t next_number_;
  Bytes staging_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::deque<OutgoingFrame> queue_;
  OutgoingFrame current_;
  Bytes head_;
  std::deque<ByteView> pieces_; // of current_, not yet staged
};

} // namespace rc::io
