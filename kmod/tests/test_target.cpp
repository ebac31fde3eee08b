// SPDX-License-Identifier: GPL-2.0-or-later
// The target as a dm target: reload, suspend, remove, limits, discard, errors of the backing device, NOWAIT.
#include "harness.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

using namespace kt;

namespace {

int write_blocks(Device& device, unsigned count, uint64_t from = 0) {
  Disk disk(device.path());
  Buffer buffer(4096);
  for (unsigned i = 0; i < count; i++) {
    memset(buffer.data(), i + 1, 4096);
    if (int error = disk.try_write(buffer.data(), 4096, (from + i) * 4096))
      return error;
  }
  return 0;
}

} // namespace

KT_TEST(table_and_status_lines) {
  Rig rig("line", 1, "ring_mib 8 region_kib 256 generation 3");
  check(rig.device().table().ends_with(" line 0 8 role primary ring_mib 8 region_kib 256 generation 3"),
        rig.device().table());
  std::string status = rig.device().status();
  check(status.rfind("primary 3:1 none async ok 0/64 512 0/8192 0 0", 0) == 0, status);
  check(rig.device().try_message("nonsense") == EINVAL, "an unknown message");
  // the table line that it prints loads
  rig.device().reload("remotecopy", rig.device().table());
  Device* twin = nullptr;
  try {
    twin = new Device("line-twin", rig.sectors, "remotecopy", params(data_disk(1), meta_disk(1), "line", 0, rig.args));
  } catch (const Failure&) {
  }
  check(!twin, "two devices with one volume number");
  expect_errno(errno_of_device("line-1", rig.sectors, "remotecopy",
                               params(data_disk(1), meta_disk(1), "line", 1, "ring_mib 4 region_kib 256")),
               EINVAL, "another ring size in the group");
  expect_errno(errno_of_device("line-1", rig.sectors, "remotecopy",
                               params(data_disk(1), rig.device().path(), "line", 1, rig.args)),
               EINVAL, "metadata on a volume of ours");
}

KT_TEST(events_tell_of_changes) {
  Rig rig("event");
  Agent agent("event");
  uint32_t before = rig.device().event_nr();
  agent.start();
  await(2, "an event at the start of a stream", [&] { return rig.device().event_nr() > before; });
  before = rig.device().event_nr();
  agent.stop();
  await(2, "an event at its end", [&] { return rig.device().event_nr() > before; });
}

// Suspend, resume, reload and back under load: nothing is lost, the map and the stream go on.
KT_TEST(reloads_under_load) {
  Rig rig("reload");
  Agent agent("reload");
  agent.start();
  auto replicas = rig.replicas();
  Reader reader(agent, replicas, [](const dmrc_record& r) { check(r.type != DMRC_LOSS, "overflow"); });
  Writers::Options o;
  o.threads = 2;
  o.pace = &agent;
  Writers writers(rig.device().path(), o);
  for (int i = 0; i < 12; i++) {
    sleep_ms(40);
    rig.device().reload("remotecopy", rig.params_of(), 0, i % 2);
  }
  uint64_t n = writers.stop();
  reader.stop();
  check(n > 200, "too few writes");
  check(agent.state().state & DMRC_STATE_STREAM, "the stream did not survive");
  rig.must_equal(replicas);
  rig.device().reload("linear", data_disk(0) + " 0");
  check(!write_blocks(rig.device(), 4), "a write to linear");
  rig.device().reload("remotecopy", rig.params_of());
  check(!write_blocks(rig.device(), 4), "a write after the return");
}

KT_TEST(removal_with_an_agent_attached) {
  auto rig = std::make_unique<Rig>("gone");
  Agent agent("gone");
  agent.start();
  check(!write_blocks(rig->device(), 20), "writes");
  agent.try_copy(0, 0, 128);
  rig.reset(); // the volume goes, its group stays while the file is attached
  int n = 0;
  while (agent.next())
    n++;
  check(n >= 20, "records after the removal");
  expect_errno(agent.try_copy(0, 0, 128), ENODEV, "a copy of a volume that is gone");
  agent.state();
  agent.free_read();
}

