// SPDX-License-Identifier: GPL-2.0-or-later
// Streams: overflow and the way back, checkpoints, wake-ups, a hostile agent.
#include "harness.hpp"

#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

using namespace kt;

namespace {

// Writes `count` blocks of 4 KiB one after the other; returns the slowest in seconds.
double write_blocks(const std::string& path, unsigned count, uint64_t from = 0, uint8_t fill = 0x5A) {
  Disk disk(path);
  Buffer buffer(4096);
  double slowest = 0;
  for (unsigned i = 0; i < count; i++) {
    memset(buffer.data(), fill + i, 4096);
    double begin = now_s();
    disk.write(buffer.data(), 4096, (from + i) * 4096 % kVolumeBytes);
    slowest = std::max(slowest, now_s() - begin);
  }
  return slowest;
}

// Copies what `dirty` says into the replicas through a new stream; the reader must see no loss.
void resync(Rig& rig, Agent& agent, Replicas& replicas, uint64_t since) {
  agent.start(0x99);
  Reader reader(agent, replicas);
  for (auto& [volume, replica] : replicas)
    copy_extents(agent, volume, agent.dirty(volume, since));
  reader.stop();
  rig.must_equal(replicas);
}

} // namespace

// The agent is away while the ring overflows: the next one is told which stream ended, and reads its rest.
KT_TEST(an_agent_that_comes_back_after_an_overflow_knows_the_stream_that_ended) {
  Rig rig("gone");
  const uint64_t stream = 0x5566778800000009;
  {
    Agent agent("gone");
    agent.start(stream);
    check(agent.attached().ended_stream == 0, "a stream ended before one began");
  }
  check(Agent("gone").attached().stream == stream, "the stream did not go on without an agent");
  write_blocks(rig.device().path(), 3072, 100); // 12 MiB, the ring has 4
  Agent agent("gone");
  check(agent.attached().stream == 0 && agent.attached().ended_stream == stream,
        "attach tells another stream");
  expect_errno(agent.try_start(7), EBUSY, "start with unread records");
  uint8_t last = 0;
  uint64_t records = 0;
  while (const dmrc_record* r = agent.next()) {
    check(r->stream == static_cast<uint32_t>(stream), "a record of another stream");
    last = r->type;
    records++;
  }
  check(last == DMRC_LOSS && agent.state().lost_at == records, "the loss record is not the last");
  agent.free_read();
  agent.start(7);
}

// Nobody reads: the application isn't delayed, the stream ends with a loss record, `dirty` covers the
// difference.
KT_TEST(overflow_ends_the_stream_not_the_application) {
  Rig rig("over");
  Agent agent("over");
  uint64_t era = agent.start();
  auto replicas = rig.replicas();
  {
    Reader reader(agent, replicas);
    write_blocks(rig.device().path(), 100);
    reader.stop();
  }
  agent.checkpoint();
  while (agent.next())
    agent.free_read();
  // 4 MiB of ring, 12 MiB of writes
  double slowest = write_blocks(rig.device().path(), 3072, 100);
  check(slowest < 1, "a write waited " + std::to_string(slowest) + " s");
  dmrc_state s = agent.state();
  check(s.state & DMRC_STATE_LOST && !(s.state & DMRC_STATE_STREAM) && s.lost_at == s.reserved,
        "state after overflow");
  check(word(rig.device().status(), 2) == "lost", "status: " + rig.device().status());
  uint64_t writes = 0;
  uint8_t last = 0;
  expect_errno(agent.try_start(7), EBUSY, "start with unread records");
  while (const dmrc_record* r = agent.next()) {
    check(last != DMRC_LOSS, "a record after the loss");
    last = r->type;
    writes += r->type == DMRC_WRITE;
    apply(agent, *r, replicas[0]);
  }
  check(last == DMRC_LOSS, "no loss record at the end");
  check(writes >= 1000 && writes <= 1024, "the ring held " + std::to_string(writes) + " writes of 4 KiB");
  agent.free_read();
  auto dirty = agent.dirty(0, era);
  uint64_t bytes = 0;
  for (const auto& e : dirty)
    bytes += e.sectors * kSector;
  check(bytes >= 12 * kMiB && bytes < 14 * kMiB, "dirty names " + std::to_string(bytes) + " bytes");
  resync(rig, agent, replicas, era);
}

