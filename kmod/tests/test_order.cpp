// SPDX-License-Identifier: GPL-2.0-or-later
// Slow disks: what waits for what, and what doesn't; what a region costs; life and memory.
#include "debug.hpp"
#include "harness.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <future>
#include <sstream>
#include <sys/syscall.h>
#include <unistd.h>

using namespace kt;

namespace {

constexpr int kDelayMs = 600;

// A volume over a disk that delays reads or writes.
struct SlowRig {
  explicit SlowRig(const std::string& group, int read_ms, int write_ms) {
    zero(data_disk(0), kVolumeBytes);
    zero(meta_disk(0), kMiB);
    lower = std::make_unique<Device>(group + "-slow", kVolumeSectors, "delay",
                                     data_disk(0) + " 0 " + std::to_string(read_ms) + " " + data_disk(0) + " 0 " +
                                         std::to_string(write_ms));
    volume = std::make_unique<Device>(group + "-0", kVolumeSectors, "remotecopy",
                                      params(lower->path(), meta_disk(0), group, 0));
  }
  std::unique_ptr<Device> lower, volume;
};

std::future<int> write_later(const std::string& path, uint64_t block, uint8_t fill) {
  return std::async(std::launch::async, [=] {
    Disk disk(path);
    Buffer buffer(4096);
    memset(buffer.data(), fill, 4096);
    return disk.try_write(buffer.data(), 4096, block * 4096);
  });
}

uint64_t writes_of(const Device& device) {
  std::istringstream line(read_file("/sys/block/" + device.path().substr(5) + "/stat"));
  uint64_t field = 0;
  for (int i = 0; i < 5; i++)
    line >> field;
  return field;
}

} // namespace

// A write that was under way without a record when the stream began: its region is dirty, a copy comes after it.
KT_TEST(stream_begins_during_unrecorded_writes) {
  SlowRig rig("begin", 0, kDelayMs);
  auto write = write_later(rig.volume->path(), 40, 0x44);
  sleep_ms(kDelayMs / 3);
  Agent agent("begin");
  uint64_t era = agent.start();
  bool dirty = false;
  for (const auto& e : agent.dirty(0, era - 1))
    dirty |= e.sector <= 320 && 320 < e.sector + e.sectors && e.era == DMRC_ERA_OPEN;
  check(dirty, "the region of a write under way is not dirty");
  check(write.wait_for(std::chrono::seconds(0)) != std::future_status::ready, "the rig is too quick");
  check(!agent.try_copy(0, 256, 128), "the copy");
  auto later = write_later(rig.volume->path(), 41, 0x55); // waits for the copy, is recorded after it
  check(write.get() == 0 && later.get() == 0, "a write failed");
  await(5, "both records", [&] { return agent.state().committed >= 2; });
  const dmrc_record* r = agent.next();
  check(r && r->type == DMRC_COPY, "the copy doesn't come first");
  check(agent.data(*r)[8 * 4096] == 0x44 && agent.data(*r)[9 * 4096] == 0, "the copy's data");
  r = agent.next();
  check(r && r->type == DMRC_WRITE && agent.data(*r)[0] == 0x55, "the later write");
}

// A copy whose read is slow delays no write to other regions, and their records come before it.
KT_TEST(slow_copies_delay_no_live_write) {
  SlowRig rig("slowread", kDelayMs, 0);
  Agent agent("slowread");
  agent.start();
  Disk disk(rig.volume->path());
  Buffer buffer(4096);
  disk.write(buffer.data(), 4096, 0);
  for (int i = 0; i < 8; i++)
    check(!agent.try_copy(0, (i + 1) * 128, 128), "a copy");
  dmrc_put end{DMRC_END_OF_COPYING, 1, 0};
  expect_errno(agent.try_ioctl(DMRC_IOC_PUT, &end), EAGAIN, "an end of copying in front of its copies");
  double begin = now_s(), slowest = 0;
  for (int i = 0; i < 50; i++) {
    double one = now_s();
    disk.write(buffer.data(), 4096, 0);
    slowest = std::max(slowest, now_s() - one);
  }
  check(slowest < kDelayMs / 2000.0 && now_s() - begin < kDelayMs / 1000.0, "writes waited for a copy");
  int writes = 0, copies = 0;
  await(5, "the copies", [&] {
    while (const dmrc_record* r = agent.next()) {
      check(r->type != DMRC_WRITE || !copies, "a live record lies behind a copy");
      (r->type == DMRC_WRITE ? writes : copies)++;
    }
    return copies == 8;
  });
  check(writes == 51, "records of the writes");
  agent.free_read();
  check(!agent.try_ioctl(DMRC_IOC_PUT, &end), "the end of copying");
}

