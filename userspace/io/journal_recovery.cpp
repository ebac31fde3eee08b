// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/journal_recovery.hpp"

#include "io/journal_area.hpp"

#include <algorithm>

namespace rc::io {
namespace {

using format::Record;
using format::Segment;
using format::Superblock;

constexpr std::size_t control_window_bytes = 1 << 20;
constexpr std::size_t data_window_bytes = 4 << 20;

std::uint64_t position_of(const Record& stored) { return stored.data_pos & format::data_pos_mask; }
bool first_of_commit(const Record& stored) { return stored.data_pos & format::data_pos_first_of_commit; }

Error damaged(const Disk& disk, std::uint64_t slot, const Error& why) {
  return Error{ErrorCode::Corrupt,
               "journal " + disk.name() + ": slot " + std::to_string(slot) +
                   " is damaged although it was on stable storage: " + why.what,
               "the disk lost or changed data: replace it, format the journal, and resynchronise this copy"};
}

class Walk {
public:
  Walk(Disk& disk, RecoveredJournal& found)
      : disk_(disk), found_(found), geometry_(found.superblock.geometry),
        control_({&disk, format::control_area_offset, geometry_.control_bytes()}, control_window_bytes),
        data_({&disk, geometry_.data_offset, geometry_.data_bytes}, data_window_bytes) {}

  Status run() {
    const Superblock& superblock = found_.superblock;
    slot_ = superblock.out_slot;
    data_at_ = superblock.out_data;
    const auto& segments = superblock.state.segments;
    for (std::size_t i = 0; i < segments.size(); i++) {
      const bool last = i + 1 == segments.size();
      if (segments[i].first_slot != slot_ || segments[i].first_data != data_at_)
        return damaged(disk_, slot_,
                       Error{ErrorCode::Corrupt, "a segment does not begin where the one before ends", ""});
      const std::uint64_t end = last ? ~0ULL : segments[i + 1].first_slot;
      if (Status done = walk_segment(segments[i], end); !done)
        return done;
    }
    found_.in_slot = slot_;
    found_.in_data = data_at_;
    return {};
  }

private:
  // Goes on to `end`, or (end == ~0) to the first record that is not whole.
  Status walk_segment(const Segment& segment, std::uint64_t end) {
    const std::uint64_t limit = std::min(end, found_.superblock.out_slot + geometry_.control_slots);
    while (slot_ < limit) {
      const bool must_be_whole = end != ~0ULL || slot_ < found_.superblock.checked_slot;
      const SlotExpectation expected{segment.stream, segment.first + (slot_ - segment.first_slot)};
      auto record = load(slot_);
      if (!record)
        return record.error();
      auto whole = check(*record, expected, slot_ >= found_.superblock.checked_slot);
      if (!whole)
        return whole.error(); // the disk can't be read
      if (!whole->ok()) {
        if (must_be_whole)
          return damaged(disk_, slot_, whole->error());
        return end_of_records(expected, whole->error());
      }
      data_at_ += format::data_bytes(*record);
      slot_++;
    }
    if (slot_ < end && end != ~0ULL)
      return damaged(disk_, slot_, Error{ErrorCode::Corrupt, "the segment is longer than the journal", ""});
    return {};
  }

  Result<Record> load(std::uint64_t slot) {
    auto bytes = control_.view(slot * sizeof(Record), sizeof(Record));
    if (!bytes)
      return bytes.error();
    return rc::load<Record>(bytes->data());
  }

  // Outer Error: can't be read. Inner: not the whole expected record.
  Result<Status> check(const Record& stored, const SlotExpectation& expected, bool with_data) {
    if (Status good = check_slot(stored, expected); !good)
      return good;
    if (stored.type != DMRC_FAILED && position_of(stored) != data_at_)
      return Status(Error{ErrorCode::Corrupt, "its data position is not where the data before ends", ""});
    const std::size_t length = format::data_bytes(stored);
    if (data_at_ + length > found_.superblock.out_data + geometry_.data_bytes)
      return Status(Error{ErrorCode::Corrupt, "its data would not fit the data area", ""});
    if (!with_data)
      return Status();
    Record plain = stored;
    restore_data_pos(plain);
    ByteView bytes;
    if (length > data_window_bytes)
      return Status(Error{ErrorCode::Corrupt, "its data is longer than any record's", ""});
    if (length > 0) {
      auto view = data_.view(data_at_, length);
      if (!view)
        return view.error();
      bytes = *view;
    }
    found_.checked_records++;
    found_.checked_bytes += length;
    return format::check_data(plain, bytes);
  }

