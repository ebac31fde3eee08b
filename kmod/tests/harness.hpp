// SPDX-License-Identifier: GPL-2.0-or-later
// What the tests share: the registry, volumes on RAM disks, writers. A test is a function that throws when a sentence
// of the design is not true. A mutant test must see its rig fail: it is the control that the test can fail at all.
#pragma once

#include "agent.hpp"

#include <future>
#include <memory>
#include <random>

namespace kt {

using Replicas = std::map<uint16_t, Replica>;

// What a machine must have for a test to be able to fail there; elsewhere the test is skipped, with the reason.
enum class Needs { Nothing, TwoCpus, FaultInjection, BadBlocks, Programs, Swap, Culprit };

struct Test {
  const char* name;
  void (*run)();
  Needs needs;
};
std::vector<Test>& tests();
struct Register {
  Register(const char* name, void (*run)(), Needs needs) { tests().push_back({name, run, needs}); }
};
#define KT_TEST_THAT(name, needs)                                                                              \
  static void name();                                                                                         \
  static const kt::Register register_##name(#name, name, needs);                                              \
  static void name()
#define KT_TEST(name) KT_TEST_THAT(name, kt::Needs::Nothing)
// Shows a race between CPUs.
#define KT_TEST_SMP(name) KT_TEST_THAT(name, kt::Needs::TwoCpus)
// Lets the kernel's allocations and bios fail one by one.
#define KT_TEST_FAULTS(name) KT_TEST_THAT(name, kt::Needs::FaultInjection)
// Runs fio, or makes, mounts and checks file systems.
#define KT_TEST_PROGRAMS(name) KT_TEST_THAT(name, kt::Needs::Programs)

// A control of the lane itself: it makes the kernel complain, so it runs behind all other tests (after a first report
// lockdep is off).
#define KT_CONTROL(name) KT_TEST_THAT(name, kt::Needs::Culprit)

// Why this machine can't run the test, or nothing.
std::string missing(Needs needs);

constexpr uint64_t kVolumeBytes = 16 * kMiB;
constexpr uint64_t kVolumeSectors = kVolumeBytes / kSector;
constexpr const char* kArgs = "ring_mib 4 region_kib 64";

std::string data_disk(unsigned i); // RAM disks
std::string meta_disk(unsigned i);
// Table parameters: "<data> <meta> <group> <volume> <#args> <args>".
std::string params(const std::string& data, const std::string& meta, const std::string& group, unsigned volume,
                   const std::string& args = kArgs);

// `count` volumes of one group on blank RAM disks.
struct Rig {
  explicit Rig(const std::string& group, unsigned count = 1, const std::string& args = kArgs,
               uint64_t sectors = kVolumeSectors, const std::string& first_data = "");
  Device& device(unsigned i = 0) { return *devices.at(i); }
  std::string params_of(unsigned i = 0, const std::string& other_args = "") const;
  Replicas replicas() const; // blank ones
  // Throws when a volume's disk and its replica differ.
  void must_equal(const Replicas& replicas);

  std::string group, args, first_data; // instead of a blank RAM disk under the first volume
  uint64_t sectors;
  std::vector<std::unique_ptr<Device>> devices;
};

// Writes from several threads until stopped, each with random place, length and content.
class Writers {
public:
  struct Options {
    unsigned threads = 4;
    uint64_t span = kVolumeBytes; // bytes from the start that are written
    unsigned max_blocks = 16;     // of 512 bytes
    bool scribble = false;        // another thread changes the buffers while they are written
    int pause_us = 0;
    bool discards = false; // some among them
    bool fsync = false;  // sometimes
    Agent* pace = nullptr; // wait while its ring is more than half full, so that nothing is lost
    uint64_t seed = 1;
  };
  Writers(const std::string& path, Options options);
  ~Writers();
  uint64_t stop(); // returns how many writes completed
  uint64_t done() const { return done_; }
  double slowest() const { return slowest_ms_ / 1e3; }

private:
  void run(unsigned index);
  Disk disk_;
  Options options_;
  std::vector<std::unique_ptr<Buffer>> buffers_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> done_{0};
  std::atomic<uint64_t> slowest_ms_{0};
  std::mutex mutex_;
  std::string error_;
  std::vector<std::thread> threads_;
};

// One write of `bytes` at the block of 4 KiB in another thread; the result is its errno.
std::future<int> write_later(const std::string& path, uint64_t block, int& latency_ms, uint64_t bytes = 4096);
bool done(std::future<int>& write);

// Turns a deliberate fault of the test build on while it lives.
struct Mutation {
  explicit Mutation(const std::string& name);
  ~Mutation();
};
// Runs `body` with the mutation up to `rounds` times; fails unless it threw once.
void must_be_caught(const std::string& mutation, int rounds, const std::function<void()>& body);

std::string word(const std::string& line, unsigned index);
void expect_errno(int got, int wanted, const std::string& what);

} // namespace kt
