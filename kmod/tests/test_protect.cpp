// SPDX-License-Identifier: GPL-2.0-or-later
// Write-protect: after the switch no write gets a record, completes or changes the disk; before it all do.
#include "harness.hpp"

#include <cerrno>
#include <cstring>

using namespace kt;

namespace {

int try_protect(Agent& agent, uint32_t on) { return agent.try_ioctl(DMRC_IOC_PROTECT, &on); }

void protect(Agent& agent, bool on) { check(!try_protect(agent, on), "the kernel refuses PROTECT"); }

} // namespace

// The switch falls into a load: the last checkpoint after it has everything that was ever completed.
KT_TEST(nothing_follows_the_last_checkpoint_of_a_protected_group) {
  Rig rig("protect");
  Agent agent("protect");
  agent.start();
  auto replicas = rig.replicas();
  uint64_t after = 0, marker = ~0ULL;
  Reader reader(agent, replicas, [&](const dmrc_record& r) { after += r.type == DMRC_WRITE && r.seq > marker; });
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> written{0}, refused{0};
  std::vector<std::thread> writers;
  for (uint64_t w = 0; w < 3; w++)
    writers.emplace_back([&, w] {
      Disk disk(rig.device().path());
      Buffer buffer(4096);
      for (uint64_t i = 0; !stop; i++) {
        memset(buffer.data(), static_cast<int>(i), 4096);
        // All meet at some blocks, so that some wait for others when the switch falls.
        int error = disk.try_write(buffer.data(), 4096, (i * 7 + w) % 16 * 4096);
        check(!error || error == EIO, strerror(error));
        (error ? refused : written)++;
        if (error)
          usleep(1000);
      }
    });
  await(10, "a load", [&] { return written > 500; });
  protect(agent, true);
  marker = agent.state().reserved + 1;
  agent.checkpoint();
  await(10, "writes that are refused", [&] { return refused > 20; });
  stop = true;
  for (auto& t : writers)
    t.join();
  reader.stop();
  check(!after, std::to_string(after) + " writes follow the last checkpoint");
  check(agent.state().state & DMRC_STATE_PROTECTED && word(rig.device().status(), 0) == "protected",
        rig.device().status());
  rig.must_equal(replicas);
}

KT_TEST(protection_can_be_taken_back_and_ends_with_the_role) {
  Rig rig("unprotect");
  Agent agent("unprotect");
  agent.start();
  expect_errno(try_protect(agent, 2), EINVAL, "a wrong value");
  Disk* disk = new Disk(rig.device().path());
  Buffer buffer(4096);
  protect(agent, true);
  expect_errno(disk->try_write(buffer.data(), 4096, 0), EIO, "a write to a protected volume");
  check(!disk->try_read(buffer.data(), 4096, 0), "a read of a protected volume");
  disk->flush();
  protect(agent, false);
  disk->write(buffer.data(), 4096, 0);
  protect(agent, true);
  delete disk;
  rig.device().reload("remotecopy", rig.params_of(0, "ring_mib 4 region_kib 64 role secondary"));
  expect_errno(try_protect(agent, 1), EROFS, "protecting a secondary");
  rig.device().reload("remotecopy", rig.params_of(0));
  Disk(rig.device().path()).write(buffer.data(), 4096, 0);
}

// Writes that wait for room must not wait for it any more.
KT_TEST(protection_ends_the_wait_for_room) {
  Rig rig("protthr");
  Agent agent("protthr");
  agent.start();
  dmrc_throttle t{60000, 0};
  check(!agent.try_ioctl(DMRC_IOC_THROTTLE, &t), "throttle");
  {
    Disk disk(rig.device().path());
    Buffer buffer(64 << 10);
    for (uint64_t at = 0; at < 4 * kMiB; at += buffer.bytes())
      disk.write(buffer.data(), buffer.bytes(), at);
  }
  int latency;
  auto write = write_later(rig.device().path(), 0, latency, 64 << 10);
  await(5, "the write waits", [&] { return agent.state().throttled == 1; });
  protect(agent, true);
  check(write.get() == EIO && latency < 20000, "the write waited on");
  check(!(agent.state().state & DMRC_STATE_LOST), "the ring overflowed");
}
