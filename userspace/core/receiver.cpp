// SPDX-License-Identifier: GPL-2.0-or-later
// The checks of a batch; the loop does a few comparisons per record and allocates only to complain.
#include "core/receiver.hpp"

#include "core/mutation.hpp"

namespace rc::core {
namespace {

std::string at(const format::Record& record, const char* what) {
  return "record " + std::to_string(record.seq) + ": " + what;
}

} // namespace

std::string check_batch(const ReceiverChecks& checks, const format::RecordsMessage& message) {
  if (message.stream != checks.stream)
    return "records of another stream";
  Seq next = checks.next;
  Era last_marker = checks.last_marker;
  bool ended = checks.ended;
  const auto short_stream = static_cast<std::uint32_t>(checks.stream.value);
  for (const format::Record& record : message.records) {
    if (record.seq != next)
      return "a gap: expected record " + std::to_string(next) + ", got " + std::to_string(record.seq);
    ++next;
    if (record.stream != short_stream)
      return at(record, "of another stream");
    if (ended)
      return at(record, "follows the end of its stream");
    switch (record.type) {
    case DMRC_WRITE:
    case DMRC_DISCARD:
    case DMRC_ZEROES:
    case DMRC_COPY:
    case DMRC_FAILED: {
      if (record.volume >= checks.volume_sectors->size() || (*checks.volume_sectors)[record.volume] == 0)
        return at(record, "for a volume that this copy does not have");
      if (record.length % DMRC_SECTOR_BYTES != 0)
        return at(record, "length is not a multiple of a sector");
      const std::uint64_t size = (*checks.volume_sectors)[record.volume];
      const std::uint64_t sectors = record.length / DMRC_SECTOR_BYTES;
      if (record.sector > size || sectors > size - record.sector)
        return at(record, "beyond the end of the volume");
      break;
    }
    case DMRC_MARKER:
      if (Era{record.era} <= last_marker)
        return at(record, "a checkpoint number that was used before");
      last_marker = Era{record.era};
      break;
    case DMRC_HELD:
    case DMRC_VOID:
    case DMRC_END_OF_COPYING:
      break;
    case DMRC_SEAL:
    case DMRC_LOSS:
      ended = !mutated(Mutation::LossDropped);
      break;
    default:
      return at(record, "of an unknown type");
    }
  }
  return {};
}

} // namespace rc::core
