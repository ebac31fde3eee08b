// SPDX-License-Identifier: GPL-2.0-or-later
// What a copy checks before it stores a batch of records: the stream, contiguity, and that every record lies
// within the copy's volumes. The peer is authenticated but not trusted. CRCs were checked where the bytes
// are. Pure, no state.
#pragma once

#include "format/messages.hpp"

#include <string>

namespace rc::core {

struct ReceiverChecks {
  StreamId stream{};
  Seq next = 0;       // the first record must have it
  Era last_marker{};  // markers must be above
  bool ended = false; // a loss or seal record was the last
  const std::vector<std::uint64_t>* volume_sectors = nullptr;
};

// Empty: good. Else what is wrong, in words; nothing of the batch may be used.
std::string check_batch(const ReceiverChecks& checks, const format::RecordsMessage& message);

} // namespace rc::core