KT_TEST(discards_are_zeroes_everywhere) {
  Loop loop(kVolumeBytes);
  zero(meta_disk(0), kMiB);
  Device volume("trim", kVolumeSectors, "remotecopy", params(loop.path(), meta_disk(0), "trim", 0));
  Agent agent("trim");
  agent.start();
  Replicas replicas;
  replicas[0] = Replica(kVolumeBytes);
  uint64_t discards = 0, zeroes = 0, failed = 0;
  Reader reader(agent, replicas, [&](const dmrc_record& r) {
    discards += r.type == DMRC_DISCARD;
    zeroes += r.type == DMRC_ZEROES;
    check(r.type != DMRC_LOSS, "overflow");
    // This loop device can't zero without unmapping: what it refused after its record was out has to be copied.
    failed += r.type == DMRC_FAILED;
    check(r.type != DMRC_DISCARD || (r.flags & DMRC_F_UNMAP), "a discard that may not unmap");
  });
  Writers::Options o;
  o.discards = true;
  o.max_blocks = 64;
  o.pace = &agent;
  Writers writers(volume.path(), o);
  sleep_ms(1500);
  writers.stop();
  Disk disk(volume.path());
  uint64_t range[2] = {kMiB, 4 * kMiB}; // spans regions
  check(!ioctl(disk.fd(), BLKDISCARD, range), "a large discard");
  range[0] = 11 * kMiB; // the block layer writes zeroes where the disk can't: not more than the ring holds
  range[1] = kMiB / 4;
  for (int i = 0; i < 3; i++)
    check(!ioctl(disk.fd(), BLKZEROOUT, range), "zeroes");
  copy_extents(agent, 0, agent.dirty(0, 0));
  reader.stop();
  printf("  %llu discards, %llu zeroes, %llu of them refused by the disk\n", static_cast<unsigned long long>(discards),
         static_cast<unsigned long long>(zeroes), static_cast<unsigned long long>(failed));
  check(discards > 10, "only " + std::to_string(discards) + " discards and " + std::to_string(zeroes) + " zeroes");
  check(disk.content(kVolumeBytes) == replicas[0], "disk and replica differ");
}

KT_TEST(no_discard_where_there_is_no_write_zeroes) {
  Rig rig("notrim");
  Disk disk(rig.device().path());
  uint64_t range[2] = {0, kMiB};
  check(ioctl(disk.fd(), BLKDISCARD, range) && errno == EOPNOTSUPP, "a discard");
  check(!ioctl(disk.fd(), BLKZEROOUT, range), "zeroes, which the block layer writes");
  uint64_t secure[2] = {0, kMiB};
  check(ioctl(disk.fd(), BLKSECDISCARD, secure) && errno == EOPNOTSUPP, "a secure erase");
}

// The backing device fails a captured write: a `failed` record, the error, and a region that only a copy closes.
KT_TEST(failed_backing_write_is_told_and_healed) {
  zero(data_disk(0), kVolumeBytes);
  zero(meta_disk(0), kMiB);
  Device lower("lower", kVolumeSectors, "linear", data_disk(0) + " 0");
  Device volume("bad", kVolumeSectors, "remotecopy", params(lower.path(), meta_disk(0), "bad", 0));
  Agent agent("bad");
  uint64_t era = agent.start();
  check(!write_blocks(volume, 40), "writes");
  lower.reload("flakey", data_disk(0) + " 0 0 60 1 error_writes");
  expect_errno(write_blocks(volume, 1, 20), EIO, "a write to a failing disk");
  lower.reload("linear", data_disk(0) + " 0");
  const dmrc_record* r;
  uint64_t failed = 0, write = 0;
  while ((r = agent.next())) {
    if (r->type == DMRC_FAILED) {
      failed = r->data_pos;
      check(r->sector == 160 && r->length == 4096 && !r->tag, "the failed record");
    } else {
      write = r->seq;
    }
  }
  check(failed == write && failed == 41, "which write failed");
  agent.free_read();
  volume.message("close");
  auto era_of = [&](uint64_t region) {
    uint64_t found = 0;
    for (const auto& e : agent.dirty(0, 0, 1))
      if (e.sector <= region * 128 && region * 128 < e.sector + e.sectors)
        found = e.era;
    return found;
  };
  await(5, "other regions close", [&] { return era_of(0) == era; });
  check(era_of(1) == DMRC_ERA_OPEN, "the region of the failed write closed");
  agent.checkpoint();
  check(!agent.try_copy(0, 128 + 64, 64), "half a copy");
  await(2, "the record", [&] { return agent.state().reserved == 45; });
  volume.message("close");
  sleep_ms(300);
  check(era_of(1) == DMRC_ERA_OPEN, "half a copy healed the region");
  check(!agent.try_copy(0, 128, 128), "the copy");
  await(2, "the record", [&] { return agent.state().reserved == 46; });
  volume.message("close");
  await(5, "the healed region closes", [&] { return era_of(1) == era + 1; });
  // A copy that can't be read says so.
  agent.free_to(46);
  lower.reload("error", "");
  check(!agent.try_copy(0, 0, 8, 4), "a copy from a dead disk");
  await(2, "its record", [&] { return agent.state().reserved == 47; });
  while ((r = agent.next()))
    if (r->seq == 47)
      check(r->type == DMRC_FAILED && r->tag == 4 && !r->data_pos, "the failed copy");
  lower.reload("linear", data_disk(0) + " 0");
}