// Writes that never pause can't keep a copy of their region waiting: those that come after it wait for it.
KT_TEST(copies_of_busy_regions_do_not_starve) {
  SlowRig rig("busy", 0, 40);
  Agent agent("busy");
  agent.start();
  Replicas replicas;
  replicas[0] = Replica(kVolumeBytes);
  std::atomic<int> copies{0};
  Reader reader(agent, replicas, [&](const dmrc_record& r) { copies += r.type == DMRC_COPY; });
  Writers::Options o;
  o.threads = 8;
  o.span = 65536;
  o.max_blocks = 4;
  Writers writers(rig.volume->path(), o);
  sleep_ms(200);
  for (int i = 1; i <= 5; i++) {
    check(!agent.try_copy(0, 0, 128), "a copy");
    await(2, "a copy of a busy region", [&] { return copies == i; });
  }
  check(writers.stop() > 40, "too few writes");
  reader.stop();
  check(Disk(rig.volume->path()).content(kVolumeBytes) == replicas[0], "disk and replica differ");
}

KT_TEST(copy_slots_are_bounded_and_come_back) {
  Rig rig("slots");
  Agent agent("slots");
  agent.start();
  unsigned slots = agent.attached().copy_slots;
  for (unsigned i = 0; i < slots; i++)
    check(!agent.try_copy(0, i * 128, 128), "a copy");
  expect_errno(agent.try_copy(0, slots * 128, 128), EAGAIN, "one more than there are slots");
  await(5, "the copies", [&] { return agent.state().committed == slots; });
  expect_errno(agent.try_copy(0, slots * 128, 128), EAGAIN, "a slot that isn't freed");
  while (agent.next())
    ;
  agent.free_to(1);
  check(!agent.try_copy(0, slots * 128, 128), "a slot that is freed");
  expect_errno(agent.try_copy(0, slots * 128, 128), EAGAIN, "a second one");
  expect_errno(agent.try_copy(0, 64, 128), EINVAL, "a copy across regions");
  expect_errno(agent.try_copy(0, kVolumeSectors, 8), EINVAL, "a copy beyond the end");
  expect_errno(agent.try_copy(0, 0, 0), EINVAL, "an empty copy");
  expect_errno(agent.try_copy(5, 0, 8), ENODEV, "a copy of no volume");
}

KT_TEST(hot_regions_cost_no_metadata_write) {
  zero(data_disk(0), kVolumeBytes);
  zero(meta_disk(0), kMiB);
  Device meta("hot-meta", kMiB / kSector, "linear", meta_disk(0) + " 0");
  Device volume("hot", kVolumeSectors, "remotecopy", params(data_disk(0), meta.path(), "hot", 0));
  Disk disk(volume.path());
  Buffer buffer(4096);
  uint64_t begin = writes_of(meta);
  disk.write(buffer.data(), 4096, 0);
  uint64_t cold = writes_of(meta) - begin;
  check(cold == 1, "a cold region cost " + std::to_string(cold) + " metadata writes");
  for (int i = 0; i < 500; i++)
    disk.write(buffer.data(), 4096, i % 16 * 4096);
  check(writes_of(meta) - begin == 1, "a hot region cost metadata writes");
  // Many cold regions at once share one block and one write, or a few.
  std::vector<std::future<int>> writes;
  for (int i = 0; i < 32; i++)
    writes.push_back(write_later(volume.path(), 64 + i * 32, 1));
  for (auto& w : writes)
    check(!w.get(), "a write failed");
  uint64_t together = writes_of(meta) - begin - 1;
  check(together <= 32, "32 cold regions cost " + std::to_string(together) + " metadata writes");
  printf("  32 cold regions at once: %llu metadata writes\n", static_cast<unsigned long long>(together));
}

KT_TEST(module_stays_while_in_use_and_nothing_leaks) {
  auto round = [](int i) {
    Rig rig("life", 2);
    Agent agent("life");
    agent.start();
    Buffer buffer(4096);
    Disk(rig.device().path()).write(buffer.data(), 4096, i * 4096);
    agent.try_copy(0, 0, 128);
    check(syscall(SYS_delete_module, "dm_remotecopy", O_NONBLOCK) && errno == EWOULDBLOCK,
          "the module can be unloaded while volumes exist");
    rig.devices.clear();
    check(syscall(SYS_delete_module, "dm_remotecopy", O_NONBLOCK) && errno == EWOULDBLOCK,
          "the module can be unloaded while an agent is attached");
  };
  for (int i = 0; i < 5; i++)
    round(i);
  // Not what the kernel calls available: 6.12 keeps tens of MiB of freed pages on the lists of its CPUs.
  long before = free_kib();
  for (int i = 0; i < 40; i++)
    round(i);
  long after = free_kib();
  check(after + 16 * 1024 > before,
        "memory went from " + std::to_string(before) + " to " + std::to_string(after) + " KiB");
}
