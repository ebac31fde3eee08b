// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/sim/journal.hpp"

#include "tests/sim/violation.hpp"

namespace rc::sim {

namespace {
std::uint64_t bytes_of(const format::RecordsMessage& message) {
  std::uint64_t bytes = 0;
  for (const auto& record : message.records)
    bytes += format::data_bytes(record);
  return bytes;
}
} // namespace

bool Journal::append(Message message) {
  if (message->records.empty())
    throw Violation("contract", "an append without records");
  const std::uint64_t bytes = bytes_of(*message);
  if (used_bytes() + bytes > data_bytes_ || used_slots_ + pending_slots_ + message->records.size() > slots_)
    return false;
  pending_bytes_ += bytes;
  pending_slots_ += message->records.size();
  pending_.push_back({std::move(message), nullptr, {}, nullptr});
  return true;
}

bool Journal::contiguous(const format::RecordsMessage& message) const {
  for (auto operation = pending_.rbegin(); operation != pending_.rend(); ++operation) {
    if (operation->append)
      return operation->append->stream == message.stream &&
             operation->append->records.back().seq + 1 == message.records.front().seq;
    if (operation->change.begin)
      return operation->change.begin->stream == message.stream &&
             operation->change.begin->first == message.records.front().seq;
    if (operation->change.empty)
      return false;
  }
  return !segments_.empty() && segments_.back().stream == message.stream &&
         segments_.back().last() + 1 == message.records.front().seq;
}

void Journal::store(format::GroupState state, core::JournalChange change, std::function<void()> done) {
  pending_.push_back(
      {nullptr, std::make_shared<format::GroupState>(std::move(state)), change, std::move(done)});
}

void Journal::trim(StreamId stream, Seq through) {
  core::JournalChange change;
  change.trim = {stream, through};
  pending_.push_back({nullptr, nullptr, change, nullptr});
}

void Journal::forget_front(Segment& segment) {
  used_bytes_ -= format::data_bytes(segment.records.front());
  --used_slots_;
  segment.records.pop_front();
  ++segment.first;
}

void Journal::drop_through(StreamId stream, Seq through) {
  // The newest stretch of the stream that begins at or before it; all older ones go.
  std::size_t at = segments_.size();
  for (std::size_t n = 0; n < segments_.size(); ++n)
    if (segments_[n].stream == stream && segments_[n].first <= through)
      at = n;
  if (at == segments_.size())
    return;
  for (; at > 0; --at) {
    while (!segments_.front().records.empty())
      forget_front(segments_.front());
    segments_.pop_front();
  }
  if (through > segments_.front().last())
    throw Violation("contract", "a trim beyond what is durable in the journal");
  while (!segments_.front().records.empty() && segments_.front().first <= through)
    forget_front(segments_.front());
}

void Journal::apply(const Operation& operation, std::size_t records) {
  if (operation.append) {
    const auto& message = *operation.append;
    if (segments_.empty() || segments_.back().stream != message.stream ||
        segments_.back().last() + 1 != message.records.front().seq)
      throw Violation("contract", "an append to the journal that is not contiguous with what it holds: seq " +
                                      std::to_string(message.records.front().seq));
    for (std::size_t n = 0; n < records; ++n) {
      segments_.back().records.push_back(message.records[n]);
      used_bytes_ += format::data_bytes(message.records[n]);
      ++used_slots_;
    }
    return;
  }
  const auto& change = operation.change;
  if (change.trim)
    drop_through(change.trim->stream, change.trim->through);
  if (change.empty)
    while (!segments_.empty()) {
      while (!segments_.front().records.empty())
        forget_front(segments_.front());
      segments_.pop_front();
    }
  if (change.begin) {
    // The same stream may go on after a gap: a resync whose draft stays.
    for (const auto& segment : segments_)
      if (segment.stream == change.begin->stream && segment.last() >= change.begin->first)
        throw Violation("contract", "begin of a stretch of a stream that the journal holds already");
    if (!segments_.empty() && segments_.back().records.empty())
      segments_.pop_back();
    segments_.push_back({change.begin->stream, change.begin->first, {}});
  }
  if (operation.state) {
    state_ = *operation.state;
    formatted_ = true;
  }
}

std::vector<std::function<void()>> Journal::end_commit(const Listener& listener) {
  std::vector<std::function<void()>> told;
  StreamId stream{};
  Seq last = 0;
  const auto tell = [&] {
    if (last)
      told.push_back([durable = listener.durable, stream, last] { durable(stream, last); });
    last = 0;
  };
  for (; committing_ > 0; --committing_) {
    Operation operation = std::move(pending_.front());
    pending_.pop_front();
    apply(operation, operation.append ? operation.append->records.size() : 0);
    if (operation.append) {
      pending_bytes_ -= bytes_of(*operation.append);
      pending_slots_ -= operation.append->records.size();
      if (operation.append->stream != stream)
        tell();
      stream = operation.append->stream;
      last = operation.append->records.back().seq;
    } else if (operation.done) {
      tell();
      told.push_back(operation.done);
    }
  }
  tell();
  return told;
}

void Journal::lose_pending(Random& random) {
  std::size_t whole = random.below(pending_.size() + 1);
  for (; whole > 0; --whole) {
    apply(pending_.front(), pending_.front().append ? pending_.front().append->records.size() : 0);
    pending_.pop_front();
  }
  if (!pending_.empty() && pending_.front().append)
    apply(pending_.front(), random.below(pending_.front().append->records.size() + 1));
  pending_.clear();
  committing_ = 0;
  pending_bytes_ = pending_slots_ = 0;
}

void Journal::wipe() {
  pending_.clear();
  segments_.clear();
  committing_ = 0;
  used_bytes_ = used_slots_ = pending_bytes_ = pending_slots_ = 0;
  state_ = {};
  formatted_ = false;
}

const format::Record* Journal::find(StreamId stream, Seq seq) const {
  for (const auto& segment : segments_)
    if (segment.stream == stream && seq >= segment.first && seq <= segment.last())
      return &segment.records[seq - segment.first];
  return nullptr;
}

Seq Journal::durable(StreamId stream) const {
  for (auto segment = segments_.rbegin(); segment != segments_.rend(); ++segment)
    if (segment->stream == stream)
      return segment->last();
  return 0;
}

Seq Journal::newest_held(StreamId stream) const {
  for (auto segment = segments_.rbegin(); segment != segments_.rend(); ++segment)
    if (segment->stream == stream && !segment->records.empty())
      return segment->last();
  return 0;
}

core::JournalIndex Journal::index() const {
  core::JournalIndex index;
  for (const auto& segment : segments_) {
    std::vector<format::Record> control;
    std::vector<format::Extent> copies;
    for (const auto& record : segment.records)
      if (record.type == DMRC_COPY) {
        if (format::has_data(record))
          copies.push_back({record.volume, record.sector, record.length / 512, Era{record.era}});
      } else if (record.type != DMRC_WRITE && record.type != DMRC_DISCARD && record.type != DMRC_ZEROES) {
        control.push_back(record);
      }
    index.recovered(segment.stream, segment.first, segment.last(), control, copies);
  }
  return index;
}

core::JournalSpace Journal::space() const {
  return {.used_bytes = used_bytes_ + pending_bytes_,
          .capacity_bytes = data_bytes_,
          .used_slots = used_slots_ + pending_slots_,
          .capacity_slots = slots_};
}

} // namespace rc::sim
