// SPDX-License-Identifier: GPL-2.0-or-later
// Layout: 0 magic u32, 4 type u8, 5 zero u8[3], 8 channel u32, 12 length u32, 16 number u64, 24 zero u32, 28
// CRC u32.
#include "format/frame.hpp"

#include "base/crc32c.hpp"

namespace rc::format {
namespace {

Error corrupt(const std::string& why) {
  return Error{ErrorCode::Corrupt, "frame: " + why, "the link is closed; both ends must run remotecopy"};
}

bool known(std::uint8_t type) {
  return type >= static_cast<std::uint8_t>(FrameType::KeepAlive) &&
         type <= static_cast<std::uint8_t>(FrameType::Copyset);
}

} // namespace

std::uint32_t body_bytes_max(FrameType type) {
  switch (type) {
  case FrameType::KeepAlive:
    return 0;
  case FrameType::Node:
    return node_body_bytes_max;
  case FrameType::Message:
  case FrameType::Copyset:
    return message_body_bytes_max;
  case FrameType::Records:
  case FrameType::Packed:
    return records_body_bytes_max;
  }
  return 0;
}

void append_packed_head(std::uint32_t unpacked_bytes, Bytes& to) {
  append(to, unpacked_bytes);
  append(to, codec_zstd);
}

Result<std::uint32_t> parse_packed_head(ByteView body) {
  if (body.size() <= packed_head_bytes)
    return corrupt("too short for packed records");
  const auto unpacked = load<std::uint32_t>(body.data());
  if (unpacked == 0 || unpacked > records_body_bytes_max)
    return corrupt("packed records of " + std::to_string(unpacked) + " bytes");
  if (load<std::uint32_t>(body.data() + 4) != codec_zstd)
    return corrupt("records packed by an unknown codec");
  return unpacked;
}

void write_frame_header(const FrameHeader& header, MutableByteView to) {
  RC_ASSERT(to.size() == frame_header_bytes && header.length <= body_bytes_max(header.type));
  std::memset(to.data(), 0, to.size());
  store(to.data(), frame_magic);
  store(to.data() + 4, static_cast<std::uint8_t>(header.type));
  store(to.data() + 8, header.channel);
  store(to.data() + 12, header.length);
  store(to.data() + 16, header.number);
  store(to.data() + 28, crc32c(ByteView(to).first(28)));
}

Result<FrameHeader> parse_frame_header(ByteView bytes) {
  RC_ASSERT(bytes.size() == frame_header_bytes);
  if (load<std::uint32_t>(bytes.data()) != frame_magic)
    return corrupt("wrong magic: this is no frame of version 1");
  if (load<std::uint32_t>(bytes.data() + 28) != crc32c(bytes.first(28)))
    return corrupt("wrong CRC of the header");
  const auto type = load<std::uint8_t>(bytes.data() + 4);
  if (!known(type))
    return corrupt("unknown type " + std::to_string(type));
  const auto reserved = load<std::uint32_t>(bytes.data() + 4) >> 8;
  if (reserved != 0 || load<std::uint32_t>(bytes.data() + 24) != 0)
    return corrupt("reserved bits are set");
  FrameHeader header;
  header.type = static_cast<FrameType>(type);
  header.channel = load<std::uint32_t>(bytes.data() + 8);
  header.length = load<std::uint32_t>(bytes.data() + 12);
  header.number = load<std::uint64_t>(bytes.data() + 16);
  if (header.length > body_bytes_max(header.type))
    return corrupt("a body of " + std::to_string(header.length) + " bytes is above the limit of " +
                   to_string(header.type) + " frames");
  const bool of_group = header.type == FrameType::Message || header.type == FrameType::Records ||
                        header.type == FrameType::Packed;
  if (of_group ? header.channel == 0 : header.channel != 0)
    return corrupt("channel " + std::to_string(header.channel) + " does not fit a " + to_string(header.type) +
                   " frame");
  return header;
}

std::uint32_t channel_of(std::string_view group) {
  const std::uint32_t channel = crc32c(as_bytes(group));
  return channel ? channel : 1;
}

const char* to_string(FrameType type) {
  switch (type) {
  case FrameType::KeepAlive:
    return "keep-alive";
  case FrameType::Node:
    return "node";
  case FrameType::Message:
    return "message";
  case FrameType::Records:
    return "records";
  case FrameType::Packed:
    return "packed records";
  case FrameType::Copyset:
    return "copyset";
  }
  return "unknown";
}

} // namespace rc::format
