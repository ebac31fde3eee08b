// SPDX-License-Identifier: GPL-2.0-or-later
// The journal against a disk that loses power at every single operation, with every unflushed sector kept,
// lost or torn. A model knows what was appended, what was reported durable, and what was trimmed.
#include "io/journal_recovery.hpp"
#include "io/journal_writer.hpp"
#include "tests/unit/io/fault_disk.hpp"

#include <gtest/gtest.h>

namespace rc::io {
namespace {

using format::GroupState;
using format::Record;
using format::RecordsMessage;

// So small that it wraps all the time.
constexpr std::uint64_t small_slots = 256;
constexpr std::uint64_t small_data = 96 << 10;

format::JournalGeometry small_geometry() {
  return {small_slots, format::control_area_offset + small_slots * sizeof(Record), small_data};
}

Bytes formatted_image() {
  Bytes image(small_geometry().total_bytes());
  format::Superblock superblock;
  superblock.serial = 1;
  superblock.journal_id = 7;
  superblock.geometry = small_geometry();
  const Bytes bytes = *format::encode_superblock(superblock);
  std::copy(bytes.begin(), bytes.end(), image.begin() + format::superblock_offset[1]);
  return image;
}

struct Life { // a stream as the model knows it
  StreamId stream{};
  Seq first = 0;
  Seq trimmed = 0; // asked for
  Seq durable = 0;
  std::vector<Record> records; // from seq `first` on, as appended
  std::vector<Bytes> data;
  Seq last() const { return first + records.size() - 1; }
};

// Drives a JournalWriter at random. Everything it does follows from the seed.
class Driver {
public:
  Driver(std::uint32_t seed, std::uint64_t next_stream) : random_(seed), next_stream_(next_stream) {}

  // Until the disk fails, or `steps` steps are done.
  void run(JournalWriter& writer, FaultDisk& disk, int steps) {
    for (int i = 0; i < steps && !disk.is_cut(); i++)
      step(writer);
  }

  std::vector<Life> lives; // those the journal may hold, oldest first
  GroupState stored;       // last one that was reported stored
  GroupState storing;      // last one that was asked for
  std::size_t asked_lives_gone = 0;

private:
  void step(JournalWriter& writer) {
    const unsigned what = random_() % 16;
    if (lives.empty() || what == 0)
      return change(writer, true);
    if (what == 1)
      return change(writer, false);
    if (what == 2)
      return trim_only(writer);
    if (what <= 6) {
      if (writer.commit().ok())
        durable();
      return;
    }
    append(writer);
  }

  void append(JournalWriter& writer) {
    Life& life = lives.back();
    RecordsMessage message;
    message.stream = life.stream;
    Bytes all;
    const unsigned count = 1 + random_() % 5;
    for (unsigned i = 0; i < count; i++) {
      Record record{};
      static constexpr std::uint8_t types[] = {DMRC_WRITE,  DMRC_WRITE,  DMRC_COPY,
                                               DMRC_MARKER, DMRC_FAILED, DMRC_ZEROES};
      record.type = types[random_() % std::size(types)];
      record.stream = static_cast<std::uint32_t>(life.stream.value);
      record.seq = life.last() + 1;
      record.time_ns = random_();
      if (record.type != DMRC_MARKER)
        record.length = 512 * (1 + random_() % 20);
      if (record.type == DMRC_FAILED)
        record.data_pos = record.seq / 2;
      Bytes data(format::data_bytes(record));
      for (std::byte& byte : data)
        byte = static_cast<std::byte>(random_());
      format::seal_record(record, data);
      append_bytes(all, data);
      message.records.push_back(record);
      life.records.push_back(record);
      life.data.push_back(std::move(data));
    }
    const auto& marks = writer.marks();
    const auto up = [](std::uint64_t v, std::uint64_t unit) { return (v + unit - 1) / unit * unit; };
    const auto down = [](std::uint64_t v, std::uint64_t unit) { return v / unit * unit; };
    const bool fits = up(marks.in_slot + count, 64) <= down(marks.out_slot, 64) + small_slots &&
                      up(marks.in_data + all.size(), 4096) <= down(marks.out_data, 4096) + small_data;
    if (!fits) {
      life.records.resize(life.records.size() - count);
      life.data.resize(life.records.size());
      return trim_and_store(writer, 1 + random_() % 2 == 1);
    }
    message.data = all.empty() ? nullptr : std::make_shared<const Bytes>(std::move(all));
    (void)writer.append(message).ok();
  }

  void change(JournalWriter& writer, bool begin) {
    storing = GroupState{};
    storing.epoch.value = stored.epoch.value + 1 + random_() % 3;
    if (begin) {
      if (random_() % 2) {
        for (Life& life : lives)
          life.trimmed = life.last();
        asked_lives_gone = lives.size();
        writer.empty();
      }
      if (Status done = writer.commit(); done.ok())
        durable();
      else
        return;
      lives.push_back({StreamId{next_stream_}, 1 + random_() % 1000, 0, 0, {}, {}});
      next_stream_ += 1 + (1ULL << 32);
      writer.begin({lives.back().stream, lives.back().first});
    }
    store(writer);
  }

