// SPDX-License-Identifier: GPL-2.0-or-later
// Sync acknowledgement, its deadline, the note, fence stop, suspend with writes that wait.
#include "harness.hpp"

#include <cerrno>

using namespace kt;

namespace {

constexpr uint64_t kSecond = 1000000000;

void open_regions(const std::string& path, unsigned blocks) {
  Disk disk(path);
  Buffer buffer(4096);
  for (unsigned i = 0; i < blocks; i++)
    disk.write(buffer.data(), 4096, i * 4096);
}

} // namespace

KT_TEST(sync_writes_complete_when_acknowledged_in_order) {
  Rig rig("sync");
  Agent agent("sync");
  agent.start();
  open_regions(rig.device().path(), 8);
  uint64_t since = agent.sync(DMRC_SYNC_WAIT, DMRC_FENCE_GO, boottime_ns() + 30 * kSecond);
  check(since == 8, "since_seq");
  int latency[3];
  std::future<int> writes[3];
  for (int i = 0; i < 3; i++) {
    writes[i] = write_later(rig.device().path(), i, latency[i]);
    await(2, "the record of a write", [&] { return agent.state().reserved == since + i + 1; });
  }
  sleep_ms(100);
  check(agent.state().written == since + 3, "the backing writes wait for user space");
  for (auto& w : writes)
    check(!done(w), "a write completed before its acknowledgement");
  agent.ack(since + 1);
  await(2, "the first write completes", [&] { return done(writes[0]); });
  sleep_ms(30);
  check(!done(writes[1]) && !done(writes[2]), "a later write completed with the first");
  dmrc_ack too_much{since + 100, 0};
  expect_errno(agent.try_ioctl(DMRC_IOC_ACK, &too_much), EINVAL, "an acknowledgement of what doesn't exist");
  agent.ack(since + 3);
  for (auto& w : writes)
    check(w.get() == 0, "a write failed");
  check(word(rig.device().status(), 3) == "sync", rig.device().status());
  agent.sync(DMRC_SYNC_OFF, DMRC_FENCE_GO, 0);
  open_regions(rig.device().path(), 1);
}

KT_TEST(sync_load_with_prompt_acknowledgements) {
  Rig rig("syncload", 2);
  Agent agent("syncload");
  agent.start();
  auto replicas = rig.replicas();
  agent.sync(DMRC_SYNC_WAIT, DMRC_FENCE_STOP, boottime_ns() + 30 * kSecond);
  Reader reader(agent, replicas, [&](const dmrc_record& r) { agent.ack(r.seq); });
  Writers::Options o;
  Writers a(rig.device(0).path(), o), b(rig.device(1).path(), o);
  sleep_ms(1500);
  uint64_t n = a.stop() + b.stop();
  reader.stop();
  rig.must_equal(replicas);
  check(n > 100, "too few sync writes: " + std::to_string(n));
}

// The agent is dead: the kernel keeps the deadline, stores the note, then lets the write go.
KT_TEST(deadline_rules_without_an_agent) {
  Rig rig("alone");
  uint64_t era;
  int latency = 0;
  std::future<int> write;
  {
    Agent agent("alone");
    era = agent.start();
    open_regions(rig.device().path(), 1);
    agent.sync(DMRC_SYNC_WAIT, DMRC_FENCE_GO, boottime_ns() + 800000000);
    write = write_later(rig.device().path(), 0, latency);
    sleep_ms(50);
    const uint64_t later = boottime_ns() + kSecond;
    agent.ack(0, later); // moves it
    agent.ack(0, boottime_ns() + kSecond / 10); // doesn't move it back
    check(agent.state().alone_after_ns == later, "the deadline that STATE tells");
  }
  sleep_ms(300);
  check(!done(write), "the death of the agent let a write complete");
  check(write.get() == 0, "the write failed");
  check(latency > 900 && latency < 2500, "the write waited " + std::to_string(latency) + " ms");
  open_regions(rig.device().path(), 50); // no longer waits
  check(word(rig.device().status(), 3) == "alone", rig.device().status());
  Agent agent("alone");
  dmrc_state s = agent.state();
  check(s.state & DMRC_STATE_ALONE && s.alone_since == era, "state");
  dmrc_volume v = agent.volume(0);
  check(v.flags & DMRC_VOLUME_ALONE && v.alone_since == era, "the note");
  // It survives a reload from the metadata device, and goes with the next SYNC.
  agent.stop();
  rig.device().remove();
  rig.devices[0] = std::make_unique<Device>("alone-0", rig.sectors, "remotecopy", rig.params_of());
  v = agent.volume(0);
  check(v.flags & DMRC_VOLUME_ALONE && v.alone_since == era, "the note after a reload");
  agent.free_to(agent.state().reserved);
  agent.start(3);
  uint64_t since = agent.sync(DMRC_SYNC_WAIT, DMRC_FENCE_GO, boottime_ns() + 20 * kSecond);
  check(!(agent.volume(0).flags & DMRC_VOLUME_ALONE), "the note stays");
  check(!(agent.state().state & DMRC_STATE_ALONE), "still alone");
  write = write_later(rig.device().path(), 0, latency);
  sleep_ms(100);
  check(!done(write), "no wait after the return to sync");
  agent.ack(since + 1);
  check(write.get() == 0, "the write failed");
}