// A volume whose disk is slow pins the tail of the ring; the others don't wait for it.
KT_TEST(slow_volume_pins_the_ring_but_nobody) {
  Rig rig("pin");
  zero(data_disk(1), kVolumeBytes);
  zero(meta_disk(1), kMiB);
  Device slow("slow-disk", kVolumeSectors, "delay", data_disk(1) + " 0 0 " + data_disk(1) + " 0 700");
  Device volume("pin-1", kVolumeSectors, "remotecopy", params(slow.path(), meta_disk(1), "pin", 1));
  Agent agent("pin");
  agent.start();
  Replicas replicas = rig.replicas();
  replicas[1] = Replica(kVolumeBytes);
  write_blocks(volume.path(), 1); // its region is open now
  Reader reader(agent, replicas); // frees all at once
  std::thread pinning([&] { write_blocks(volume.path(), 1, 1); });
  sleep_ms(50);
  double begin = now_s(), slowest = write_blocks(rig.device().path(), 2000);
  double took = now_s() - begin;
  dmrc_state s = agent.state();
  pinning.join();
  reader.stop();
  check(took > 0.7 || s.state & DMRC_STATE_LOST, "the tail was not pinned: the rig is wrong");
  check(slowest < 0.4, "a write of the quick volume waited " + std::to_string(slowest) + " s");
}

// Era, marker and order: what is before marker n has an era up to n, what follows a higher one.
KT_TEST(checkpoints_cut_eras_exactly) {
  Rig rig("mark");
  Agent agent("mark");
  uint64_t era = agent.start();
  auto replicas = rig.replicas();
  std::vector<uint64_t> marks;
  uint64_t ended = 0;
  bool verdict_due = false;
  std::atomic<uint64_t> between{0};
  Reader reader(agent, replicas, [&](const dmrc_record& r) {
    check(!verdict_due || r.type == DMRC_HELD, "the verdict doesn't follow its marker");
    verdict_due = r.type == DMRC_MARKER;
    if (r.type == DMRC_MARKER) {
      check(r.era > ended, "a marker twice");
      ended = r.era;
      marks.push_back(DMRC_ERA_N(r.era));
    } else if (r.type == DMRC_HELD) {
      check(r.era == ended, "verdict of another marker");
    } else {
      check(r.era > ended,
            "a record after marker " + std::to_string(ended) + " has era " + std::to_string(r.era));
      between++;
    }
  });
  Writers::Options o;
  o.pace = &agent;
  Writers writers(rig.device().path(), o);
  std::vector<uint64_t> put;
  for (int i = 0; i < 150; i++) {
    put.push_back(agent.checkpoint());
    sleep_ms(5);
  }
  writers.stop();
  uint64_t n = put.back();
  put.push_back(agent.checkpoint(n + 1000));
  reader.stop();
  check(put == marks, "markers put and read differ");
  check(put.front() == DMRC_ERA_N(era) && put.back() == n + 1000, "numbers of the checkpoints");
  check(between > 100, "too few writes between markers");
  dmrc_checkpoint c{};
  c.n = n;
  expect_errno(agent.try_ioctl(DMRC_IOC_CHECKPOINT, &c), EINVAL, "a number below the current one");
  c.n = 0;
  agent.stop();
  expect_errno(agent.try_ioctl(DMRC_IOC_CHECKPOINT, &c), ENOLINK, "a checkpoint without stream");
  check(agent.state().era == DMRC_ERA(0, n + 1001), "the era that began");
}

// A marker, its verdict and a loss record always find room.
KT_TEST(full_ring_keeps_room_for_marker_and_loss) {
  Rig rig("room");
  Agent agent("room");
  agent.start();
  Disk disk(rig.device().path());
  Buffer buffer(4096);
  for (int i = 0; i < 4095; i++) // of 4096 slots: two more than writes may have
    disk.write(buffer.data(), 512, i * 512);
  int markers = 0;
  dmrc_checkpoint c{};
  int error = agent.try_ioctl(DMRC_IOC_CHECKPOINT, &c);
  check(!error || agent.state().state & DMRC_STATE_LOST, "no marker in a full ring");
  for (int i = 0; i < 10 && !error; i++, markers++) {
    c = {};
    error = agent.try_ioctl(DMRC_IOC_CHECKPOINT, &c);
  }
  check(error == EAGAIN || error == ENOLINK, "a ring without end");
  disk.write(buffer.data(), 512, 0);
  uint8_t last = 0;
  while (const dmrc_record* r = agent.next())
    last = r->type;
  check(last == DMRC_LOSS, "the loss record found no room");
}

