// SPDX-License-Identifier: GPL-2.0-or-later
// Every allocation, every access to user memory and every bio of a call fails once (fail-nth): the call gives a clean
// errno or succeeds all the same, and afterwards the target works. What would leak shows at the end of the run.
#include "debug.hpp"
#include "harness.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

using namespace kt;

namespace {

const std::string kSecondary = std::string(kArgs) + " role secondary";

int errno_of_attach(const std::string& group) {
  int fd = open("/dev/remotecopy", O_RDWR);
  if (fd < 0)
    fail_errno("/dev/remotecopy");
  dmrc_attach a{};
  a.abi_version = DMRC_ABI_VERSION;
  strncpy(a.group, group.c_str(), sizeof(a.group) - 1);
  int error = ioctl(fd, DMRC_IOC_ATTACH, &a) ? errno : 0;
  close(fd);
  return error;
}

// A primary volume, its agent and a replica, and the question whether all three still work together.
class Proof {
public:
  explicit Proof(const std::string& group, const std::string& data = "")
      : rig(group, 1, kArgs, kVolumeSectors, data), replicas(rig.replicas()) {}

  Agent& agent() {
    if (!agent_)
      agent_ = std::make_unique<Agent>(rig.group);
    return *agent_;
  }
  void leave() { agent_.reset(); }

  // Ends the stream and begins another.
  void new_stream() {
    agent().stop();
    agent().free_to(agent().state().reserved);
    await(5, "a new stream", [&] { return agent().try_start(random_() | 1) == 0; });
  }

  // What is in the ring goes into the replica.
  void drain() {
    while (const dmrc_record* r = agent().next()) {
      if (r->type <= DMRC_FAILED)
        apply(agent(), *r, replicas.at(r->volume));
      last_ = *r;
    }
    agent().free_read();
  }

  // A write becomes a record, and the record tells what the disk holds.
  void works() {
    if (!agent().state().stream)
      new_stream();
    drain();
    uint64_t at = random_() % (kVolumeBytes / 4096) * 4096;
    Disk disk(rig.device().path());
    Buffer out(4096);
    for (unsigned i = 0; i < 4096; i += 8)
      *reinterpret_cast<uint64_t*>(out.data() + i) = random_();
    disk.write(out.data(), 4096, at);
    drain();
    check(last_.type == DMRC_WRITE && last_.sector == at / kSector, "afterwards a write was not captured");
    check(!memcmp(&replicas[0][at], out.data(), 4096), "afterwards a record held other data");
  }

  // The region of a write that may have failed, from the disk.
  void heal(uint64_t sector) {
    check(!agent().try_copy(0, sector / 128 * 128, 128), "a copy");
    await(5, "the copy", [&] {
      drain();
      return last_.type == DMRC_COPY;
    });
  }

  Rig rig;
  Replicas replicas;

private:
  std::unique_ptr<Agent> agent_;
  dmrc_record last_{};
  std::mt19937_64 random_{7};
};

// All chances of one ioctl; `undo` puts back what a success, told or not, has done.
template <class T>
void fail_ioctl(Proof& proof, const char* what, unsigned at_least, unsigned long command, const T& argument,
                const std::function<void()>& undo = [] {}) {
  fail_each(
      what, at_least,
      [&] {
        T copy = argument;
        return proof.agent().try_ioctl(command, &copy);
      },
      [&](int) {
        undo();
        proof.works();
      });
}

} // namespace

KT_TEST_FAULTS(failed_table_loads_leave_nothing) {
  zero(data_disk(0), kVolumeBytes);
  zero(meta_disk(0), kMiB);
  Device device("load-0", kVolumeSectors, "linear", data_disk(0) + " 0");
  auto line = params(data_disk(0), meta_disk(0), "load", 0, "ring_mib 1 region_kib 64");
  auto load = [&] { return device.try_load("remotecopy", line); };
  auto settle = [&](int error) {
    if (error) {
      device.clear(); // the table may stand, and only telling so have failed
      expect_errno(errno_of_attach("load"), ENOENT, "the group after a failed load");
      return;
    }
    device.resume();
    {
      Agent agent("load");
      agent.start();
      Buffer block(4096);
      memset(block.data(), 0x6B, 4096);
      Disk(device.path()).write(block.data(), 4096, 65536);
      const dmrc_record* r = agent.next();
      check(r && r->type == DMRC_WRITE && agent.data(*r)[17] == 0x6B, "a write after the load");
    }
    device.reload("linear", data_disk(0) + " 0");
    expect_errno(errno_of_attach("load"), ENOENT, "the group after its last volume");
  };
  // What the kernel keeps once isn't lost; KASAN keeps the stack of each place that allocates or frees.
  fail_each("table load", 100, load, settle);
  long pages = free_kib();
  fail_each("table load again", 100, load, settle);
  long kept = pages - free_kib();
  // The ring's pages are nothing that kmemleak knows: a load that kept its ring would show here.
  check(kept < 512, "the loads kept " + std::to_string(kept) + " KiB");
}

