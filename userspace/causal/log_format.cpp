// SPDX-License-Identifier: GPL-2.0-or-later
#include "causal/log_format.hpp"

#include "base/crc32c.hpp"

namespace rc::causal {
namespace {

constexpr std::uint64_t log_magic = 0x3147434c52435243ULL; // "CRCRLCG1"
constexpr std::uint16_t type_completion = 1;
constexpr std::uint16_t type_end = 2;
constexpr std::uint16_t flag_flushed = 1 << 8; // the type is the low byte

struct Header {
  std::uint64_t magic;
  std::uint32_t crc; // of all that follows
  std::uint32_t span;
  std::uint64_t run;
  std::uint64_t seed;
  std::uint16_t hosts;
  std::uint16_t lanes;
  std::uint16_t devices;
  std::uint16_t sizes;
  std::uint16_t host;
  std::uint16_t reserved0[3];
  std::uint64_t started_ns;
  std::uint64_t reserved1[5];
};
static_assert(sizeof(Header) == log_header_bytes && std::has_unique_object_representations_v<Header>);

struct Record {
  std::uint32_t crc; // of all that follows
  std::uint16_t type_and_flags;
  std::uint16_t lane;
  std::uint32_t number;
  std::uint32_t took_us;
  std::uint32_t device;
  std::uint32_t slot;
  std::uint64_t time_ns;
};
static_assert(sizeof(Record) == log_record_bytes && std::has_unique_object_representations_v<Record>);

constexpr std::size_t header_crc_from = 12;
constexpr std::size_t record_crc_from = 4;

void seal(Record record, MutableByteView to) {
  RC_ASSERT(to.size() == log_record_bytes);
  store(to.data(), record);
  store(to.data(), crc32c(to.subspan(record_crc_from)));
}

} // namespace

Bytes encode(const LogHeader& log) {
  Header header{};
  header.magic = log_magic;
  header.span = log.shape.span;
  header.run = log.shape.run;
  header.seed = log.shape.seed;
  header.hosts = log.shape.hosts;
  header.lanes = log.shape.lanes;
  header.devices = log.shape.devices;
  header.sizes = log.shape.sizes;
  header.host = log.host;
  header.started_ns = log.started_ns;
  Bytes bytes(sizeof header);
  store(bytes.data(), header);
  header.crc = crc32c(ByteView(bytes).subspan(header_crc_from));
  store(bytes.data(), header);
  return bytes;
}

void encode(const Completion& done, MutableByteView to) {
  seal({.crc = 0,
        .type_and_flags = static_cast<std::uint16_t>(type_completion | (done.flushed ? flag_flushed : 0)),
        .lane = static_cast<std::uint16_t>(done.id.lane),
        .number = done.id.number,
        .took_us = done.took_us,
        .device = done.place.device,
        .slot = done.place.slot,
        .time_ns = done.done_ns},
       to);
}

void encode_end(std::uint64_t ended_ns, MutableByteView to) {
  Record record{};
  record.type_and_flags = type_end;
  record.time_ns = ended_ns;
  seal(record, to);
}

std::optional<LogHeader> decode_log_header(ByteView bytes) {
  if (bytes.size() < log_header_bytes || load<std::uint64_t>(bytes.data()) != log_magic)
    return {};
  const auto header = load<Header>(bytes.data());
  if (crc32c(bytes.first(log_header_bytes).subspan(header_crc_from)) != header.crc)
    return {};
  LogHeader log{.shape = {header.run, header.seed, header.hosts, header.lanes, header.devices, header.sizes,
                          header.span},
                .host = header.host,
                .started_ns = header.started_ns};
  if (!log.shape.valid() || log.host >= log.shape.hosts)
    return {};
  return log;
}

std::optional<LogRecord> decode_log_record(ByteView bytes) {
  if (bytes.size() < log_record_bytes)
    return {};
  const auto record = load<Record>(bytes.data());
  if (crc32c(bytes.first(log_record_bytes).subspan(record_crc_from)) != record.crc)
    return {};
  const std::uint16_t type = record.type_and_flags & 0xff;
  if (type == type_end)
    return LogRecord{{}, {record.time_ns}};
  if (type != type_completion || record.number == 0)
    return {};
  return LogRecord{Completion{.id = {record.lane, record.number},
                              .place = {record.device, record.slot},
                              .done_ns = record.time_ns,
                              .took_us = record.took_us,
                              .flushed = (record.type_and_flags & flag_flushed) != 0},
                   {}};
}

} // namespace rc::causal
