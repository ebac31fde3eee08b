// SPDX-License-Identifier: GPL-2.0-or-later
// CRCs and checks of one record. A `failed` record's data_pos is what it says (the seq whose write failed),
// and data_pos is outside of the header's CRC: so its data_crc covers these eight bytes.
#include "format/record.hpp"

#include "base/crc32c.hpp"

#include <algorithm>

namespace rc::format {
namespace {

constexpr std::uint32_t length_max = 1u << 30; // of discards; data is limited by the frames that carry it

ByteView header_bytes(const Record& record) { return std::as_bytes(std::span(&record, 1)); }

std::uint32_t header_crc(const Record& record) {
  Record plain = record;
  plain.data_pos = 0;
  plain.header_crc = 0;
  return crc32c(header_bytes(plain));
}

std::uint32_t data_crc(const Record& record, ByteView data) {
  if (record.type == DMRC_FAILED)
    return crc32c(std::as_bytes(std::span(&record.data_pos, 1)));
  return data.empty() ? 0 : crc32c(data);
}

Error corrupt(const Record& record, const std::string& why) {
  return Error{ErrorCode::Corrupt, "record seq=" + std::to_string(record.seq) + ": " + why, ""};
}

bool of_group(const Record& record) { // speaks of no volume
  switch (record.type) {
  case DMRC_MARKER:
  case DMRC_HELD:
  case DMRC_VOID:
  case DMRC_END_OF_COPYING:
  case DMRC_SEAL:
  case DMRC_LOSS:
    return true;
  default:
    return false;
  }
}

} // namespace

void seal_header(Record& record) { record.header_crc = header_crc(record); }

void seal_record(Record& record, ByteView data) {
  RC_ASSERT(data.size() == data_bytes(record));
  record.data_crc = data_crc(record, data);
  seal_header(record);
}

Status check_header(const Record& record) {
  if (header_crc(record) != record.header_crc)
    return corrupt(record, "wrong CRC of the header");
  if (record.type < DMRC_WRITE || record.type > DMRC_LOSS)
    return corrupt(record, "unknown type " + std::to_string(record.type));
  if (record.seq == 0 || record.stream == 0)
    return corrupt(record, "no seq or no stream");
  const unsigned known = DMRC_F_FUA | DMRC_F_UNMAP | DMRC_F_COPY_SLOT | DMRC_F_ELIDED | DMRC_F_ZERO;
  if (record.flags & ~known)
    return corrupt(record, "reserved flags " + std::to_string(record.flags));
  if ((record.flags & (DMRC_F_ELIDED | DMRC_F_ZERO)) && record.type != DMRC_COPY)
    return corrupt(record, "without its data, but no copy record");
  if (record.length % DMRC_SECTOR_BYTES != 0 || record.length > length_max)
    return corrupt(record, "length " + std::to_string(record.length) + " is no number of sectors");
  if (of_group(record) ? record.length != 0 : record.length == 0)
    return corrupt(record, "length " + std::to_string(record.length) + " does not fit its type");
  const std::uint64_t sectors = record.length / DMRC_SECTOR_BYTES;
  if (record.sector > (~0ULL >> 9) - sectors)
    return corrupt(record, "sector " + std::to_string(record.sector) + " is beyond any volume");
  if (record.era >> (DMRC_ERA_N_BITS + DMRC_ERA_GENERATION_BITS))
    return corrupt(record, "era " + to_string(Era{record.era}) + " is none");
  return {};
}

Status check_data(const Record& record, ByteView data) {
  if (data.size() != data_bytes(record))
    return corrupt(record, std::to_string(data.size()) + " bytes of data, " +
                               std::to_string(data_bytes(record)) + " expected");
  if (record.flags & (DMRC_F_ELIDED | DMRC_F_ZERO))
    return {};
  if (data_crc(record, data) != record.data_crc)
    return corrupt(record, "wrong CRC of the data");
  return {};
}

const char* to_string(RecordType type) {
  switch (type) {
  case RecordType::Write:
    return "write";
  case RecordType::Discard:
    return "discard";
  case RecordType::Zeroes:
    return "zeroes";
  case RecordType::Copy:
    return "copy";
  case RecordType::Failed:
    return "failed";
  case RecordType::Marker:
    return "marker";
  case RecordType::Held:
    return "held";
  case RecordType::Void:
    return "void";
  case RecordType::EndOfCopying:
    return "end of copying";
  case RecordType::Seal:
    return "seal";
  case RecordType::Loss:
    return "loss";
  }
  return "invalid";
}

std::string to_string(const Record& record) {
  std::string text = to_string(type_of(record));
  text += " seq=" + std::to_string(record.seq) + " era=" + to_string(era_of(record));
  if (!of_group(record))
    text += " volume=" + std::to_string(record.volume) + " sector=" + std::to_string(record.sector) +
            " bytes=" + std::to_string(record.length);
  if (record.tag)
    text += " tag=" + std::to_string(record.tag);
  if (record.flags & DMRC_F_ELIDED)
    text += " elided";
  if (record.flags & DMRC_F_ZERO)
    text += " zero";
  return text;
}

} // namespace rc::format
