// SPDX-License-Identifier: GPL-2.0-or-later
// The applier against a model: bytes written one record after the other. A fake kernel checks the order mark,
// write, settle.
#include "io/applier.hpp"
#include "io/apply_plan.hpp"
#include "tests/unit/io/fault_disk.hpp"

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <gtest/gtest.h>

namespace rc::io {
namespace {

using format::Extent;
using format::Record;

constexpr std::uint32_t region_sectors = 64;
constexpr std::uint64_t volume_sectors = 1000; // the last region is a part of one

// A volume's backing device: any sector, any time.
class SectorDisk final : public Disk {
public:
  explicit SectorDisk(std::uint64_t sectors) : bytes_(sectors * 512) {}
  std::string name() const override { return "sector disk"; }
  std::uint64_t bytes() const override { return bytes_.size(); }
  std::uint32_t alignment() const override { return 512; }
  Status read(std::uint64_t offset, MutableByteView into) override {
    const std::lock_guard lock(mutex_);
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
    return {};
  }
  using Disk::write;
  Status write(std::uint64_t offset, std::span<const ByteView> pieces) override {
    const std::lock_guard lock(mutex_);
    if (fail_)
      return Error{ErrorCode::Failed, "sector disk: write: Input/output error", ""};
    for (const ByteView piece : pieces) {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(piece.data()) % 512, 0u);
      touched(offset, piece.size());
      std::copy(piece.begin(), piece.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
      offset += piece.size();
    }
    return {};
  }
  Status zero(std::uint64_t offset, std::uint64_t length, bool) override {
    const std::lock_guard lock(mutex_);
    touched(offset, length);
    std::fill_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), length, std::byte{0});
    return {};
  }
  Status flush() override { return {}; }

  std::set<std::uint64_t> open; // regions
  bool fail_ = false;
  Bytes bytes_;
  std::mutex mutex_;

private:
  void touched(std::uint64_t offset, std::uint64_t length) {
    for (std::uint64_t at = offset; at < offset + length; at += 512)
      EXPECT_TRUE(open.contains(at / 512 / region_sectors)) << "written before its region was opened";
  }
};

class FakeControl final : public VolumeControl {
public:
  std::map<VolumeNumber, std::shared_ptr<SectorDisk>> disks;
  struct Settled {
    Era era;
    bool whole;
  };
  std::map<VolumeNumber, std::map<std::uint64_t, Settled>> settled;
  bool redone = false;

  Status mark(VolumeNumber volume, std::span<const Extent> extents) override {
    EXPECT_TRUE(settled.empty());
    for (const Extent& extent : extents)
      for (std::uint64_t s = extent.sector; s < extent.sector + extent.sectors; s++)
        disks.at(volume)->open.insert(s / region_sectors);
    return {};
  }
  Status settle(VolumeNumber volume, std::span<const Extent> extents, bool redo) override {
    redone = redo;
    for (const Extent& extent : extents) {
      EXPECT_LE(extent.sector + extent.sectors, volume_sectors);
      const std::uint64_t last = (extent.sector + extent.sectors - 1) / region_sectors;
      for (std::uint64_t region = extent.sector / region_sectors; region <= last; region++) {
        const std::uint64_t begin = region * region_sectors;
        const bool whole =
            extent.sector <= begin &&
            extent.sector + extent.sectors >= std::min<std::uint64_t>(begin + region_sectors, volume_sectors);
        EXPECT_TRUE(settled[volume].try_emplace(region, Settled{extent.era, whole}).second);
      }
    }
    return {};
  }
  Status set_update(VolumeNumber, bool, Era) override { return {}; }
  Result<std::vector<Extent>> dirty(VolumeNumber, Era) override { return std::vector<Extent>{}; }
  Result<std::vector<VolumeInfo>> volumes() override { return std::vector<VolumeInfo>{}; }
};

class ApplierTest : public testing::Test {
protected:
  ApplierTest() {
    auto disk = std::make_shared<FaultDisk>(std::uint64_t{8} << 20);
    EXPECT_TRUE(Journal::format(*disk, {}, 1).ok());
    journal_ = std::move(*Journal::open(disk, context_.get_executor(), {}));
    for (const VolumeNumber volume : {1, 2}) {
      control_->disks[volume] = std::make_shared<SectorDisk>(volume_sectors);
      model_[volume].resize(volume_sectors * 512);
    }
    bool done = false;
    EXPECT_TRUE(
        journal_->store({}, {.trim = {}, .empty = false, .begin = {{stream_, 1}}}, [&] { done = true; })
            .ok());
    run_until([&] { return done; });
  }

