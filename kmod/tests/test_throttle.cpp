// SPDX-License-Identifier: GPL-2.0-or-later
// A full ring whose writes may wait: order, the kernel's own timer, suspend, agents that die.
#include "harness.hpp"

#include <cerrno>

using namespace kt;

namespace {

constexpr uint64_t kRing = 4 * kMiB;
constexpr uint64_t kLarge = 64 << 10; // one record: a region

int try_throttle(Agent& agent, uint32_t max_wait_ms) {
  dmrc_throttle t{max_wait_ms, 0};
  return agent.try_ioctl(DMRC_IOC_THROTTLE, &t);
}

void throttle(Agent& agent, uint32_t max_wait_ms) {
  check(!try_throttle(agent, max_wait_ms), "the kernel refuses to throttle");
}

// Large writes to the first volume. Nobody may read.
void fill_ring(const Rig& rig, uint64_t bytes = kRing) {
  Disk disk(rig.devices[0]->path());
  Buffer buffer(kLarge);
  for (uint64_t at = 0; at < bytes; at += kLarge)
    disk.write(buffer.data(), kLarge, at);
}

bool lost(Agent& agent) { return agent.state().state & DMRC_STATE_LOST; }

// Load of three rings from four threads, read slowly; throws when the ring overflows or the disk differs.
void slow_reader(uint32_t max_wait_ms) {
  Rig rig("slow");
  Agent agent("slow");
  agent.start();
  throttle(agent, max_wait_ms);
  auto replicas = rig.replicas();
  Reader reader(agent, replicas, [](const dmrc_record& r) {
    if (r.length >= 32 << 10)
      usleep(500);
  });
  Writers::Options o;
  o.max_blocks = 256;
  Writers writers(rig.device().path(), o);
  await(30, "records of three rings, and writes that waited for room", [&] {
    const bool enough = max_wait_ms == 0 || agent.state().throttled > 10;
    return lost(agent) || (enough && reader.records() > 3 * kRing / kLarge);
  });
  writers.stop();
  reader.stop();
  dmrc_state s = agent.state();
  check(!(s.state & DMRC_STATE_LOST), "the ring overflowed");
  rig.must_equal(replicas);
}

// A large write waits for room; then comes a small one, for which there is some.
void large_write_keeps_its_place(uint32_t max_wait_ms) {
  Rig rig("place", 2);
  Agent agent("place");
  agent.start();
  throttle(agent, max_wait_ms);
  {
    Disk second(rig.device(1).path()); // opens the region that is written to below
    Buffer buffer(4096);
    second.write(buffer.data(), 4096, 0);
  }
  fill_ring(rig, kRing - kLarge);
  const uint64_t reserved = agent.state().reserved;
  int large_ms, small_ms;
  auto large = write_later(rig.device(0).path(), 0, large_ms, kLarge);
  await(5, "the large write waits", [&] { return agent.state().throttled == 1; });
  auto small = write_later(rig.device(1).path(), 0, small_ms);
  await(5, "the small write is there", [&] { return agent.state().throttled == 2 || done(small); });
  check(!done(small), "a later write found room before one that waits");
  std::vector<uint16_t> order; // volumes of the records that follow
  while (order.size() < 2) {
    check(agent.wait(5000), "no record within 5 s");
    while (const dmrc_record* r = agent.next()) {
      if (r->seq > reserved)
        order.push_back(r->volume);
      agent.free_read();
    }
  }
  check(order == std::vector<uint16_t>{0, 1}, "the later write has the lower number");
  check(!large.get() && !small.get(), "a write failed");
  check(!lost(agent), "the ring overflowed");
}

} // namespace

KT_TEST(throttled_writes_wait_for_room_and_lose_nothing) { slow_reader(30000); }

// The same load without throttle overflows: the test above can fail.
KT_TEST(without_throttle_the_same_load_overflows) {
  try {
    slow_reader(0);
  } catch (const Failure& failure) {
    check(std::string(failure.what()) == "the ring overflowed", failure.what());
    return;
  }
  fail("the load did not fill the ring");
}

KT_TEST(throttled_writes_keep_their_order) { large_write_keeps_its_place(30000); }

KT_TEST(throttle_order_mutant_is_caught) {
  must_be_caught("throttled_in_any_order", 1, [] { large_write_keeps_its_place(1000); });
}