KT_TEST(streams_and_seals) {
  Rig rig("seal");
  Agent agent("seal");
  dmrc_put p{DMRC_SEAL, 0, 0};
  expect_errno(agent.try_ioctl(DMRC_IOC_PUT, &p), ENOLINK, "a seal without stream");
  expect_errno(agent.try_start(0x100000000), EINVAL, "a stream without a short id");
  agent.start(5);
  expect_errno(agent.try_start(6), EBUSY, "a second stream");
  write_blocks(rig.device().path(), 10);
  check(!agent.try_ioctl(DMRC_IOC_PUT, &p) && p.seq == 11, "the seal");
  write_blocks(rig.device().path(), 10);
  check(agent.state().reserved == 11, "a record after the seal");
  int n = 0;
  for (; agent.next(); n++)
    ;
  check(n == 11, "records of the stream");
  expect_errno(agent.try_start(6), EBUSY, "a stream before the last one is freed");
  agent.free_read();
  agent.start(6);
  write_blocks(rig.device().path(), 3);
  for (n = 0; const dmrc_record* r = agent.next(); n++)
    check(r->stream == 6 && r->seq == static_cast<uint64_t>(n + 1), "the new stream");
  check(n == 3, "old records in a new stream");
  Agent* second = nullptr;
  try {
    second = new Agent("seal");
  } catch (const Failure&) {
  }
  check(!second, "two files are attached to one group");
}

// Wake-ups come in batches: below the threshold after a millisecond, at it at once, never when nobody asks.
KT_TEST(wakeups_are_batched) {
  Rig rig("wake");
  Agent agent("wake");
  agent.start();
  write_blocks(rig.device().path(), 1);
  while (agent.next())
    agent.free_read();
  check(!agent.wait(30), "readable with nothing to read");
  std::thread writer([&] {
    sleep_ms(50);
    write_blocks(rig.device().path(), 1);
  });
  double begin = now_s();
  check(agent.wait(2000, 1000), "no wake-up below the threshold");
  check(now_s() - begin < 1, "the wake-up came late");
  writer.join();
  check(agent.next(), "woken for nothing");
  check(!agent.wait(30), "readable after all was read, though nothing was freed");
  agent.checkpoint();
  check(agent.wait(1000, 1000) && agent.next() && agent.next(), "a marker does not wake");
  check(!agent.next() && !agent.wait(20), "more than marker and verdict");
  pollfd p{agent.fd(), POLLPRI, 0};
  agent.state();
  check(poll(&p, 1, 0) == 0, "a change of state though nothing has changed");
  agent.stop();
  check(poll(&p, 1, 1000) == 1 && (p.revents & POLLPRI), "no word of a change of state");
}

KT_TEST(mappings_are_what_they_must_be) {
  Rig rig("maps");
  Agent agent("maps");
  const auto& a = agent.attached();
  int fd = agent.fd();
  auto refused = [&](uint64_t length, int prot, int flags, uint64_t offset, int error, const char* what) {
    void* p = mmap(nullptr, length, prot, flags, fd, offset);
    int got = p == MAP_FAILED ? errno : 0;
    if (!got)
      munmap(p, length);
    expect_errno(got, error, what);
  };
  refused(a.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, 0, EPERM, "a writable mapping of all");
  refused(4096, PROT_READ | PROT_WRITE, MAP_SHARED, 0, EPERM, "a writable info page");
  refused(8192, PROT_READ | PROT_WRITE, MAP_SHARED, 0, EPERM, "a writable mapping around the consumer page");
  refused(8192, PROT_READ | PROT_WRITE, MAP_SHARED, 4096, EPERM,
          "a writable mapping beyond the consumer page");
  refused(4096, PROT_READ, MAP_PRIVATE, 0, EINVAL, "a private mapping");
  refused(4096, PROT_READ, MAP_SHARED, a.map_bytes, EINVAL, "a mapping beyond the end");
  refused(a.map_bytes + 4096, PROT_READ, MAP_SHARED, 0, EINVAL, "a mapping over the end");
  void* p = mmap(nullptr, 8192, PROT_READ, MAP_SHARED, fd, 8192);
  check(p != MAP_FAILED, "a read-only part");
  check(mprotect(p, 4096, PROT_READ | PROT_WRITE), "mprotect made a slot writable");
  check(!mremap(p, 8192, 16384, MREMAP_MAYMOVE) || errno, "the mapping grew");
  munmap(p, 8192);
  // The data ring is there twice.
  agent.start();
  write_blocks(rig.device().path(), 1, 0, 0x77);
  auto* map = static_cast<uint8_t*>(mmap(nullptr, a.map_bytes, PROT_READ, MAP_SHARED, fd, 0));
  check(map != MAP_FAILED, "the mapping");
  check(map[a.data_offset] == 0x77 && map[a.data_offset + a.data_bytes] == 0x77, "the double mapping");
  munmap(map, a.map_bytes);
}

