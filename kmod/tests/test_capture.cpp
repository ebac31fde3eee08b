// SPDX-License-Identifier: GPL-2.0-or-later
// Capture: order, one truth, overlap, agents that die.
#include "harness.hpp"

#include <csignal>
#include <cstring>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace kt;

namespace {

// Writers and a reader on one volume for a while; then the disk equals what the ring said.
void write_and_compare(Writers::Options options, double seconds, uint64_t at_least) {
  Rig rig("order");
  Agent agent("order");
  agent.start();
  auto replicas = rig.replicas();
  uint64_t time = 0, era = 0;
  Reader reader(agent, replicas, [&](const dmrc_record& r) {
    check(r.time_ns >= time, "time ran backwards");
    check(r.era >= era, "era ran backwards");
    time = r.time_ns;
    era = r.era;
  });
  options.pace = &agent;
  Writers writers(rig.device().path(), options);
  sleep_ms(seconds * 1000);
  uint64_t written = writers.stop();
  reader.stop();
  check(!(agent.state().state & DMRC_STATE_LOST), "the ring overflowed");
  rig.must_equal(replicas);
  check(written >= at_least, "only " + std::to_string(written) + " writes: too few to judge");
}

Writers::Options crowded() {
  Writers::Options o;
  o.threads = 8;
  o.span = 32 * 1024; // all of them meet
  o.max_blocks = 24;
  return o;
}

Writers::Options scribbled() {
  Writers::Options o;
  o.threads = 3;
  o.scribble = true;
  o.max_blocks = 128;
  return o;
}

} // namespace

KT_TEST(replica_equals_disk) {
  Writers::Options o;
  o.max_blocks = 64;
  o.fsync = true;
  write_and_compare(o, 2, 2000);
}

KT_TEST(overlapping_writes_have_one_order) { write_and_compare(crowded(), 2, 2000); }

KT_TEST_SMP(overlap_mutant_is_caught) {
  must_be_caught("no_overlap", 5, [] { write_and_compare(crowded(), 2, 0); });
}

KT_TEST(buffers_modified_in_flight_give_one_truth) { write_and_compare(scribbled(), 2, 500); }

KT_TEST_SMP(one_truth_mutant_is_caught) {
  must_be_caught("submit_original", 5, [] { write_and_compare(scribbled(), 2, 0); });
}

// W2 issued after W1 completed has the higher seq, across the volumes of the group.
KT_TEST(completed_before_issued_is_before_in_seq) {
  Rig rig("cross", 3);
  Agent agent("cross");
  agent.start();
  auto replicas = rig.replicas();
  std::map<uint64_t, uint64_t> last; // writer -> counter
  Reader reader(agent, replicas, [&](const dmrc_record& r) {
    if (r.type != DMRC_WRITE)
      return;
    uint64_t words[2];
    memcpy(words, agent.data(r), sizeof(words));
    check(words[1] == last[words[0]] + 1, "writer " + std::to_string(words[0]) + ": write " +
                                              std::to_string(words[1]) + " after " +
                                              std::to_string(last[words[0]]));
    last[words[0]] = words[1];
  });
  std::vector<std::thread> writers;
  for (uint64_t w = 0; w < 3; w++)
    writers.emplace_back([&, w] {
      std::vector<std::unique_ptr<Disk>> disks;
      for (auto& d : rig.devices)
        disks.push_back(std::make_unique<Disk>(d->path()));
      Buffer buffer(4096);
      for (uint64_t i = 1; i <= 1500; i++) {
        while (agent.state().data_used > kMiB)
          usleep(200);
        uint64_t words[2] = {w, i};
        memcpy(buffer.data(), words, sizeof(words));
        disks[(i + w) % 3]->write(buffer.data(), 4096, (w * 400 + i % 300) * 4096);
      }
    });
  for (auto& t : writers)
    t.join();
  reader.stop();
  rig.must_equal(replicas);
  for (uint64_t w = 0; w < 3; w++)
    check(last[w] == 1500, "a write is missing");
}

