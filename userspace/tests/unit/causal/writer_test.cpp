// SPDX-License-Identifier: GPL-2.0-or-later
// The whole tool on files: write, then verify copies as replicators would leave them.
#include "causal/report.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

using namespace rc;
using namespace rc::causal;
namespace fs = std::filesystem;

namespace {

class Writer : public testing::Test {
protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "rc-causal-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string device(const std::string& name, std::uint64_t bytes = 1 << 20) const {
    std::ofstream(path(name)).close();
    fs::resize_file(path(name), bytes);
    return path(name);
  }
  WriteOptions options() const {
    WriteOptions options;
    options.devices = {path("a"), path("b")};
    options.log = path("log");
    options.queue_depth = 2;
    options.count = 3000;
    options.direct = false; // the temporary folder may be a tmpfs
    return options;
  }
  static AckLog read_log(const std::vector<std::string>& paths) {
    std::vector<std::vector<LogSection>> logs;
    for (const std::string& path : paths)
      logs.push_back(*parse_log(*read_whole_file(path)));
    return *join_logs(logs, 0);
  }
  static VerifyResult verify(const AckLog& log, const std::vector<std::string>& devices,
                             VerifyOptions options = {}) {
    Image image(log.shape);
    for (std::uint32_t i = 0; i < devices.size(); i++) {
      options.devices.push_back({i, devices[i]});
      const Status status = read_device(devices[i], i, image);
      EXPECT_TRUE(status) << status.error().text();
    }
    const VerifyResult result = judge(image, &log, options);
    options.json = true;
    EXPECT_FALSE(verify_report(result, image, &log, options).empty());
    options.json = false;
    EXPECT_FALSE(verify_report(result, image, &log, options).empty());
    return result;
  }
  // What a replicator that loses one block does: the copy keeps what was there before (`from` is the old
  // image).
  void copy_block(const std::string& from, const std::string& to, std::uint64_t offset,
                  std::size_t bytes) const {
    std::vector<char> data(bytes);
    std::ifstream in(path(from), std::ios::binary);
    in.seekg(static_cast<long>(offset));
    in.read(data.data(), static_cast<long>(bytes));
    std::fstream out(path(to), std::ios::binary | std::ios::in | std::ios::out);
    out.seekp(static_cast<long>(offset));
    out.write(data.data(), static_cast<long>(bytes));
  }

  fs::path folder_;
  std::atomic<bool> stop_ = false;
};

} // namespace

TEST_F(Writer, everything_written_is_there) {
  device("a");
  device("b");
  WriteOptions write = options();
  write.sizes = 0b1001001; // 512, 4096, 32768
  write.fsync_every = 50;
  const auto summary = run_writer(write, stop_);
  ASSERT_TRUE(summary) << summary.error().text();
  EXPECT_EQ(summary->stats.writes, 3000u);
  VerifyOptions all;
  all.acknowledged_all = true;
  all.min_contained = 3000;
  const AckLog log = read_log({path("log")});
  const VerifyResult result = verify(log, {path("a"), path("b")}, all);
  EXPECT_TRUE(result.good);
  EXPECT_EQ(result.verdict.acknowledged, 3000u);
  EXPECT_EQ(result.verdict.contained, 3000u);
  std::size_t flushed = 0;
  for (const Completion& done : log.completions)
    flushed += done.flushed;
  EXPECT_GT(flushed, 30u);
  all.min_contained = 3001;
  EXPECT_FALSE(verify(log, {path("a"), path("b")}, all).good);

  const auto found = discover({path("b"), path("a")}, 0);
  ASSERT_TRUE(found);
  EXPECT_EQ(*found, log.shape);
}

TEST_F(Writer, a_copy_that_lacks_one_block_is_refuted_with_and_without_the_log) {
  device("a");
  device("b");
  const WriteOptions write = options();
  ASSERT_TRUE(run_writer(write, stop_));
  fs::copy_file(path("a"), path("old"));
  WriteOptions again = write;
  again.seed = 2;
  again.log = path("log2");
  ASSERT_TRUE(run_writer(again, stop_));
  const AckLog log = read_log({path("log2")});
  EXPECT_TRUE(verify(log, {path("a"), path("b")}).good);
  fs::copy_file(path("a"), path("whole"));
  std::size_t refuted = 0;
  for (std::uint32_t slot = 0; slot < log.shape.span; slot++) {
    copy_block("old", "a", log.shape.offset_of(slot), 4096);
    refuted += !verify(log, {path("a"), path("b")}).verdict.causal();
    copy_block("whole", "a", log.shape.offset_of(slot), 4096);
  }
  EXPECT_GT(refuted, log.shape.span - 10u); // all but the last writes of the lanes

  copy_block("old", "a", 0, 512); // a torn block
  const VerifyResult torn = verify(log, {path("a"), path("b")});
  EXPECT_FALSE(torn.good);
}

