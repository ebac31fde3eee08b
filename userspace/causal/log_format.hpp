// SPDX-License-Identifier: GPL-2.0-or-later
// Bytes of the completion log: sections, one for each start of a writer, each a 96-byte header and 32-byte
// records with a checksum of their own. Sections follow one another in one file (a port's file on the host
// gets one more at every start); the end of a section may be torn by a power cut. docs/causal-checker.md has
// the table.
#pragma once

#include "base/bytes.hpp"
#include "causal/shape.hpp"

#include <optional>

namespace rc::causal {

constexpr std::size_t log_header_bytes = 96;
constexpr std::size_t log_record_bytes = 32;

struct LogHeader {
  Shape shape;
  std::uint16_t host = 0;
  std::uint64_t started_ns = 0; // CLOCK_REALTIME, before the first write
};

// One completed write: acknowledged by being here.
struct Completion {
  WriteId id;
  Place place;
  std::uint64_t done_ns = 0; // CLOCK_REALTIME when the write returned
  std::uint32_t took_us = 0; // from issue to return
  bool flushed = false;      // a flush of its device returned after it and before done_ns
};

Bytes encode(const LogHeader& header);
// `to` has log_record_bytes.
void encode(const Completion& completion, MutableByteView to);
// The writer ended by itself; the section is complete.
void encode_end(std::uint64_t ended_ns, MutableByteView to);

struct LogEnd {
  std::uint64_t ended_ns = 0;
};
struct LogRecord {
  std::optional<Completion> completion; // else the end
  LogEnd end;
};

// Nothing when the bytes are not one (checksum, magic, impossible values).
std::optional<LogHeader> decode_log_header(ByteView bytes);
std::optional<LogRecord> decode_log_record(ByteView bytes);

} // namespace rc::causal
