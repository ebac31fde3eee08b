// SPDX-License-Identifier: GPL-2.0-or-later
// Frames: what a link between two nodes is made of (docs/wire.md). A fixed header of 32 bytes, little-endian,
// with its own CRC, then `length` bytes of body. Pure: no I/O. Nothing in a header is believed before
// parse_frame_header returned Ok; afterwards its length is within the limit of its type.
#pragma once

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace rc::format {

enum class FrameType : std::uint8_t {
  KeepAlive = 1, // no body, channel 0: nothing to say, still here
  Node = 2,      // CBOR of one JSON object, channel 0: between the nodes themselves
  Message = 3,   // CBOR of one GroupMessage (messages_cbor.hpp)
  Records = 4,   // records of one stream (records_codec.hpp)
  Packed = 5,    // the body of a Records frame, compressed; only to a peer that said that it understands it
  Copyset = 6,   // CBOR of one CopysetMessage (copyset_cbor.hpp), channel 0; only between nodes with seats
};

inline constexpr std::size_t frame_header_bytes = 32;
inline constexpr std::uint32_t frame_magic = 0x31464352; // "RCF1"

// Largest body a type may have; more is refused by both sides.
inline constexpr std::uint32_t node_body_bytes_max = 4u << 20;
inline constexpr std::uint32_t message_body_bytes_max = 64u << 20;
inline constexpr std::uint32_t records_body_bytes_max = 16u << 20;
std::uint32_t body_bytes_max(FrameType type);

// A Packed frame's body: this head, then what the codec made of the body of a Records frame.
inline constexpr std::size_t packed_head_bytes = 8;
inline constexpr std::uint32_t codec_zstd = 1;
void append_packed_head(std::uint32_t unpacked_bytes, Bytes& to);
// Length of what was packed, within the limit of a Records frame. `body`: the whole of it.
Result<std::uint32_t> parse_packed_head(ByteView body);

struct FrameHeader {
  FrameType type = FrameType::KeepAlive;
  std::uint32_t channel = 0; // group (channel_of), 0: the node
  std::uint32_t length = 0;  // bytes of body
  std::uint64_t number = 0;  // 1, 2, 3... per direction of a connection: a lost or repeated frame shows
  bool operator==(const FrameHeader&) const = default;
};

// `to` must have frame_header_bytes.
void write_frame_header(const FrameHeader& header, MutableByteView to);

// Corrupt: wrong magic, CRC, type, reserved bits, length above the limit. `bytes`: exactly
// frame_header_bytes.
Result<FrameHeader> parse_frame_header(ByteView bytes);

// Both nodes derive a group's channel from its name; never 0. Names that collide can't be used on one link:
// the agent refuses the second one when it is created.
std::uint32_t channel_of(std::string_view group);

const char* to_string(FrameType type);

} // namespace rc::format
