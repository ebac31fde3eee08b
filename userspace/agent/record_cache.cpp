// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/record_cache.hpp"

#include <algorithm>

namespace rc::agent {
namespace {

constexpr std::size_t take_bytes = 1 << 20;
constexpr std::size_t take_records_max = 4096;

std::size_t weight(const format::RecordsMessage& chunk) {
  return chunk.records.size() * sizeof(format::Record) + (chunk.data ? chunk.data->size() : 0);
}

// Part [first, last] of a chunk; shares nothing (a part is asked for rarely: at the edges of a window).
format::RecordsMessage part_of(const format::RecordsMessage& chunk, Seq first, Seq last) {
  format::RecordsMessage part;
  part.stream = chunk.stream;
  std::size_t skipped = 0;
  std::size_t taken = 0;
  for (const auto& record : chunk.records) {
    if (record.seq < first) {
      skipped += format::data_bytes(record);
    } else if (record.seq <= last) {
      part.records.push_back(record);
      taken += format::data_bytes(record);
    }
  }
  if (taken == 0)
    return part; // and the chunk may have no data at all
  const auto from = chunk.data->begin() + static_cast<std::ptrdiff_t>(skipped);
  part.data = std::make_shared<const Bytes>(from, from + static_cast<std::ptrdiff_t>(taken));
  return part;
}

format::RecordsMessage clip(format::RecordsMessage chunk, Seq first, Seq last) {
  if (chunk.records.front().seq >= first && chunk.records.back().seq <= last)
    return chunk;
  return part_of(chunk, first, last);
}

} // namespace

void RecordCache::clear() {
  chunks_.clear();
  bytes_ = 0;
}

void RecordCache::add(format::RecordsMessage chunk) {
  if (chunk.records.empty())
    return;
  if (!chunks_.empty() &&
      (chunks_.back().stream != chunk.stream || last_of(chunks_.back()) + 1 != chunk.records.front().seq))
    clear();
  bytes_ += weight(chunk);
  chunks_.push_back(std::move(chunk));
}

void RecordCache::forget_through(Seq seq) {
  while (!chunks_.empty() && last_of(chunks_.front()) <= seq) {
    bytes_ -= weight(chunks_.front());
    chunks_.pop_front();
  }
}

Result<format::RecordsMessage> RecordCache::get(const io::RingSource& ring, Seq first, Seq last) const {
  const auto found = std::lower_bound(chunks_.begin(), chunks_.end(), first,
                                      [](const auto& chunk, Seq seq) { return last_of(chunk) < seq; });
  if (found != chunks_.end() && found->records.front().seq <= first)
    return clip(*found, first, last);
  const std::size_t records = static_cast<std::size_t>(std::min<Seq>(last - first + 1, take_records_max));
  auto taken = io::take_records(ring, first, take_bytes, records);
  if (!taken)
    return taken;
  if (taken->records.empty() || taken->records.front().seq != first)
    return Error{ErrorCode::Corrupt, "record " + std::to_string(first) + " is not in the ring any more",
                 "restart rcagent; the copies are resynchronised by delta"};
  return taken;
}

} // namespace rc::agent