  template <typename Condition> void run_until(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition() && std::chrono::steady_clock::now() < end) {
      context_.restart();
      context_.run_one_for(std::chrono::milliseconds(50));
    }
    ASSERT_TRUE(condition()) << "it did not happen within a minute";
  }

  void add(std::uint8_t type, VolumeNumber volume, std::uint64_t sector, std::uint32_t sectors, Era era) {
    Record record{};
    record.type = type;
    record.stream = static_cast<std::uint32_t>(stream_.value);
    record.seq = ++last_;
    record.volume = volume;
    record.sector = sector;
    record.length = sectors * 512;
    record.era = era.value;
    Bytes data(format::data_bytes(record));
    for (std::byte& byte : data)
      byte = static_cast<std::byte>(random_());
    format::seal_record(record, data);
    Bytes& model = model_[volume];
    total_bytes_ += record.length;
    for (std::size_t i = 0; i < record.length; i++)
      model[sector * 512 + i] = data.empty() ? std::byte{0} : data[i];
    format::RecordsMessage message{stream_, {record}, nullptr};
    if (!data.empty())
      message.data = std::make_shared<const Bytes>(std::move(data));
    ASSERT_TRUE(journal_->append(message).ok());
  }

  Result<ApplyResult> apply(bool redo = false, std::size_t window_bytes = 1 << 20) {
    run_until([&] { return journal_->durable(stream_) == last_; });
    const auto applier = Applier::create(context_.get_executor(),
                                         {.region_sectors = region_sectors, .window_bytes = window_bytes});
    Applier::Job job;
    job.journal = journal_;
    job.control = control_;
    for (const auto& [volume, disk] : control_->disks) {
      job.volumes[volume] = disk;
      job.volume_sectors[volume] = volume_sectors;
    }
    job.stream = stream_;
    job.last = last_;
    job.redo = redo;
    std::optional<Result<ApplyResult>> result;
    applier->apply(job, [&](Result<ApplyResult> done) { result = std::move(done); });
    run_until([&] { return result.has_value(); });
    return std::move(*result);
  }
  void expect_model() {
    for (const auto& [volume, disk] : control_->disks)
      EXPECT_TRUE(disk->bytes_ == model_[volume]) << "volume " << volume;
  }

  std::mt19937 random_{5};
  boost::asio::io_context context_;
  const StreamId stream_{0x77};
  Seq last_ = 0;
  std::uint64_t total_bytes_ = 0; // of all records
  std::shared_ptr<Journal> journal_;
  std::shared_ptr<FakeControl> control_ = std::make_shared<FakeControl>();
  std::map<VolumeNumber, Bytes> model_;
};

TEST_F(ApplierTest, RandomOverlappingRecordsGiveWhatOneAfterTheOtherWouldGive) {
  for (int i = 0; i < 600; i++) {
    static constexpr std::uint8_t types[] = {DMRC_WRITE, DMRC_WRITE,  DMRC_WRITE,
                                             DMRC_COPY,  DMRC_ZEROES, DMRC_DISCARD};
    const std::uint32_t sectors = 1 + random_() % 40;
    add(types[random_() % std::size(types)], static_cast<VolumeNumber>(1 + random_() % 2),
        random_() % (volume_sectors - sectors), sectors, Era::of(1, 1 + static_cast<std::uint64_t>(i) / 100));
  }
  const auto result = apply(false, 64 << 10); // many windows
  ASSERT_TRUE(result.ok()) << result.error().text();
  expect_model();
  EXPECT_EQ(result->records, 600u);
  EXPECT_LT(result->written_bytes, total_bytes_) << "what was overwritten is not written";
}

TEST_F(ApplierTest, AppliedAgainItIsTheSame) {
  for (int i = 0; i < 50; i++)
    add(DMRC_WRITE, 1, random_() % 900, 1 + random_() % 64, Era::of(1, 1));
  ASSERT_TRUE(apply().ok());
  control_->settled.clear();
  ASSERT_TRUE(apply(true).ok());
  EXPECT_TRUE(control_->redone);
  expect_model();
}

TEST_F(ApplierTest, RegionsAreClosedWithTheHighestEraAndOnlyWhatIsWholeIsCalledWhole) {
  add(DMRC_WRITE, 1, 0, 8, Era::of(1, 5));   // part of region 0
  add(DMRC_COPY, 1, 64, 64, Era::of(1, 2));  // region 1 whole, by a copy
  add(DMRC_WRITE, 1, 70, 8, Era::of(1, 7));  // ... and a write into it
  add(DMRC_COPY, 1, 128, 32, Era::of(1, 3)); // region 2 in two halves
  add(DMRC_COPY, 1, 160, 32, Era::of(1, 3));
  add(DMRC_WRITE, 1, 192 + 8, 8, Era::of(1, 9));               // region 3: a part, not its first sectors
  add(DMRC_ZEROES, 2, volume_sectors - 40, 40, Era::of(2, 1)); // the last, shorter region
  const auto result = apply(false, 16 << 10);
  ASSERT_TRUE(result.ok()) << result.error().text();
  const auto& one = control_->settled[1];
  ASSERT_EQ(one.size(), 4u);
  EXPECT_EQ(one.at(0).era, Era::of(1, 5));
  EXPECT_FALSE(one.at(0).whole);
  EXPECT_EQ(one.at(1).era, Era::of(1, 7));
  EXPECT_TRUE(one.at(1).whole);
  EXPECT_EQ(one.at(2).era, Era::of(1, 3));
  EXPECT_TRUE(one.at(2).whole);
  EXPECT_EQ(one.at(3).era, Era::of(1, 9));
  EXPECT_FALSE(one.at(3).whole);
  EXPECT_TRUE(control_->settled[2].at(15).whole);
  EXPECT_EQ(result->regions, 5u);
}

TEST_F(ApplierTest, ARecordBeyondItsVolumeOrOfNoVolumeIsCorruptAndSettlesNothing) {
  add(DMRC_WRITE, 1, 0, 8, Era::of(1, 1));
  model_[3].resize(1 << 20);
  add(DMRC_WRITE, 3, 0, 8, Era::of(1, 1));
  EXPECT_EQ(apply().error().code, ErrorCode::Corrupt);
  EXPECT_TRUE(control_->settled.empty());
}

TEST_F(ApplierTest, AFailedWriteSettlesNothing) {
  add(DMRC_WRITE, 1, 0, 8, Era::of(1, 1));
  control_->disks[1]->fail_ = true;
  EXPECT_FALSE(apply().ok());
  EXPECT_TRUE(control_->settled.empty());
  control_->disks[1]->fail_ = false;
  EXPECT_TRUE(apply(true).ok());
  expect_model();
}

} // namespace
} // namespace rc::io