  void trim_and_store(JournalWriter& writer, bool all) {
    trim(writer, all);
    storing = stored;
    storing.epoch.value++;
    store(writer);
  }
  void trim_only(JournalWriter& writer) { trim(writer, false); }

  void trim(JournalWriter& writer, bool all) {
    // Only what is durable, as the owner would.
    for (std::size_t i = lives.size(); i-- > 0;) {
      Life& life = lives[i];
      if (life.durable < life.first || life.durable <= life.trimmed)
        continue;
      if (writer.segments().empty() || life.durable < writer.segments().front().first)
        continue;
      const auto held = std::find_if(writer.segments().begin(), writer.segments().end(),
                                     [&](const format::Segment& s) { return s.stream == life.stream; });
      if (held == writer.segments().end() || held->first > life.durable)
        continue;
      const Seq from = std::max(held->first, life.trimmed + 1);
      const Seq through = all ? life.durable : from + random_() % (life.durable - from + 1);
      life.trimmed = through;
      for (std::size_t j = 0; j < i; j++)
        lives[j].trimmed = lives[j].last();
      (void)writer.trim({life.stream, through}).ok();
      return;
    }
  }

  void store(JournalWriter& writer) {
    writer.set_state(storing);
    if (writer.store().ok()) {
      stored = storing;
      durable();
    }
  }

  void durable() {
    for (Life& life : lives)
      life.durable = life.last();
  }

