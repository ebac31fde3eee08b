// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/block_device.hpp"
#include "io/journal.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

namespace rc::io {
namespace {

class BlockDeviceTest : public testing::Test {
protected:
  BlockDeviceTest() {
    std::string name = testing::TempDir() + "rc-disk-XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  ~BlockDeviceTest() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::filesystem::path folder_;
};

TEST_F(BlockDeviceTest, AFileIsMadeWithItsSpaceAndKeepsWhatIsWritten) {
  auto disk = open_disk(path("journal"), {.writable = true, .exclusive = true, .create_bytes = 1 << 20});
  ASSERT_TRUE(disk.ok()) << disk.error().text();
  EXPECT_EQ((*disk)->bytes(), 1u << 20);
  AlignedBuffer one(4096), two(8192), back(12288);
  std::memset(one.data(), 1, one.size());
  std::memset(two.data(), 2, two.size());
  const ByteView pieces[] = {one.view(), two.view()};
  ASSERT_TRUE((*disk)->write(4096, pieces).ok());
  ASSERT_TRUE((*disk)->flush().ok());
  ASSERT_TRUE((*disk)->read(4096, back.view()).ok());
  EXPECT_EQ(std::memcmp(back.data(), one.data(), 4096), 0);
  EXPECT_EQ(std::memcmp(back.data() + 4096, two.data(), 8192), 0);
  ASSERT_TRUE((*disk)->zero(8192, 4096, true).ok());
  ASSERT_TRUE((*disk)->read(4096, back.view()).ok());
  EXPECT_EQ(back.data()[4095], std::byte{1});
  EXPECT_EQ(back.data()[4096], std::byte{0});
  EXPECT_EQ(back.data()[8192], std::byte{2});
}

TEST_F(BlockDeviceTest, OnlyOneMayHaveItExclusively) {
  auto first = open_disk(path("j"), {.writable = true, .exclusive = true, .create_bytes = 8192});
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(open_disk(path("j"), {.writable = true, .exclusive = true}).error().code, ErrorCode::Refused);
  first->reset();
  EXPECT_TRUE(open_disk(path("j"), {.writable = true, .exclusive = true}).ok());
}

TEST_F(BlockDeviceTest, ReadingBeyondTheEndAndAMissingFileAreErrors) {
  EXPECT_EQ(open_disk(path("none")).error().code, ErrorCode::NotFound);
  EXPECT_EQ(open_disk(folder_.string()).error().code, ErrorCode::Usage);
  auto disk = open_disk(path("j"), {.create_bytes = 8192});
  AlignedBuffer buffer(4096);
  EXPECT_FALSE((*disk)->read(8192, buffer.view()).ok());
}

TEST_F(BlockDeviceTest, ProbeTellsBlankFromUsed) {
  { std::ofstream(path("blank")) << std::string(1 << 20, '\0'); }
  const auto blank = probe(path("blank"));
  ASSERT_TRUE(blank.ok()) << blank.error().text();
  EXPECT_TRUE(blank->blank);
  EXPECT_FALSE(blank->block_device);
  EXPECT_EQ(blank->bytes, 1u << 20);

  std::string swap(1 << 20, '\0'); // a swap area: page size 4096, version 1
  swap.replace(4096 - 10, 10, "SWAPSPACE2");
  swap[1024] = 1;
  swap[1028] = 100;
  { std::ofstream(path("swap")) << swap; }
  const auto used = probe(path("swap"));
  ASSERT_TRUE(used.ok()) << used.error().text();
  EXPECT_FALSE(used->blank);
  EXPECT_NE(used->content.find("swap"), std::string::npos) << used->content;

  std::string unknown(1 << 20, '\0');
  unknown.back() = 'x';
  { std::ofstream(path("unknown")) << unknown; }
  const auto data = probe(path("unknown"));
  ASSERT_TRUE(data.ok());
  EXPECT_FALSE(data->blank) << "data without a signature is data too";
  EXPECT_TRUE(data->content.empty());
}

TEST_F(BlockDeviceTest, AJournalIsKnownAlsoWhenItIsFreshAndItsFirstSlotIsStillBlank) {
  auto disk = open_disk(path("j"), {.create_bytes = format::journal_bytes_min});
  ASSERT_TRUE(disk.ok()) << disk.error().text();
  ASSERT_TRUE(Journal::format(**disk, {}, 1).ok());
  const auto probed = probe(path("j"));
  ASSERT_TRUE(probed.ok());
  EXPECT_FALSE(probed->blank);
  EXPECT_EQ(probed->content, "a remotecopy journal");
}

} // namespace
} // namespace rc::io