KT_TEST(nowait_writes_succeed) {
  Rig rig("nowait");
  Agent agent("nowait");
  agent.start();
  auto replicas = rig.replicas();
  Reader reader(agent, replicas);
  Disk disk(rig.device().path());
  Buffer buffer(4096);
  iovec v{buffer.data(), 4096};
  for (int i = 0; i < 500; i++) {
    memset(buffer.data(), i, 4096);
    ssize_t n = pwritev2(disk.fd(), &v, 1, i * 4096LL, RWF_NOWAIT);
    if (n != 4096)
      fail_errno("write " + std::to_string(i) + " with RWF_NOWAIT");
  }
  reader.stop();
  rig.must_equal(replicas);
}

// A disk that completes in interrupts, out of order, several at a time.
KT_TEST(interrupt_completions) {
  zero("/dev/nullb0", kVolumeBytes);
  zero(meta_disk(0), kMiB);
  Device volume("irq", kVolumeSectors, "remotecopy", params("/dev/nullb0", meta_disk(0), "irq", 0));
  Agent agent("irq");
  agent.start();
  Replicas replicas;
  replicas[0] = Replica(kVolumeBytes);
  Reader reader(agent, replicas, [](const dmrc_record& r) { check(r.type != DMRC_LOSS, "overflow"); });
  Writers::Options o;
  o.threads = 6;
  o.span = kMiB;
  o.pace = &agent;
  Writers writers(volume.path(), o);
  sleep_ms(1500);
  check(writers.stop() > 300, "too few writes");
  reader.stop();
  check(Disk(volume.path()).content(kVolumeBytes) == replicas[0], "disk and replica differ");
}

KT_TEST(many_volumes_and_groups) {
  // Slices of two RAM disks: 8 volumes in each of 2 groups.
  zero(data_disk(0), 64 * kMiB);
  zero(meta_disk(0), 4 * kMiB);
  std::vector<std::unique_ptr<Device>> lower, volumes;
  for (unsigned i = 0; i < 16; i++) {
    lower.push_back(std::make_unique<Device>("slice" + std::to_string(i), 8192, "linear",
                                             data_disk(0) + " " + std::to_string(i * 8192)));
    std::string data = lower.back()->path();
    lower.push_back(std::make_unique<Device>("mslice" + std::to_string(i), 128, "linear",
                                             meta_disk(0) + " " + std::to_string(i * 128)));
    volumes.push_back(std::make_unique<Device>(
        "many" + std::to_string(i), 8192, "remotecopy",
        params(data, lower.back()->path(), i % 2 ? "odd" : "even", i / 2 * 100)));
  }
  Agent odd("odd"), even("even");
  check(odd.state().volumes == 8 && even.state().volumes == 8, "how many volumes");
  dmrc_volume v{};
  v.volume = 301;
  check(!odd.try_ioctl(DMRC_IOC_VOLUME, &v) && v.volume == 400, "the next volume");
  odd.start();
  even.start(2);
  for (unsigned i = 0; i < 16; i++)
    check(!write_blocks(*volumes[i], 2), "a write");
  check(odd.state().reserved == 16 && even.state().reserved == 16, "records");
  check(odd.checkpoint() == 1 && even.state().era == even.attached().era, "a checkpoint of one group");
}