// The volume is in use while a new table for it fails to load.
KT_TEST_FAULTS(failed_reloads_leave_the_live_table) {
  Proof proof("relive");
  fail_each(
      "reload", 30, [&] { return proof.rig.device().try_load("remotecopy", proof.rig.params_of()); },
      [&](int) { proof.works(); });
  proof.rig.device().suspend();
  proof.rig.device().resume();
  proof.works();
  proof.rig.must_equal(proof.replicas);
}

// A resume that fails, for want of memory or by a metadata device that can't be read or written, is repaired by loading
// the table again.
KT_TEST_FAULTS(failed_resumes_are_repaired_by_the_next) {
  Proof proof("preres");
  Device& device = proof.rig.device();
  auto ready = [&] {
    device.load("remotecopy", proof.rig.params_of(), kVolumeSectors);
    device.suspend();
  };
  auto settle = [&](int error) {
    if (error) {
      device.load("remotecopy", proof.rig.params_of());
      device.resume();
    }
    proof.works();
    ready();
  };
  proof.works();
  ready();
  fail_each("resume", 0, [&] { return device.try_resume(); }, settle);
  {
    FailingDisk meta(meta_disk(0));
    fail_each("resume with metadata writes", 2, [&] { return device.try_resume(); }, settle);
  }
  // With another table in between, so that the map is read from the device too.
  device.resume();
  auto leave = [&] {
    proof.leave();
    device.reload("linear", data_disk(0) + " 0");
    ready();
  };
  leave();
  {
    FailingDisk meta(meta_disk(0));
    fail_each("resume that reads the map", 5, [&] { return device.try_resume(); },
              [&](int error) {
                if (error) {
                  device.load("remotecopy", proof.rig.params_of());
                  device.resume();
                }
                proof.works();
                leave();
              });
  }
  device.resume();
  proof.rig.must_equal(proof.replicas);
}

KT_TEST_FAULTS(failed_messages_do_no_harm) {
  Proof proof("says");
  fail_each("message", 2, [&] { return proof.rig.device().try_message("close"); }, [&](int) { proof.works(); });
  proof.rig.must_equal(proof.replicas);
}

KT_TEST_FAULTS(failed_attachments_leave_the_group_free) {
  Proof proof("join");
  int fd = -1;
  void *all = MAP_FAILED, *page = MAP_FAILED;
  dmrc_attach a;
  proof.works();
  proof.leave();
  fail_each(
      "open, attach and mmap", 10,
      [&]() -> int {
        fd = open("/dev/remotecopy", O_RDWR | O_CLOEXEC);
        if (fd < 0)
          return errno;
        a = {};
        a.abi_version = DMRC_ABI_VERSION;
        strcpy(a.group, "join");
        if (ioctl(fd, DMRC_IOC_ATTACH, &a))
          return errno;
        all = mmap(nullptr, a.map_bytes, PROT_READ, MAP_SHARED, fd, 0);
        if (all == MAP_FAILED)
          return errno;
        page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, a.consumer_offset);
        return page == MAP_FAILED ? errno : 0;
      },
      [&](int) {
        if (page != MAP_FAILED)
          munmap(page, 4096);
        if (all != MAP_FAILED)
          munmap(all, a.map_bytes);
        if (fd >= 0)
          close(fd);
        page = all = MAP_FAILED;
        fd = -1;
        proof.works();
        proof.leave();
      });
  proof.rig.must_equal(proof.replicas);
}

