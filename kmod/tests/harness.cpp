// SPDX-License-Identifier: GPL-2.0-or-later
// Rigs, writers and the registry.
#include "harness.hpp"

#include "debug.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <linux/fs.h>
#include <sstream>
#include <sys/ioctl.h>
#include <unistd.h>

namespace kt {

std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

std::string missing(Needs needs) {
  if (needs == Needs::TwoCpus && sysconf(_SC_NPROCESSORS_ONLN) < 2)
    return "a race between CPUs, and this machine has one";
  if (needs == Needs::FaultInjection && !has_fault_injection())
    return "this kernel has no fault injection";
  if (needs == Needs::BadBlocks && errno_of_device("dusty", 8, "dust", data_disk(0) + " 0 512"))
    return "this kernel has no dm-dust";
  if (needs == Needs::Programs && access("/bin/fio", X_OK))
    return "fio and file systems are not in this machine";
  if (needs == Needs::Swap && access("/proc/swaps", R_OK))
    return "this kernel has no swap";
  if (needs == Needs::Culprit && access("/culprit.ko", R_OK))
    return "this kernel has no debugging that could be controlled";
  return "";
}

std::string data_disk(unsigned i) { return "/dev/ram" + std::to_string(2 * i); }
std::string meta_disk(unsigned i) { return "/dev/ram" + std::to_string(2 * i + 1); }

std::string params(const std::string& data, const std::string& meta, const std::string& group, unsigned volume,
                   const std::string& args) {
  std::istringstream words(args);
  std::string one;
  unsigned count = 0;
  while (words >> one)
    count++;
  return data + " " + meta + " " + group + " " + std::to_string(volume) + " " + std::to_string(count) + " " + args;
}

Rig::Rig(const std::string& group_name, unsigned count, const std::string& arguments, uint64_t volume_sectors,
         const std::string& data)
    : group(group_name), args(arguments), first_data(data), sectors(volume_sectors) {
  for (unsigned i = 0; i < count; i++) {
    if (i || data.empty())
      zero(data_disk(i), sectors * kSector);
    zero(meta_disk(i), kMiB);
    devices.push_back(std::make_unique<Device>(group + "-" + std::to_string(i), sectors, "remotecopy", params_of(i)));
  }
}

std::string Rig::params_of(unsigned i, const std::string& other_args) const {
  const std::string data = i || first_data.empty() ? data_disk(i) : first_data;
  return params(data, meta_disk(i), group, i, other_args.empty() ? args : other_args);
}

Replicas Rig::replicas() const {
  Replicas r;
  for (unsigned i = 0; i < devices.size(); i++)
    r[i] = Replica(sectors * kSector);
  return r;
}

void Rig::must_equal(const Replicas& replicas) {
  for (unsigned i = 0; i < devices.size(); i++) {
    auto content = Disk(devices[i]->path()).content(sectors * kSector);
    uint64_t wrong = 0, first = 0;
    for (uint64_t s = 0; s < sectors; s++)
      if (memcmp(&content[s * kSector], &replicas.at(i)[s * kSector], kSector) && !wrong++)
        first = s;
    if (wrong)
      fail("volume " + std::to_string(i) + ": " + std::to_string(wrong) + " sectors differ, the first is " +
           std::to_string(first));
  }
}

Writers::Writers(const std::string& path, Options options) : disk_(path), options_(options) {
  for (unsigned i = 0; i < options_.threads; i++)
    buffers_.push_back(std::make_unique<Buffer>(options_.max_blocks * kSector + 4096));
  for (unsigned i = 0; i < options_.threads; i++)
    threads_.emplace_back([this, i] { run(i); });
  if (options_.scribble)
    threads_.emplace_back([this] {
      for (uint64_t x = 1; !stop_; x = x * 6364136223846793005 + 1442695040888963407) {
        auto& b = *buffers_[(x >> 33) % buffers_.size()];
        auto* words = reinterpret_cast<volatile uint64_t*>(b.data());
        words[(x >> 20) % (b.bytes() / 8)] = x;
      }
    });
}

Writers::~Writers() {
  stop_ = true;
  for (auto& t : threads_)
    if (t.joinable())
      t.join();
}

uint64_t Writers::stop() {
  stop_ = true;
  for (auto& t : threads_)
    t.join();
  threads_.clear();
  if (!error_.empty())
    fail("writer: " + error_);
  return done_;
}

void Writers::run(unsigned index) try {
  std::mt19937_64 random(options_.seed * 1000 + index);
  Buffer& buffer = *buffers_[index];
  uint64_t count = 0;
  while (!stop_) {
    if (options_.pace && count % 4 == 0)
      while (!stop_ && options_.pace->state().data_used > options_.pace->attached().data_bytes / 2)
        usleep(200);
    uint64_t length = (random() % options_.max_blocks + 1) * kSector;
    uint64_t offset = random() % ((options_.span - length) / kSector + 1) * kSector;
    double begin = now_s();
    if (options_.discards && random() % 8 == 0) {
      uint64_t range[2] = {offset, length};
      if (ioctl(disk_.fd(), BLKDISCARD, range))
        fail_errno("discard");
    } else {
      for (uint64_t i = 0; i < length / 8; i += 8)
        reinterpret_cast<volatile uint64_t*>(buffer.data())[i] = random();
      disk_.write(buffer.data(), length, offset);
    }
    if (options_.fsync && random() % 64 == 0)
      disk_.flush();
    uint64_t ms = (now_s() - begin) * 1000;
    if (ms > slowest_ms_)
      slowest_ms_ = ms;
    done_++;
    count++;
    if (options_.pause_us)
      usleep(options_.pause_us);
  }
} catch (const std::exception& e) {
  std::lock_guard lock(mutex_);
  error_ = e.what();
}

namespace {
const char* const kMutation = "/sys/module/dm_remotecopy/parameters/mutation";
}

std::future<int> write_later(const std::string& path, uint64_t block, int& latency_ms, uint64_t bytes) {
  return std::async(std::launch::async, [path, block, &latency_ms, bytes] {
    Disk disk(path);
    Buffer buffer(bytes);
    memset(buffer.data(), 0x33, bytes);
    double begin = now_s();
    int error = disk.try_write(buffer.data(), bytes, block * 4096);
    latency_ms = (now_s() - begin) * 1000;
    return error;
  });
}

bool done(std::future<int>& write) {
  return write.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

Mutation::Mutation(const std::string& name) { write_file(kMutation, name); }
Mutation::~Mutation() { write_file(kMutation, "none"); }

void must_be_caught(const std::string& mutation, int rounds, const std::function<void()>& body) {
  Mutation on(mutation);
  for (int i = 0; i < rounds; i++) {
    try {
      body();
    } catch (const Failure& caught) {
      printf("  %s caught in round %d: %s\n", mutation.c_str(), i + 1, caught.what());
      return;
    }
  }
  fail("the deliberate fault " + mutation + " was not noticed: this test cannot fail");
}

std::string word(const std::string& line, unsigned index) {
  std::istringstream words(line);
  std::string one;
  for (unsigned i = 0; i <= index; i++)
    if (!(words >> one))
      fail("no word " + std::to_string(index) + " in: " + line);
  return one;
}

void expect_errno(int got, int wanted, const std::string& what) {
  if (got != wanted)
    fail(what + ": expected '" + strerror(wanted) + "', got '" + strerror(got) + "'");
}

} // namespace kt
