// SPDX-License-Identifier: GPL-2.0-or-later
// The 64-byte control record (docs/ring.md): identical in ring, on the wire and in the journal; only data_pos
// is local to where it is stored. The shared header defines the layout; this file adds what is said about it.
// Paper: seeds/004, Fig. 3 (journal control data and journal data).
#pragma once

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"

#include <linux/dm_remotecopy.h>

namespace rc::format {

using Record = ::dmrc_record;

enum class RecordType : std::uint8_t {
  Write = DMRC_WRITE,
  Discard = DMRC_DISCARD,
  Zeroes = DMRC_ZEROES,
  Copy = DMRC_COPY,
  Failed = DMRC_FAILED,
  Marker = DMRC_MARKER,
  Held = DMRC_HELD,
  Void = DMRC_VOID,
  EndOfCopying = DMRC_END_OF_COPYING,
  Seal = DMRC_SEAL,
  Loss = DMRC_LOSS,
};

inline RecordType type_of(const Record& record) { return static_cast<RecordType>(record.type); }
inline Era era_of(const Record& record) { return Era{record.era}; }

// Do `length` bytes of data follow the record (on the wire) or lie at its data_pos (ring, journal)?
inline bool has_data(const Record& record) {
  return record.type == DMRC_WRITE ||
         (record.type == DMRC_COPY && !(record.flags & (DMRC_F_ELIDED | DMRC_F_ZERO)));
}
inline std::uint32_t data_bytes(const Record& record) { return has_data(record) ? record.length : 0; }

// Is it a copy record that was for this site (its data carried, or known to be zero)?
inline bool brings_copy(const Record& record) {
  return record.type == DMRC_COPY && !(record.flags & DMRC_F_ELIDED);
}

// Does applying the record change the volume?
inline bool changes_volume(const Record& record) {
  return record.type == DMRC_WRITE || record.type == DMRC_DISCARD || record.type == DMRC_ZEROES ||
         brings_copy(record);
}

// Fills data_crc (from the data, which must be data_bytes() long) and header_crc: done once, where the record
// first leaves the ring. The first form keeps data_crc.
void seal_header(Record& record);
void seal_record(Record& record, ByteView data);

// Corrupt: wrong CRC, unknown type, length not a multiple of a sector, reserved bits. What the record says is
// not to be believed before this returned Ok.
Status check_header(const Record& record);
Status check_data(const Record& record, ByteView data);

const char* to_string(RecordType type);
std::string to_string(const Record& record); // one line for logs

} // namespace rc::format
