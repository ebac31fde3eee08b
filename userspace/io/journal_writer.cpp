// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/journal_writer.hpp"

#include <algorithm>

namespace rc::io {
namespace {

using format::Record;
using format::Segment;

constexpr std::size_t data_staging_bytes = 4 << 20;
constexpr std::size_t control_staging_bytes = 256 << 10;
// Bounds what recovery has to verify: a quarter of a small journal, at most
constexpr std::uint64_t superblock_every_bytes_max = 64 << 20;

} // namespace

JournalWriter::JournalWriter(std::shared_ptr<Disk> disk, format::Superblock superblock, AreaWriter control,
                             AreaWriter data)
    : disk_(std::move(disk)),
      superblock_(std::move(superblock)), control_area_{disk_.get(), format::control_area_offset,
                                                        superblock_.geometry.control_bytes()},
      control_(std::move(control)), data_(std::move(data)),
      superblock_memory_(format::superblock_slot_bytes) {
  marks_ = {control_.position() / sizeof(Record), data_.position(), superblock_.out_slot,
            superblock_.out_data, 0};
}

Result<std::unique_ptr<JournalWriter>> JournalWriter::open(std::shared_ptr<Disk> disk,
                                                           RecoveredJournal recovered) {
  const format::JournalGeometry& geometry = recovered.superblock.geometry;
  auto control = AreaWriter::open({disk.get(), format::control_area_offset, geometry.control_bytes()},
                                  recovered.in_slot * sizeof(Record), control_staging_bytes);
  if (!control)
    return control.error();
  auto data = AreaWriter::open({disk.get(), geometry.data_offset, geometry.data_bytes}, recovered.in_data,
                               data_staging_bytes);
  if (!data)
    return data.error();
  std::unique_ptr<JournalWriter> writer(
      new JournalWriter(disk, std::move(recovered.superblock), std::move(*control), std::move(*data)));
  if (Status done = writer->flush(); !done)
    return done.error();
  if (Status done = writer->store(); !done)
    return done.error();
  return writer;
}

Status JournalWriter::append(const format::RecordsMessage& records) {
  RC_ASSERT(!segments().empty() && segments().back().stream == records.stream);
  ByteView data = records.data ? ByteView(*records.data) : ByteView();
  for (Record record : records.records) {
    const std::size_t length = format::data_bytes(record);
    RC_ASSERT(length <= data.size());
    if (record.type != DMRC_FAILED)
      record.data_pos = data_.position();
    if (!uncommitted_)
      record.data_pos |= format::data_pos_first_of_commit;
    uncommitted_ = true;
    if (Status done = data_.append(data.first(length)); !done)
      return done;
    data = data.subspan(length);
    if (Status done = control_.append(std::as_bytes(std::span(&record, 1))); !done)
      return done;
  }
  marks_.in_slot = control_.position() / sizeof(Record);
  marks_.in_data = data_.position();
  return {};
}

Status JournalWriter::commit() {
  if (!uncommitted_)
    return {};
  if (Status done = data_.finish(); !done)
    return done;
  if (Status done = control_.finish(); !done)
    return done;
  // The superblock says what was flushed before; it needs no flush of its own.
  const bool superblock_due = marks_.in_data - superblock_data_ >
                              std::min(superblock_every_bytes_max, superblock_.geometry.data_bytes / 4);
  if (superblock_due)
    if (Status done = write_superblock(); !done)
      return done;
  const std::uint64_t out_slot = superblock_.out_slot;
  const std::uint64_t out_data = superblock_.out_data;
  if (Status done = flush(); !done)
    return done;
  if (superblock_due) {
    marks_.out_slot = out_slot;
    marks_.out_data = out_data;
  }
  return {};
}

Status JournalWriter::store() {
  if (Status done = commit(); !done)
    return done;
  if (Status done = write_superblock(); !done)
    return done;
  if (Status done = flush(); !done)
    return done;
  marks_.out_slot = superblock_.out_slot;
  marks_.out_data = superblock_.out_data;
  return {};
}

Status JournalWriter::flush() {
  if (Status done = disk_->flush(); !done)
    return done;
  uncommitted_ = false;
  marks_.flushed_slot = marks_.in_slot;
  flushed_data_ = marks_.in_data;
  return {};
}

Status JournalWriter::write_superblock() {
  superblock_.serial++;
  superblock_.checked_slot = std::max(marks_.flushed_slot, superblock_.out_slot);
  const auto bytes = format::encode_superblock(superblock_);
  if (!bytes)
    return bytes.error().because("journal " + disk_->name());
  std::memcpy(superblock_memory_.data(), bytes->data(), bytes->size());
  superblock_data_ = marks_.in_data;
  return disk_->write(format::superblock_offset[superblock_.serial % 2],
                      superblock_memory_.view().first(bytes->size()));
}

Result<std::uint64_t> JournalWriter::data_position(std::uint64_t slot) {
  if (slot == marks_.in_slot)
    return marks_.in_data;
  // The slot may still be in the writer's memory only.
  if (Status done = control_.finish(); !done)
    return done.error();
  std::uint64_t position = ~0ULL;
  // A failed record's data_pos says something else: its data position is that of the next one.
  for (; slot < marks_.in_slot; slot++) {
    Record record;
    if (Status done = control_area_.read(slot * sizeof record, std::as_writable_bytes(std::span(&record, 1)));
        !done)
      return done.error();
    if (Status good = format::check_header(record); !good)
      return good.error().because("journal " + disk_->name() + ": slot " + std::to_string(slot));
    position = record.data_pos & format::data_pos_mask;
    if (record.type != DMRC_FAILED)
      return position;
  }
  return marks_.in_data;
}

Status JournalWriter::trim(const JournalTrim& trim) {
  auto& segments = superblock_.state.segments;
  const auto found = std::find_if(segments.rbegin(), segments.rend(), [&](const Segment& s) {
    return s.stream == trim.stream && s.first <= trim.through;
  });
  if (found == segments.rend())
    return {}; // trimmed already
  const auto segment = std::prev(found.base());
  const bool last = std::next(segment) == segments.end();
  const std::uint64_t end = last ? marks_.in_slot : std::next(segment)->first_slot;
  const std::uint64_t out = segment->first_slot + (trim.through - segment->first) + 1;
  RC_ASSERT(out <= end);
  const auto data = data_position(out);
  if (!data)
    return data.error();
  if (out == end && !last) {
    segments.erase(segments.begin(), std::next(segment));
  } else {
    segment->first += out - segment->first_slot;
    segment->first_slot = out;
    segment->first_data = *data;
    segments.erase(segments.begin(), segment);
  }
  superblock_.out_slot = out;
  superblock_.out_data = *data;
  return {};
}

void JournalWriter::empty() {
  superblock_.state.segments.clear();
  superblock_.out_slot = marks_.in_slot;
  superblock_.out_data = marks_.in_data;
}

void JournalWriter::begin(const JournalSegmentStart& start) {
  auto& segments = superblock_.state.segments;
  if (!segments.empty() && segments.back().first_slot == marks_.in_slot)
    segments.pop_back(); // holds nothing
  if (segments.empty()) {
    superblock_.out_slot = marks_.in_slot;
    superblock_.out_data = marks_.in_data;
  }
  segments.push_back({start.stream, start.first, marks_.in_slot, marks_.in_data});
}

void JournalWriter::set_state(format::GroupState state) {
  state.segments = std::move(superblock_.state.segments);
  superblock_.state = std::move(state);
}

} // namespace rc::io