KT_TEST_FAULTS(failed_ioctls_of_a_primary_do_no_harm) {
  Proof proof("iocs");
  proof.works();
  auto idle = [&] {
    proof.agent().stop();
    proof.agent().free_to(proof.agent().state().reserved);
  };
  idle();
  fail_each("START", 2, [&] { return proof.agent().try_start(0x77); },
            [&](int error) {
              check(!error == !!proof.agent().state().stream, "a stream runs or not, and the answer says otherwise");
              idle();
              proof.works();
              idle();
            });
  proof.works();
  dmrc_ack ack{};
  fail_ioctl(proof, "ACK", 1, DMRC_IOC_ACK, ack);
  dmrc_sync sync{};
  sync.mode = DMRC_SYNC_WAIT;
  sync.alone_after_ns = boottime_ns() + 60000000000ULL;
  fail_ioctl(proof, "SYNC", 2, DMRC_IOC_SYNC, sync,
             [&] { proof.agent().sync(DMRC_SYNC_OFF, DMRC_FENCE_GO, 0); });
  dmrc_checkpoint checkpoint{};
  fail_ioctl(proof, "CHECKPOINT", 2, DMRC_IOC_CHECKPOINT, checkpoint);
  checkpoint.max_hold_us = 1000; // nobody lifts: its cap ends it
  fail_ioctl(proof, "CHECKPOINT with a hold", 2, DMRC_IOC_CHECKPOINT, checkpoint, [&] {
    await(5, "the end of the hold", [&] { return !(proof.agent().state().state & DMRC_STATE_HOLDING); });
  });
  // An armed checkpoint, for a time that no fault waits for; the answer of DISARM and CONFIRM is its errno.
  auto arm = [&](uint64_t ahead_ns) {
    timespec real;
    clock_gettime(CLOCK_REALTIME, &real);
    dmrc_arm a{};
    a.n = DMRC_ERA_N(proof.agent().state().era);
    a.at_ns = real.tv_sec * 1000000000ULL + real.tv_nsec + ahead_ns;
    a.hold_ns = 1000;
    a.confirm_us = 10000000;
    return a;
  };
  uint64_t n;
  auto disarmed = [&] {
    n = proof.agent().state().armed;
    check(!n || !proof.agent().try_ioctl(DMRC_IOC_DISARM, &n), "disarming afterwards");
  };
  dmrc_arm late = arm(60000000000ULL);
  fail_each("ARM", 1, [&] { return proof.agent().try_ioctl(DMRC_IOC_ARM, &late); },
            [&](int error) {
              check(!error == !!proof.agent().state().armed, "armed or not, and the answer says otherwise");
              disarmed();
              proof.works();
              late = arm(60000000000ULL);
            });
  auto armed_again = [&](int error) {
    check(!error == !proof.agent().state().armed, "disarmed or not, and the answer says otherwise");
    disarmed();
    proof.works();
    late = arm(60000000000ULL);
    check(!proof.agent().try_ioctl(DMRC_IOC_ARM, &late), "arming again");
  };
  check(!proof.agent().try_ioctl(DMRC_IOC_ARM, &late), "arming");
  fail_each("DISARM", 1, [&] { return proof.agent().try_ioctl(DMRC_IOC_DISARM, &late.n); }, armed_again);
  disarmed();
  auto unconfirmed = [&] {
    late = arm(20000000);
    check(!proof.agent().try_ioctl(DMRC_IOC_ARM, &late), "arming");
    await(5, "the end of the hold", [&] {
      dmrc_state s = proof.agent().state();
      return s.armed && DMRC_ERA_N(s.era) > late.n && !(s.state & DMRC_STATE_HOLDING);
    });
  };
  unconfirmed();
  fail_each("CONFIRM", 1, [&] { return proof.agent().try_ioctl(DMRC_IOC_CONFIRM, &late.n); },
            [&](int error) {
              check(!error == !proof.agent().state().armed, "confirmed or not, and the answer says otherwise");
              disarmed();
              proof.works();
              unconfirmed();
            });
  disarmed();
  dmrc_throttle throttle{};
  fail_ioctl(proof, "THROTTLE", 1, DMRC_IOC_THROTTLE, throttle);
  uint32_t protect = 0;
  fail_ioctl(proof, "PROTECT", 1, DMRC_IOC_PROTECT, protect);
  dmrc_copy copy{};
  copy.sectors = 128;
  copy.tag = 1;
  fail_ioctl(proof, "COPY", 1, DMRC_IOC_COPY, copy, [&] {
    dmrc_put end{DMRC_END_OF_COPYING, 1, 0};
    await(5, "the copy ends", [&] { return proof.agent().try_ioctl(DMRC_IOC_PUT, &end) == 0; });
  });
  dmrc_put put{DMRC_END_OF_COPYING, 2, 0};
  fail_ioctl(proof, "PUT", 2, DMRC_IOC_PUT, put);
  put.type = DMRC_SEAL;
  fail_ioctl(proof, "PUT of a seal", 2, DMRC_IOC_PUT, put);
  std::vector<dmrc_extent> extents(300);
  dmrc_dirty dirty{};
  dirty.extents = reinterpret_cast<uint64_t>(extents.data());
  dirty.max_extents = extents.size();
  fail_ioctl(proof, "DIRTY", 4, DMRC_IOC_DIRTY, dirty);
  dmrc_volume volume{};
  fail_ioctl(proof, "VOLUME", 2, DMRC_IOC_VOLUME, volume);
  dmrc_state state{};
  fail_ioctl(proof, "STATE", 1, DMRC_IOC_STATE, state);
  proof.drain();
  proof.rig.must_equal(proof.replicas);
}