// Random and aimed stores into the consumer page, random ioctls: the volumes stay right, the kernel says
// nothing.
KT_TEST(hostile_agent_harms_nobody) {
  Rig rig("evil", 2);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  {
    Agent agent("evil");
    agent.start();
    threads.emplace_back([&] {
      std::mt19937_64 random(1);
      for (uint64_t i = 0; !stop; i++) {
        auto* words = reinterpret_cast<volatile uint64_t*>(agent.consumer());
        uint64_t values[] = {random(), ~0ULL, 0, agent.read_seq() + random() % 5000, 1ULL << 63};
        words[random() % 4 ? random() % 3 : random() % 512] = values[random() % 5];
      }
    });
    threads.emplace_back([&] {
      std::mt19937_64 random(2);
      std::vector<uint64_t> argument(64);
      for (uint64_t i = 0; !stop; i++) {
        for (auto& a : argument)
          a = random() % 3 ? random() % 4 : random();
        unsigned nr = random() % 17;
        // SYNC to fence stop would let writes fail, as it must: not here.
        unsigned long command = _IOC(random() % 4, DMRC_IOC_MAGIC, nr, 8 * (random() % 25));
        const unsigned long known[] = {DMRC_IOC_START, DMRC_IOC_STOP,   DMRC_IOC_ACK,    DMRC_IOC_CHECKPOINT,
                                       DMRC_IOC_LIFT,  DMRC_IOC_COPY,   DMRC_IOC_PUT,    DMRC_IOC_DIRTY,
                                       DMRC_IOC_MARK,  DMRC_IOC_SETTLE, DMRC_IOC_UPDATE, DMRC_IOC_VOLUME,
                                       DMRC_IOC_STATE, DMRC_IOC_ATTACH};
        if (random() % 8)
          command = known[random() % 14];
        agent.try_ioctl(command, argument.data());
        agent.next();
      }
    });
    // Each writer reads back what it wrote: it has its own half of a volume.
    std::vector<std::string> errors(2);
    std::atomic<uint64_t> rounds{0};
    for (unsigned w = 0; w < 2; w++)
      threads.emplace_back([&, w] {
        try {
          Disk disk(rig.device(w).path());
          Buffer out(64 * 1024), in(64 * 1024);
          std::mt19937_64 random(w + 10);
          for (; !stop; rounds++) {
            uint64_t length = (random() % 64 + 1) * 512, offset = random() % 1000 * 512;
            for (uint64_t i = 0; i < length; i += 8)
              *reinterpret_cast<uint64_t*>(out.data() + i) = random();
            disk.write(out.data(), length, offset);
            disk.read(in.data(), length, offset);
            check(!memcmp(out.data(), in.data(), length), "read back other data");
          }
        } catch (const std::exception& e) {
          errors[w] = e.what();
        }
      });
    sleep_ms(4000);
    stop = true;
    for (auto& t : threads)
      t.join();
    for (auto& e : errors)
      check(e.empty(), e);
    check(rounds > 300, "too few writes under attack: " + std::to_string(rounds));
  }
  // A decent agent finds a working group.
  Agent agent("evil");
  if (agent.attached().stream)
    agent.stop();
  agent.free_to(agent.state().reserved);
  await(5, "old copies end", [&] { return agent.try_start(0x51) == 0; });
  auto replicas = rig.replicas();
  Reader reader(agent, replicas);
  for (uint16_t v = 0; v < 2; v++)
    copy_extents(agent, v, {{0, rig.sectors, 0}});
  reader.stop();
  rig.must_equal(replicas);
}
