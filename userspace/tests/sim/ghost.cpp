// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/sim/ghost.hpp"

namespace rc::sim {

void Ghost::begin_stream(StreamId id, int host, std::uint64_t generation, std::uint64_t lineage_id,
                         const Image& base) {
  if (!by_id_.emplace(id.value, streams_.size()).second)
    throw Violation("8", "a stream id was used twice");
  streams_.push_back({id, streams_.size(), host, generation, lineage_id, {base}});
}

void Ghost::captured(StreamId id, const format::Record& record, const Image& image) {
  GhostStream& stream = streams_.at(by_id_.at(id.value));
  if (record.seq != stream.images.size())
    throw Violation("model", "the simulated kernel skipped a sequence number");
  stream.images.push_back(image);
  const std::pair key{stream.lineage_id, Era{record.era}};
  if (record.type == DMRC_MARKER) {
    if (!checkpoints_.emplace(key, GhostCheckpoint{id, record.seq, false}).second)
      throw Violation("8", "checkpoint " + to_string(Era{record.era}) + " was named twice");
  } else if (record.type == DMRC_HELD || record.type == DMRC_VOID) {
    const auto found = checkpoints_.find(key);
    if (found == checkpoints_.end() || found->second.judged)
      throw Violation("8", "checkpoint " + to_string(Era{record.era}) +
                               " has two verdicts, or one without marker");
    found->second.judged = true;
  }
}

const GhostStream* Ghost::stream(StreamId id) const {
  const auto found = by_id_.find(id.value);
  return found == by_id_.end() ? nullptr : &streams_[found->second];
}

const Image& Ghost::image(StreamId id, Seq seq) const {
  const GhostStream* found = stream(id);
  if (!found || seq >= found->images.size())
    throw Violation("contract",
                    "the core names record " + std::to_string(seq) + " of a stream that never held it");
  return found->images[seq];
}

const Image* Ghost::checkpoint(std::uint64_t lineage_id, Era era) const {
  const auto found = checkpoints_.find({lineage_id, era});
  return found == checkpoints_.end() ? nullptr : &image(found->second.stream, found->second.marker);
}

std::uint64_t Ghost::entry_of(const std::vector<format::LineageEntry>& lineage, Era era) {
  for (const auto& entry : lineage)
    if (entry.generation == era.generation())
      return entry.id;
  return 0;
}

Era Ghost::last_checkpoint(std::uint64_t lineage_id) const {
  auto next = checkpoints_.lower_bound({lineage_id + 1, Era{}});
  if (next == checkpoints_.begin())
    return {};
  --next;
  return next->first.first == lineage_id ? next->first.second : Era{};
}

const GhostCheckpoint* Ghost::find_checkpoint(std::uint64_t lineage_id, Era era) const {
  const auto found = checkpoints_.find({lineage_id, era});
  return found == checkpoints_.end() ? nullptr : &found->second;
}

void Ghost::completed(std::uint64_t lineage_id, StreamId id, Seq seq) {
  const GhostStream* found = stream(id);
  if (!found)
    return; // before the first stream of this life
  Completed& last = completed_[lineage_id];
  if (last.stream != id && (last.stream.value == 0 || last.stream_order < found->order))
    last = {found->order, id, seq, seq == 0};
  else if (last.stream == id) {
    last.seq = std::max(last.seq, seq);
    last.uncaptured = last.uncaptured || seq == 0;
  }
}

const Completed* Ghost::last_completed(std::uint64_t lineage_id) const {
  const auto found = completed_.find(lineage_id);
  return found == completed_.end() ? nullptr : &found->second;
}

void Ghost::promise(int host, StreamId id, Seq seq) {
  const GhostStream* found = stream(id);
  Promise& promise = promises_[host];
  if (promise.stream != id)
    promise = {found->order, id, seq};
  else if (promise.seq < seq)
    promise.seq = seq;
}

} // namespace rc::sim