// MARK, SETTLE and UPDATE, each with the metadata and the backing device failing too. After a failed metadata write
// everything counts as open until the table is loaded again.
KT_TEST_FAULTS(failed_ioctls_of_a_secondary_do_no_harm) {
  Rig rig("sec", 1, kSecondary);
  Agent agent("sec");
  std::vector<dmrc_extent> one{{128, 128, DMRC_ERA(1, 5)}};
  auto era = [&](uint64_t region) -> uint64_t {
    for (const auto& e : agent.dirty(0, 0))
      if (e.sector <= region * 128 && region * 128 < e.sector + e.sectors)
        return e.era;
    return 0;
  };
  auto works = [&] {
    if (agent.volume(0).flags & DMRC_VOLUME_META_FAILED) {
      check(era(200) == DMRC_ERA_OPEN, "a failed map that knows eras");
      rig.device().reload("remotecopy", rig.params_of());
    }
    check(!agent.regions(DMRC_IOC_MARK, 0, one) && era(1) == DMRC_ERA_OPEN, "mark afterwards");
    one[0].era++;
    check(!agent.regions(DMRC_IOC_SETTLE, 0, one) && era(1) == one[0].era, "settle afterwards");
  };
  auto each = [&](const std::string& what, unsigned at_least, const std::function<int()>& call,
                  const std::function<void(int)>& judge) {
    auto settle = [&](int error) {
      judge(error);
      works();
    };
    fail_each(what, at_least, call, settle);
    FailingDisk meta(meta_disk(0)), data(data_disk(0));
    fail_each(what + " with bios", at_least + 1, call, settle);
  };
  std::vector<dmrc_extent> two{{10 * 128, 128, 0}, {12 * 128, 256, DMRC_ERA(1, 9)}};
  works();
  each("MARK", 2, [&] { return agent.regions(DMRC_IOC_MARK, 0, two); },
       [&](int error) {
         check(error || era(12) == DMRC_ERA_OPEN, "marked and not open");
         check(agent.volume(0).flags & DMRC_VOLUME_META_FAILED || !agent.regions(DMRC_IOC_SETTLE, 0, two),
               "settle");
       });
  each("SETTLE", 2, [&] { return agent.regions(DMRC_IOC_SETTLE, 0, two); },
       [&](int error) {
         check(error || era(12) == two[1].era, "settled with another era");
         two[1].era++;
       });
  each("UPDATE", 1, [&] { return agent.update(0, true, DMRC_ERA(1, 7)); },
       [&](int error) {
         check(error || agent.volume(0).flags & DMRC_VOLUME_UPDATE, "no update in progress");
         if (!(agent.volume(0).flags & DMRC_VOLUME_META_FAILED))
           check(!agent.update(0, false, 0), "end of the update");
       });
}