  std::mt19937 random_;
  std::uint64_t next_stream_;
};

// The recovered journal against the model; afterwards the model is what was recovered.
void compare(const RecoveredJournal& found, Disk& disk, Driver& model) {
  const std::uint64_t epoch = found.superblock.state.epoch.value;
  ASSERT_TRUE(epoch == model.stored.epoch.value || epoch == model.storing.epoch.value)
      << epoch << " was never stored";
  const JournalArea control{&disk, format::control_area_offset, small_slots * sizeof(Record)};
  const JournalArea data{&disk, small_geometry().data_offset, small_data};
  const auto& segments = found.superblock.state.segments;
  std::vector<Life> left;
  std::uint64_t data_at = found.superblock.out_data;
  for (Life& life : model.lives) {
    const auto held = std::find_if(segments.begin(), segments.end(),
                                   [&](const format::Segment& s) { return s.stream == life.stream; });
    if (held == segments.end()) {
      ASSERT_TRUE(life.durable <= life.trimmed || life.durable < life.first) << "durable records are gone";
      continue;
    }
    const std::uint64_t end = std::next(held) == segments.end() ? found.in_slot : std::next(held)->first_slot;
    const Seq last = held->first + (end - held->first_slot) - 1;
    ASSERT_GE(last, life.durable) << "durable records are gone";
    ASSERT_LE(last, life.last()) << "records that were never appended";
    ASSERT_LE(held->first, std::max(life.trimmed + 1, life.first)) << "more was trimmed than asked for";
    for (Seq seq = held->first; seq <= last; seq++) {
      Record stored;
      ASSERT_TRUE(control.read((held->first_slot + (seq - held->first)) * sizeof stored,
                               std::as_writable_bytes(std::span(&stored, 1))));
      ASSERT_TRUE(check_slot(stored, {life.stream, seq}).ok());
      const Bytes& expected = life.data[seq - life.first];
      Bytes bytes(expected.size());
      if (stored.type != DMRC_FAILED) {
        ASSERT_EQ(stored.data_pos & format::data_pos_mask, data_at);
      }
      ASSERT_TRUE(data.read(data_at, bytes));
      ASSERT_EQ(bytes, expected) << "seq " << seq;
      data_at += bytes.size();
      restore_data_pos(stored);
      ASSERT_EQ(std::memcmp(&stored, &life.records[seq - life.first], sizeof stored), 0);
    }
    life.records.resize(last - life.first + 1);
    life.data.resize(life.records.size());
    life.durable = last;
    life.trimmed = std::max(life.trimmed, held->first - 1);
    left.push_back(std::move(life));
  }
  ASSERT_EQ(data_at, found.in_data);
  model.lives = std::move(left);
  model.stored = model.storing = GroupState{};
  model.stored.epoch.value = model.storing.epoch.value = epoch;
}

// One history: several lives of the machine, each ended by a power cut at operation `cut` (the first one) or
// anywhere.
void one_history(std::uint32_t seed, std::uint64_t cut, int lives, std::uint64_t* operations) {
  std::mt19937 random(seed);
  Bytes image = formatted_image();
  Driver model(seed, 1 + seed % 100);
  for (int life = 0; life <= lives; life++) {
    auto disk = std::make_shared<FaultDisk>(std::move(image));
    auto found = recover_journal(*disk);
    ASSERT_TRUE(found.ok()) << found.error().text();
    ASSERT_NO_FATAL_FAILURE(compare(*found, *disk, model)) << "life " << life;
    if (life == lives)
      return;
    disk->cut_at(life == 0 ? cut : random() % 200);
    auto writer = JournalWriter::open(disk, *found);
    if (writer.ok())
      model.run(**writer, *disk, 150);
    if (life == 0 && operations)
      *operations = disk->operations();
    image = disk->after_cut(random());
  }
}

TEST(JournalRecovery, PowerCutAtEveryOperationLosesNothingDurableAndInventsNothing) {
  std::uint64_t operations = 0;
  ASSERT_NO_FATAL_FAILURE(one_history(1, ~0ULL - 1, 1, &operations));
  ASSERT_GT(operations, 100u) << "the history is too short to mean anything";
  for (std::uint64_t cut = 0; cut < operations; cut++)
    ASSERT_NO_FATAL_FAILURE(one_history(1, cut, 1, nullptr)) << "cut at operation " << cut;
}

TEST(JournalRecovery, RandomHistoriesOfManyLives) {
  for (std::uint32_t seed = 100; seed < 140; seed++)
    ASSERT_NO_FATAL_FAILURE(one_history(seed, seed * 7 % 400, 4, nullptr)) << "seed " << seed;
}

// --- damage ------------------------------------------------------------------------------------------------

RecordsMessage writes(StreamId stream, Seq first, int count) {
  RecordsMessage message;
  message.stream = stream;
  Bytes all;
  for (int i = 0; i < count; i++) {
    Record record{};
    record.type = DMRC_WRITE;
    record.stream = static_cast<std::uint32_t>(stream.value);
    record.seq = first + static_cast<Seq>(i);
    record.length = 1024;
    const Bytes data(record.length, static_cast<std::byte>(record.seq));
    format::seal_record(record, data);
    append_bytes(all, data);
    message.records.push_back(record);
  }
  message.data = std::make_shared<const Bytes>(std::move(all));
  return message;
}

// Three commits of 4 records; the last superblock was written before the first of them.
std::shared_ptr<FaultDisk> three_commits() {
  auto disk = std::make_shared<FaultDisk>(formatted_image());
  auto writer = JournalWriter::open(disk, *recover_journal(*disk));
  (*writer)->begin({StreamId{5}, 1});
  EXPECT_TRUE((*writer)->store().ok());
  for (int i = 0; i < 3; i++) {
    EXPECT_TRUE((*writer)->append(writes(StreamId{5}, 1 + 4 * static_cast<Seq>(i), 4)).ok());
    EXPECT_TRUE((*writer)->commit().ok());
  }
  return disk;
}

std::size_t slot_at(std::uint64_t slot) { return format::control_area_offset + slot * sizeof(Record); }

TEST(JournalRecovery, DamageBehindTheLastCommitThatCanBeProvedIsATornEnd) {
  for (const std::size_t at : {slot_at(9) + 20, std::size_t(small_geometry().data_offset + 9 * 1024)}) {
    auto disk = three_commits();
    disk->image()[at] ^= std::byte{1};
    const auto found = recover_journal(*disk);
    ASSERT_TRUE(found.ok()) << found.error().text();
    EXPECT_EQ(found->in_slot, 9u);
    EXPECT_EQ(found->dropped_records, 2u);
  }
}

TEST(JournalRecovery, DamageBeforeALaterCommitIsCorruptionNotATornEnd) {
  for (const std::uint64_t record : {0, 3, 4, 7}) {
    for (const std::size_t at :
         {slot_at(record) + 20, std::size_t(small_geometry().data_offset + record * 1024 + 5)}) {
      auto disk = three_commits();
      disk->image()[at] ^= std::byte{1};
      const auto found = recover_journal(*disk);
      ASSERT_FALSE(found.ok()) << "record " << record;
      EXPECT_EQ(found.error().code, ErrorCode::Corrupt);
    }
  }
}

TEST(JournalRecovery, DamageBelowTheCheckedMarkIsCorruption) {
  auto disk = three_commits();
  ASSERT_TRUE(JournalWriter::open(disk, *recover_journal(*disk)).ok()); // stores a superblock: all is checked
  disk->image()[slot_at(11) + 20] ^= std::byte{1};
  const auto found = recover_journal(*disk);
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().code, ErrorCode::Corrupt);
  EXPECT_NE(found.error().text().find("slot 11"), std::string::npos) << found.error().text();
  EXPECT_FALSE(found.error().next.empty());
}

TEST(JournalRecovery, OneDamagedSuperblockIsSurvivedTwoAreNot) {
  auto disk = three_commits();
  const auto newest = read_superblock(*disk)->serial % 2;
  disk->image()[format::superblock_offset[newest] + 100] ^= std::byte{1};
  EXPECT_TRUE(read_superblock(*disk).ok());
  disk->image()[format::superblock_offset[1 - newest] + 100] ^= std::byte{1};
  EXPECT_EQ(read_superblock(*disk).error().code, ErrorCode::Corrupt);
}

TEST(JournalRecovery, ADiskThatBecameSmallerIsRefused) {
  auto disk = three_commits();
  FaultDisk smaller(Bytes(disk->image().begin(), disk->image().end() - 4096));
  EXPECT_EQ(recover_journal(smaller).error().code, ErrorCode::Corrupt);
}

} // namespace
} // namespace rc::io