KT_TEST(throttle_ends_by_the_kernels_timer) {
  Rig rig("timer");
  int latency = 0;
  std::future<int> write;
  {
    Agent agent("timer");
    agent.start();
    expect_errno(try_throttle(agent, 300001), EINVAL, "a wait of more than 300 s");
    dmrc_throttle reserved{1, 1};
    expect_errno(agent.try_ioctl(DMRC_IOC_THROTTLE, &reserved), EINVAL, "a reserved field");
    throttle(agent, 700);
    fill_ring(rig);
    uint32_t events = rig.device().event_nr();
    write = write_later(rig.device().path(), 0, latency, kLarge);
    await(5, "the write waits", [&] { return agent.state().state & DMRC_STATE_THROTTLED; });
    check(word(rig.device().status(), 2) == "throttled", rig.device().status());
    await(5, "a dm event", [&] { return rig.device().event_nr() > events; });
  } // the agent is gone
  check(write.get() == 0, "the write failed");
  check(latency >= 690 && latency < 3000, "the write waited " + std::to_string(latency) + " ms");
  check(word(rig.device().status(), 2) == "lost", rig.device().status());
  Agent agent("timer");
  check(agent.state().state & DMRC_STATE_LOST, "state");
  // What didn't fit is in the map.
  check(!agent.dirty(0, 0).empty(), "nothing is dirty");
  while (agent.next())
    agent.free_read();
  agent.start(9);
  await(5, "the calm after it", [&] { return !(agent.state().state & DMRC_STATE_THROTTLED); });
}

// Whatever makes waiting pointless ends it at once: no throttle any more, no stream any more.
KT_TEST(throttled_writes_go_when_there_is_nothing_to_wait_for) {
  for (bool seal : {false, true}) {
    Rig rig("end");
    Agent agent("end");
    agent.start();
    throttle(agent, 60000);
    fill_ring(rig);
    int latency;
    auto write = write_later(rig.device().path(), 0, latency, kLarge);
    await(5, "the write waits", [&] { return agent.state().throttled == 1; });
    if (seal) {
      dmrc_put put{DMRC_SEAL, 0, 0};
      check(!agent.try_ioctl(DMRC_IOC_PUT, &put), "no seal in a full ring");
    } else {
      throttle(agent, 0);
    }
    check(write.get() == 0 && latency < 20000, "the write waited on");
    check(lost(agent) == !seal, "the state after it");
  }
}

KT_TEST(suspend_with_throttled_writes_ends) {
  Rig rig("thsusp");
  Agent agent("thsusp");
  agent.start();
  throttle(agent, 1500);
  fill_ring(rig);
  int latency;
  auto write = write_later(rig.device().path(), 0, latency, kLarge);
  await(5, "the write waits", [&] { return agent.state().throttled == 1; });
  // noflush: pushed back at once, waits anew after the resume
  double took = rig.device().suspend(true);
  check(took < 1, "a noflush suspend took " + std::to_string(took) + " s");
  check(!done(write) && !lost(agent), "the write ended with the suspend");
  rig.device().resume();
  await(5, "the write waits again", [&] { return agent.state().throttled >= 2; });
  // flush: ends when the wait does at the latest
  took = rig.device().suspend();
  check(took < 3, "a suspend took " + std::to_string(took) + " s");
  check(lost(agent), "the stream goes on, so the suspend can't have ended");
  rig.device().resume();
  check(write.get() == 0, "the write failed");
}

// Copies find slots although writes wait for every one that is freed.
KT_TEST(copies_go_on_while_writes_are_throttled) {
  Rig rig("thcopy");
  Agent agent("thcopy");
  agent.start();
  throttle(agent, 30000);
  auto replicas = rig.replicas();
  Reader reader(agent, replicas, [](const dmrc_record&) { usleep(100); });
  Writers::Options o;
  o.threads = 8;
  o.max_blocks = 8;
  o.span = kVolumeBytes / 2;
  Writers writers(rig.device().path(), o);
  await(20, "writes wait for room", [&] { return agent.state().throttled > 100; });
  uint64_t copied =
      copy_extents(agent, 0, {{kVolumeSectors / 2, kVolumeSectors / 2, 0}}); // the half that nobody writes to
  uint64_t waited = agent.state().throttled;
  writers.stop();
  reader.stop();
  check(copied == kVolumeBytes / 2, "copied " + std::to_string(copied));
  check(waited > 200, "the writes were not throttled meanwhile");
  check(!lost(agent), "the ring overflowed");
  rig.must_equal(replicas);
}