TEST_F(Writer, devices_in_the_wrong_order_are_a_usage_error) {
  device("a");
  device("b");
  ASSERT_TRUE(run_writer(options(), stop_));
  Image image(read_log({path("log")}).shape);
  const Status status = read_device(path("b"), 0, image);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::Usage);
}

TEST_F(Writer, limits_rate_and_time_and_stops_when_told) {
  device("a");
  device("b");
  WriteOptions write = options();
  write.count = 0;
  write.rate = 500;
  write.seconds = 0.5;
  auto summary = run_writer(write, stop_);
  ASSERT_TRUE(summary);
  EXPECT_LE(summary->stats.writes, 251u);
  EXPECT_GE(summary->stats.writes, 10u);
  write.seconds = 0;
  stop_ = true;
  summary = run_writer(write, stop_);
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->stats.writes, 0u);
}

TEST_F(Writer, refuses_what_cannot_work_before_it_writes) {
  device("a");
  device("b", 1024);
  WriteOptions write = options();
  write.span_bytes = 1 << 20;
  EXPECT_EQ(run_writer(write, stop_).error().code, ErrorCode::Usage);
  write.span_bytes = 0; // 1024 bytes hold no block of 4096
  EXPECT_EQ(run_writer(write, stop_).error().code, ErrorCode::Usage);
  EXPECT_FALSE(fs::exists(path("log")));
  write.devices.push_back(path("none"));
  EXPECT_EQ(run_writer(write, stop_).error().code, ErrorCode::NotFound);
}

TEST_F(Writer, an_error_of_the_log_ends_the_run) {
  device("a");
  device("b");
  WriteOptions write = options();
  write.log = "/dev/full";
  const auto summary = run_writer(write, stop_);
  ASSERT_FALSE(summary);
  EXPECT_EQ(summary.error().code, ErrorCode::Full);
}

// A limit on file sizes makes every write above it fail, as a failing device would.
TEST_F(Writer, a_failed_write_ends_the_run_or_is_repeated_until_it_succeeds) {
  device("a");
  device("b");
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit limited{512 << 10, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limited), 0);
  const auto stopped = run_writer(options(), stop_);
  EXPECT_FALSE(stopped);
  const AckLog log = read_log({path("log")});
  EXPECT_LT(log.completions.size(), 3000u);

  WriteOptions write = options();
  write.retry_errors = true;
  write.seed = 2;
  write.log = path("log2");
  std::thread repair([&] {
    // The run cannot end before this: half of its places fail until then.
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
    ::setrlimit(RLIMIT_FSIZE, &before);
  });
  const auto summary = run_writer(write, stop_);
  repair.join();
  ASSERT_TRUE(summary) << summary.error().text();
  EXPECT_GT(summary->retried, 0u);
  EXPECT_EQ(summary->stats.writes, 3000u);
  VerifyOptions all;
  all.acknowledged_all = true;
  EXPECT_TRUE(verify(read_log({path("log2")}), {path("a"), path("b")}, all).good);
}

// Two hosts that tell each other what they know: losing the whole tail of one host is found by the other's
// blocks.
TEST_F(Writer, hosts_depend_on_each_other_through_messages) {
  for (const char* name : {"a", "b", "c", "d"})
    device(name);
  WriteOptions first = options();
  first.hosts = 2;
  first.run = 0x77;
  first.rate = 2000;
  first.listen = {"unix:" + path("s0")};
  first.peers = {"unix:" + path("s1")};
  WriteOptions second = first;
  second.host = 1;
  second.devices = {path("c"), path("d")};
  second.log = path("log1");
  second.listen = {"unix:" + path("s1")};
  second.peers = {"unix:" + path("s0")};
  fs::copy_file(path("a"), path("old"));
  std::optional<Result<WriteSummary>> other;
  std::thread thread([&] { other.emplace(run_writer(second, stop_)); });
  const auto summary = run_writer(first, stop_);
  thread.join();
  ASSERT_TRUE(summary && other->ok());
  EXPECT_GT(summary->messages_received, 0u);
  EXPECT_GT((*other)->messages_received, 0u);

  const AckLog log = read_log({path("log"), path("log1")});
  VerifyOptions all;
  all.acknowledged_all = true;
  EXPECT_TRUE(verify(log, {path("a"), path("b"), path("c"), path("d")}, all).good);
  // Without host 0's own devices its writes are still demanded by host 1's blocks.
  const VerifyResult lost = verify(log, {path("old"), path("old"), path("c"), path("d")});
  EXPECT_FALSE(lost.verdict.causal());
  EXPECT_GT(lost.verdict.missing, 100u);
  EXPECT_EQ(lost.verdict.lost, 3000u);
}