  // The first record that is not whole. Torn by a power cut, unless a later commit of this stream began: that
  // one was written only after a flush.
  Status end_of_records(const SlotExpectation& bad, const Error& why) {
    const std::uint64_t limit =
        std::min(found_.superblock.out_slot + geometry_.control_slots, slot_ + commit_slots_max + 1);
    SlotExpectation expected = bad;
    for (std::uint64_t slot = slot_ + 1; slot < limit; slot++) {
      expected.seq++;
      auto record = load(slot);
      if (!record)
        return record.error();
      if (!check_slot(*record, expected))
        continue;
      if (first_of_commit(*record) && (record->type == DMRC_FAILED || position_of(*record) >= data_at_))
        return damaged(disk_, slot_, why);
      found_.dropped_records++;
    }
    return {};
  }

  Disk& disk_;
  RecoveredJournal& found_;
  format::JournalGeometry geometry_;
  AreaReader control_;
  AreaReader data_;
  std::uint64_t slot_ = 0;
  std::uint64_t data_at_ = 0;
};

} // namespace

Status check_slot(const Record& stored, const SlotExpectation& expected) {
  if (Status good = format::check_header(stored); !good)
    return good;
  if (stored.seq != expected.seq || stored.stream != static_cast<std::uint32_t>(expected.stream.value))
    return Error{ErrorCode::Corrupt,
                 "it holds seq " + std::to_string(stored.seq) + " of stream " +
                     std::to_string(stored.stream) + ", not seq " + std::to_string(expected.seq),
                 ""};
  return {};
}

void restore_data_pos(Record& stored) {
  stored.data_pos = stored.type == DMRC_FAILED ? stored.data_pos & format::data_pos_mask : 0;
}

Result<Superblock> read_superblock(Disk& disk) {
  std::optional<Superblock> newest;
  std::optional<Error> error;
  AlignedBuffer slot(format::superblock_slot_bytes);
  for (const std::uint64_t offset : format::superblock_offset) {
    // Most states fit the first block; it says how long the whole is.
    MutableByteView used = slot.view().first(format::journal_block_bytes);
    if (Status done = disk.read(offset, used); !done)
      return done.error();
    used = slot.view().first(format::superblock_stored_bytes(used));
    if (used.size() > format::journal_block_bytes)
      if (Status done = disk.read(offset, used); !done)
        return done.error();
    auto decoded = format::decode_superblock(used);
    if (!decoded) {
      if (!error || decoded.error().code == ErrorCode::Corrupt)
        error = decoded.error();
    } else if (!newest || decoded->serial > newest->serial) {
      newest = std::move(*decoded);
    }
  }
  if (!newest)
    return error->because("journal " + disk.name());
  if (newest->geometry.total_bytes() > disk.bytes())
    return Error{ErrorCode::Corrupt,
                 "journal " + disk.name() + ": it was formatted with " +
                     std::to_string(newest->geometry.total_bytes()) + " bytes, now there are " +
                     std::to_string(disk.bytes()),
                 "give the file or device its old size again"};
  return *newest;
}

Result<RecoveredJournal> recover_journal(Disk& disk) {
  auto superblock = read_superblock(disk);
  if (!superblock)
    return superblock.error();
  RecoveredJournal found;
  found.superblock = std::move(*superblock);
  found.in_slot = found.superblock.out_slot;
  found.in_data = found.superblock.out_data;
  if (Status done = Walk(disk, found).run(); !done)
    return done.error();
  return found;
}

} // namespace rc::io