// Allocations and bios fail in the workers: they carry on writes to cold regions and writes that met each other, and
// open and close regions. Nobody hangs, and what the ring tells is what the disk holds.
KT_TEST_FAULTS(failures_in_workers_do_no_harm) {
  // Nothing ever wrote the upper half of this RAM disk: it allocates a page for each page that comes.
  Device blank("work-data", kVolumeSectors, "linear", "/dev/ram9 131072");
  Proof proof("work", blank.path());
  Device& device = proof.rig.device();
  unsigned happened = 0, maps = 0, refused = 0;
  uint64_t at = 0; // of the region of this round
  auto failed_map = [&] { return proof.agent().volume(0).flags & DMRC_VOLUME_META_FAILED; };
  auto open_regions = [&] {
    auto dirty = proof.agent().dirty(0, 0);
    return std::any_of(dirty.begin(), dirty.end(), [](const dmrc_extent& e) { return e.era == DMRC_ERA_OPEN; });
  };
  auto close_regions = [&] {
    device.message("close");
    await(5, "all regions close", [&] { return !open_regions(); });
  };
  // Two writes to a cold region that overlap, then the region closes.
  auto call = [&]() -> int {
    int ms[2];
    auto one = write_later(device.path(), at / 4096, ms[0], 8192);
    auto other = write_later(device.path(), at / 4096 + 1, ms[1], 8192);
    int error = one.get(), second = other.get();
    device.message("close");
    for (double end = now_s() + 0.2; now_s() < end && open_regions() && !failed_map();)
      sleep_ms(1); // after a failed flush or write it stays open
    return error ? error : second;
  };
  auto settle = [&](int error) {
    refused += error != 0;
    check(!error || error == EIO || error == ENOSPC || error == ENOMEM, std::string("errno ") + strerror(error));
    bool was_lost = proof.agent().state().state & DMRC_STATE_LOST;
    proof.drain();
    if (failed_map()) {
      maps++;
      check(was_lost, "the stream goes on without map");
      device.reload("remotecopy", proof.rig.params_of());
    }
    if (was_lost)
      proof.new_stream();
    if (error || was_lost)
      proof.heal(at / kSector);
    Buffer now(65536);
    Disk(device.path()).read(now.data(), 65536, at);
    check(!memcmp(now.data(), &proof.replicas[0][at], 65536), "disk and replica differ");
  };
  auto each = [&](const char* what, unsigned rounds) {
    for (unsigned n = 1; n <= rounds; n++, at += 2 * 65536) {
      try {
        Injection done = with_worker_fault(n, call);
        happened += done.happened;
        settle(done.error);
        close_regions();
      } catch (const Failure& e) {
        fail(std::string(what) + ", fault " + std::to_string(n) + ": " + e.what());
      }
    }
    printf("  %s: %u faults, %u maps failed, %u writes refused\n", what, happened, maps, refused);
  };
  proof.new_stream();
  each("allocations of workers", 12);
  check(happened > 2, "hardly an allocation of a worker failed");
  FailingDisk data("/dev/ram9"), meta(meta_disk(0));
  unsigned before = happened;
  each("and bios of workers", 24);
  check(happened > before + 4 && maps > 0 && refused > 0, "hardly a bio of a worker failed");
  proof.works();
}

// A host's writes and flushes: what failed has told so, and what the ring tells is what the disk holds.
KT_TEST_FAULTS(failed_writes_keep_disk_and_ring_equal) {
  Proof proof("wr");
  Buffer buffer(16384);
  uint8_t fill = 1;
  uint64_t records = 0;
  proof.works();
  Disk disk(proof.rig.device().path());
  disk.write(buffer.data(), 16384, 0); // opens the region
  auto call = [&] {
    memset(buffer.data(), ++fill, 16384);
    if (int error = disk.try_write(buffer.data(), 16384, 0))
      return error;
    return fsync(disk.fd()) ? errno : 0;
  };
  auto settle = [&](int error) {
    uint64_t before = proof.agent().read_seq();
    proof.drain();
    records += proof.agent().read_seq() - before;
    if (error)
      proof.heal(0);
    Buffer now(16384);
    disk.read(now.data(), 16384, 0);
    check(!memcmp(now.data(), proof.replicas[0].data(), 16384), "disk and replica differ");
    check(error || now.data()[9] == fill, "a write that succeeded is not on the disk");
  };
  fail_each("write and flush", 1, call, settle);
  FailingDisk data(data_disk(0));
  fail_each("write and flush with bios", 3, call, settle);
  check(records > 5, "hardly a write was captured");
  proof.works();
  proof.rig.must_equal(proof.replicas);
}

// The same of discards and zeroes, which have a record without data.
KT_TEST_FAULTS(failed_discards_keep_disk_and_ring_equal) {
  Loop loop(kVolumeBytes);
  Proof proof("unmap", loop.path());
  constexpr uint64_t kAt = 2 * 65536, kBytes = 16384;
  Buffer buffer(kBytes);
  memset(buffer.data(), 0x5a, kBytes);
  proof.works();
  Disk disk(proof.rig.device().path());
  FailingDisk data(loop.path());
  unsigned refused = 0;
  for (bool discard : {true, false}) {
    auto call = [&] {
      // there is something to lose, and the region is open
      if (int error = disk.try_write(buffer.data(), kBytes, kAt))
        return error;
      uint64_t range[2] = {kAt, kBytes};
      int kind = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE; // zeroes that may unmap; no writes in their place
      return (discard ? ioctl(disk.fd(), BLKDISCARD, range) : fallocate(disk.fd(), kind, kAt, kBytes)) ? errno : 0;
    };
    auto settle = [&](int error) {
      refused += error != 0;
      proof.drain();
      if (error)
        proof.heal(kAt / kSector);
      Buffer now(kBytes);
      disk.read(now.data(), kBytes, kAt);
      check(!memcmp(now.data(), &proof.replicas[0][kAt], kBytes), "disk and replica differ");
      check(error || now.data()[9] == 0, "zeroes that succeeded are not on the disk");
    };
    fail_each(discard ? "discard" : "zeroes", 2, call, settle);
  }
  check(refused >= 2, "no discard was refused");
  proof.works();
}