KT_TEST(fence_stop_lets_writes_fail) {
  Rig rig("fence");
  Agent agent("fence");
  agent.start();
  open_regions(rig.device().path(), 1);
  agent.sync(DMRC_SYNC_WAIT, DMRC_FENCE_STOP, boottime_ns() + kSecond / 2);
  int latency;
  auto write = write_later(rig.device().path(), 0, latency);
  expect_errno(write.get(), EIO, "a write after the deadline");
  check(latency > 300, "it failed before the deadline");
  check(write_later(rig.device().path(), 0, latency).get() == EIO && latency < 300, "a later write");
  check(!(agent.volume(0).flags & DMRC_VOLUME_ALONE), "a note though nothing completed alone");
  check(word(rig.device().status(), 3) == "stopped", rig.device().status());
  agent.sync(DMRC_SYNC_OFF, DMRC_FENCE_GO, 0);
  open_regions(rig.device().path(), 1);
}

// Overflow in sync mode: writes without a record wait for the deadline too, none completes before.
KT_TEST(sync_overflow_waits_for_the_deadline) {
  Rig rig("syncover");
  Agent agent("syncover");
  agent.start();
  open_regions(rig.device().path(), 1);
  agent.sync(DMRC_SYNC_WAIT, DMRC_FENCE_GO, boottime_ns() + kSecond);
  dmrc_put seal{DMRC_SEAL, 0, 0};
  check(!agent.try_ioctl(DMRC_IOC_PUT, &seal), "the seal");
  int latency;
  auto write = write_later(rig.device().path(), 0, latency);
  check(write.get() == 0, "the write failed");
  check(latency > 700 && latency < 3000, "a write without record waited " + std::to_string(latency) + " ms");
}

// A repeated SYNC, as by an agent that came back, lets nothing go.
KT_TEST(sync_again_does_not_release_waiting_writes) {
  Rig rig("again");
  int latency;
  std::future<int> write;
  {
    Agent agent("again");
    agent.start();
    open_regions(rig.device().path(), 1);
    agent.sync(DMRC_SYNC_WAIT, DMRC_FENCE_GO, boottime_ns() + 20 * kSecond);
    write = write_later(rig.device().path(), 0, latency);
    await(2, "the record", [&] { return agent.state().reserved == 2; });
  }
  Agent agent("again");
  agent.sync(DMRC_SYNC_WAIT, DMRC_FENCE_GO, boottime_ns() + 20 * kSecond);
  sleep_ms(100);
  check(!done(write), "the write completed without acknowledgement");
  agent.ack(2);
  check(write.get() == 0, "the write failed");
}

KT_TEST(suspend_with_waiting_sync_writes_ends) {
  Rig rig("syncsusp");
  Agent agent("syncsusp");
  agent.start();
  open_regions(rig.device().path(), 1);
  uint64_t since = agent.sync(DMRC_SYNC_WAIT, DMRC_FENCE_GO, boottime_ns() + 2 * kSecond);
  int latency;
  auto write = write_later(rig.device().path(), 0, latency);
  await(2, "the record", [&] { return agent.state().reserved == since + 1; });
  sleep_ms(50);
  // noflush: pushed back at once, done again after the resume
  double took = rig.device().suspend(true);
  check(took < 1, "a noflush suspend took " + std::to_string(took) + " s");
  check(!done(write), "the write completed during the suspend");
  rig.device().resume();
  await(2, "the second record", [&] { return agent.state().reserved >= since + 2; });
  // flush: ends at the deadline at the latest
  took = rig.device().suspend();
  check(took < 2.5, "a suspend took " + std::to_string(took) + " s");
  rig.device().resume();
  check(write.get() == 0, "the write failed");
  check(word(rig.device().status(), 3) == "alone", rig.device().status());
}