// The agent is a process here: killed at any moment, its successor reads on from `freed`.
KT_TEST(killed_agents_lose_nothing) {
  // Agents die before they have caught up: the ring holds all that is written meanwhile.
  Rig rig("kill", 1, "ring_mib 16 region_kib 64");
  uint64_t bytes = rig.sectors * kSector;
  auto* image = static_cast<uint8_t*>(
      mmap(nullptr, bytes + 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  auto* applied = reinterpret_cast<std::atomic<uint64_t>*>(image + bytes);
  auto* seen = applied + 1;
  { Agent("kill").start(); }
  auto spawn = [&] {
    pid_t pid = fork();
    if (pid)
      return pid;
    try {
      Agent agent("kill");
      uint64_t n = 0;
      for (;;) {
        const dmrc_record* r = agent.next();
        if (!r) {
          agent.wait(10, 16);
          continue;
        }
        if (r->seq > *seen + 1 || r->type == DMRC_LOSS)
          _exit(3); // a gap
        if (r->type == DMRC_WRITE)
          memcpy(image + r->sector * kSector, agent.data(*r), r->length);
        if (r->seq > *seen)
          *seen = r->seq;
        ++*applied;
        if (++n % 16 == 0)
          agent.free_read();
      }
    } catch (...) {
      _exit(4);
    }
    return pid;
  };
  Writers::Options o;
  o.pause_us = 300;
  o.threads = 2;
  Writers writers(rig.device().path(), o);
  uint64_t redone = 0;
  for (int i = 0; i < 10; i++) {
    uint64_t before = *applied;
    pid_t pid = spawn();
    int status;
    await(60, "an agent moves records", [&] {
      check(waitpid(pid, &status, WNOHANG) == 0, "an agent gave up: status " + std::to_string(WEXITSTATUS(status)));
      return *applied > before + 50;
    });
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    check(WIFSIGNALED(status), "an agent gave up: status " + std::to_string(WEXITSTATUS(status)));
  }
  writers.stop();
  pid_t pid = spawn();
  uint64_t last = 0;
  int quiet = 0;
  await(60, "the last agent reads all", [&] {
    uint64_t now = *seen;
    quiet = now == last && now > 0 ? quiet + 1 : 0;
    last = now;
    sleep_ms(100);
    return quiet == 10;
  });
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  redone = *applied - *seen;
  Agent agent("kill");
  check(agent.attached().stream == 0x1122334400000001, "the stream did not survive its agents");
  check(agent.state().reserved == *seen, "records were never seen");
  Replicas replicas;
  replicas[0] = Replica(image, image + bytes);
  munmap(image, bytes + 4096);
  rig.must_equal(replicas);
  printf("  10 kills, %llu records, %llu read twice\n", static_cast<unsigned long long>(last),
         static_cast<unsigned long long>(redone));
}

// Live writes and copy records have one order: a copy made under load ends equal.
KT_TEST(initial_copy_under_load) {
  Rig rig("copying");
  {
    Writers::Options o;
    Writers before(rig.device().path(), o);
    sleep_ms(300);
    before.stop();
  }
  Agent agent("copying");
  agent.start();
  Replicas replicas;
  replicas[0] = Replica(rig.sectors * kSector, 0xEE);
  std::atomic<uint64_t> copies{0}, lives{0};
  Reader reader(agent, replicas, [&](const dmrc_record& r) {
    copies += r.type == DMRC_COPY;
    lives += r.type == DMRC_WRITE;
    check(r.type != DMRC_LOSS, "the ring overflowed");
    check(r.type != DMRC_END_OF_COPYING || copies == rig.sectors / 128, "the end of copying stands before a copy");
  });
  Writers::Options o;
  o.seed = 2;
  o.pause_us = 100;
  Writers writers(rig.device().path(), o);
  copy_extents(agent, 0, {{0, rig.sectors, 0}});
  writers.stop();
  reader.stop();
  check(copies == rig.sectors / 128, "a copy record is missing");
  check(lives > 100, "too few live writes");
  rig.must_equal(replicas);
}
