// SPDX-License-Identifier: GPL-2.0-or-later
// Checkpoints by hold: what waits, the one verdict, the kernel's cap, and why it makes a cut of two groups causal.
#include "harness.hpp"
#include "two_groups.hpp"

#include <cerrno>
#include <cstring>
#include <random>

using namespace kt;

namespace {

int try_hold(Agent& agent, uint64_t max_us, uint64_t* n = nullptr) {
  dmrc_checkpoint c{};
  c.max_hold_us = max_us;
  int error = agent.try_ioctl(DMRC_IOC_CHECKPOINT, &c);
  if (!error && n)
    *n = c.n;
  return error;
}

std::string text_of(Agent& agent) {
  dmrc_state s = agent.state();
  return "state " + std::to_string(s.state) + ", reserved " + std::to_string(s.reserved) + ", freed " +
         std::to_string(s.freed) + ", written " + std::to_string(s.written) + ", lost at " +
         std::to_string(s.lost_at);
}

uint64_t hold(Agent& agent, uint64_t max_us) {
  uint64_t n = 0;
  int error = try_hold(agent, max_us, &n);
  check(!error, std::string("no checkpoint: ") + strerror(error) + ", " + text_of(agent));
  return n;
}

int lift(Agent& agent, uint64_t n) { return agent.try_ioctl(DMRC_IOC_LIFT, &n); }

bool holding(Agent& agent) { return agent.state().state & DMRC_STATE_HOLDING; }

void open_region(const Rig& rig) {
  Disk disk(rig.devices[0]->path());
  Buffer buffer(4096);
  disk.write(buffer.data(), 4096, 0);
}

constexpr uint64_t kLong = 10000000; // the longest hold

} // namespace

KT_TEST(a_hold_withholds_what_follows_the_marker) {
  Rig rig("hold");
  Agent agent("hold");
  agent.start();
  open_region(rig);
  uint64_t n = hold(agent, kLong);
  int first_ms, second_ms;
  auto first = write_later(rig.device().path(), 0, first_ms);
  auto second = write_later(rig.device().path(), 1, second_ms);
  until_on_disk(agent, 4);
  sleep_ms(50);
  check(!done(first) && !done(second), "a completion got through the hold");
  check(holding(agent) && word(rig.device().status(), 2) == "held", rig.device().status());
  expect_errno(try_hold(agent, kLong), EBUSY, "a second hold");
  expect_errno(try_hold(agent, 0), EBUSY, "a checkpoint without hold meanwhile");
  expect_errno(lift(agent, n + 1), EINVAL, "lifting a checkpoint that is not there");
  check(!lift(agent, n), "no lift");
  check(!first.get() && !second.get(), "a write failed");
  expect_errno(lift(agent, n), ESTALE, "lifting twice");
  check(!holding(agent) && agent.state().hold_us >= 50000, "the hold time");
  auto records = drain(agent);
  check(records.size() == 5 && records[1].type == DMRC_MARKER && records[4].type == DMRC_HELD, "the records");
  check(DMRC_ERA_N(records[4].era) == n && records[2].era > records[4].era, "the eras");
  expect_errno(try_hold(agent, kLong + 1), EINVAL, "a hold of more than 10 s");
}

KT_TEST(a_marker_carries_the_epoch_it_was_asked_for_with) {
  Rig rig("epoch");
  Agent agent("epoch");
  agent.start();
  dmrc_checkpoint c{};
  c.epoch = 7;
  check(!agent.try_ioctl(DMRC_IOC_CHECKPOINT, &c), "no checkpoint");
  dmrc_arm arm{};
  arm.n = c.n + 1;
  arm.epoch = 8;
  arm.at_ns = c.time_ns + 100000000;
  arm.hold_ns = arm.confirm_us = 1000;
  check(!agent.try_ioctl(DMRC_IOC_ARM, &arm), "not armed");
  std::vector<dmrc_record> records;
  for (int wait = 0; records.size() < 4 && wait < 500; ++wait, sleep_ms(10))
    for (const auto& record : drain(agent))
      records.push_back(record);
  check(records.size() == 4 && records[0].type == DMRC_MARKER && records[2].type == DMRC_MARKER, "the records");
  check(records[0].sector == 7 && records[2].sector == 8, "the markers' epochs");
  check(records[1].sector == 0 && records[3].sector == 0, "a verdict has none");
  c.zero[0] = 1;
  expect_errno(agent.try_ioctl(DMRC_IOC_CHECKPOINT, &c), EINVAL, "a reserved field");
}

// Nobody lifts: with a living agent at the cap, with a dead one at once.
KT_TEST(a_hold_ends_by_itself_and_is_void) {
  Rig rig("void");
  int latency;
  std::future<int> write;
  {
    Agent agent("void");
    agent.start();
    open_region(rig);
    uint64_t n = hold(agent, 300000);
    write = write_later(rig.device().path(), 0, latency);
    check(write.get() == 0 && latency > 150 && latency < 2000,
          "the write waited " + std::to_string(latency) + " ms for a cap of 300 ms");
    expect_errno(lift(agent, n), ESTALE, "lifting what is void");
    auto records = drain(agent);
    check(records.back().type == DMRC_VOID && DMRC_ERA_N(records.back().era) == n && !count(records, DMRC_HELD),
          "the verdict: " + text_of(records));
    hold(agent, kLong);
    uint64_t reserved = agent.state().reserved;
    write = write_later(rig.device().path(), 0, latency);
    until_on_disk(agent, reserved + 1);
  } // the agent dies
  check(write.get() == 0 && latency < 5000, "the write waited for a dead agent");
  Agent agent("void");
  check(!holding(agent), "the hold outlived its agent");
  auto records = drain(agent);
  check(records.back().type == DMRC_VOID, "the verdict: " + text_of(records));
}

// Lift and cap meet: exactly one verdict, and the caller of lift knows which.
KT_TEST(each_marker_has_exactly_one_verdict) {
  Rig rig("one");
  Agent agent("one");
  agent.start();
  open_region(rig);
  drain(agent);
  std::mt19937 random(7);
  Writers::Options o;
  o.threads = 2;
  o.max_blocks = 8;
  o.pause_us = 200;
  Writers writers(rig.device().path(), o);
  unsigned lifted = 0, voided = 0;
  for (int i = 0; i < 300; i++) {
    uint64_t n = hold(agent, 1000 + random() % 1500);
    usleep(500 + random() % 2000);
    int error = lift(agent, n);
    check(!error || error == ESTALE, std::string("lift: ") + strerror(error));
    uint64_t held = 0, marked = 0, is_void = 0;
    for (const auto& r : drain(agent)) {
      marked += r.type == DMRC_MARKER;
      held += r.type == DMRC_HELD;
      is_void += r.type == DMRC_VOID;
      check((r.type != DMRC_HELD && r.type != DMRC_VOID) || DMRC_ERA_N(r.era) == n, "a verdict of another checkpoint");
    }
    check(marked == 1 && held == !error && is_void == !!error, "verdicts: " + std::to_string(held) + " held, " +
                                                                   std::to_string(is_void) + " void, lift said " +
                                                                   strerror(error));
    (error ? voided : lifted)++;
  }
  check(writers.stop() > 300, "too few writes");
  check(lifted > 20 && voided > 20, std::to_string(lifted) + " lifted, " + std::to_string(voided) + " void: no race");
}

// The end of a stream is the end of its hold: the verdict stands before the last record.
KT_TEST(a_stream_that_ends_leaves_a_void_verdict) {
  for (int how = 0; how < 3; how++) {
    Rig rig("ends");
    Agent agent("ends");
    agent.start();
    open_region(rig);
    hold(agent, kLong);
    int latency;
    auto write = write_later(rig.device().path(), 0, latency);
    await(5, "it waits", [&] { return agent.state().reserved == 3; });
    if (how == 0) {
      dmrc_put seal{DMRC_SEAL, 0, 0};
      check(!agent.try_ioctl(DMRC_IOC_PUT, &seal), "no seal");
    } else if (how == 1) {
      agent.stop();
    } else { // overflow: writes of another thread each, since none of them completes
      std::vector<std::future<int>> many;
      std::vector<int> times(80);
      for (int i = 0; i < 80; i++)
        many.push_back(write_later(rig.device().path(), 16 * i, times[i], 64 << 10));
      for (auto& one : many)
        check(!one.get(), "a write failed");
    }
    check(!write.get() && latency < 9000, "the write waited for the cap");
    auto records = drain(agent);
    const uint8_t last = records.back().type;
    if (how == 1)
      check(last == DMRC_VOID, "no verdict before the stop");
    else
      check(last == (how ? DMRC_LOSS : DMRC_SEAL) && records[records.size() - 2].type == DMRC_VOID,
            "no verdict before the end");
    check(count(records, DMRC_VOID) == 1 && !count(records, DMRC_HELD), "the verdicts");
  }
}

KT_TEST(suspend_and_removal_end_a_hold) {
  Rig rig("hsusp", 2);
  Agent agent("hsusp");
  agent.start();
  open_region(rig);
  for (bool noflush : {false, true}) {
    hold(agent, kLong);
    uint64_t reserved = agent.state().reserved;
    int latency;
    auto write = write_later(rig.device(0).path(), 0, latency);
    until_on_disk(agent, reserved + 1);
    // the other volume of the group
    double took = rig.device(1).suspend(noflush);
    check(took < 2, "a suspend took " + std::to_string(took) + " s");
    check(!write.get(), "the write failed");
    expect_errno(try_hold(agent, kLong), EBUSY, "a hold while a volume is suspended");
    check(!try_hold(agent, 0), "a checkpoint without hold while a volume is suspended");
    rig.device(1).resume();
  }
  // The volume goes while it is suspended: it must not refuse holds for ever.
  rig.device(1).suspend();
  rig.device(1).remove();
  uint64_t n = hold(agent, kLong);
  check(!lift(agent, n), "no lift");
  // A table of another target takes the volume's place.
  hold(agent, kLong);
  uint64_t reserved = agent.state().reserved;
  int latency;
  auto write = write_later(rig.device(0).path(), 0, latency);
  until_on_disk(agent, reserved + 1);
  rig.device(0).reload("linear", data_disk(0) + " 0");
  check(!write.get() && latency < 5000, "the reload waited for the hold");
}

// Sync mode and a hold at once: both must let go.
KT_TEST(a_hold_and_an_acknowledgement_are_both_waited_for) {
  Rig rig("hsync");
  Agent agent("hsync");
  agent.start();
  open_region(rig);
  agent.sync(DMRC_SYNC_WAIT, DMRC_FENCE_GO, boottime_ns() + 60000000000ULL);
  for (bool ack_first : {true, false}) {
    uint64_t n = hold(agent, kLong);
    uint64_t reserved = agent.state().reserved;
    int latency;
    auto write = write_later(rig.device().path(), 0, latency);
    until_on_disk(agent, reserved + 1);
    if (ack_first)
      agent.ack(reserved + 1);
    else
      check(!lift(agent, n), "no lift");
    sleep_ms(30);
    check(!done(write), "one of two was enough");
    if (ack_first)
      check(!lift(agent, n), "no lift");
    else
      agent.ack(agent.state().reserved);
    check(!write.get(), "the write failed");
  }
}

namespace {

void cut_by_hold(uint64_t max_us, int rounds) {
  cut_two_groups(rounds, [&](Agent& a, Agent& b) {
    uint64_t of_b = hold(b, max_us);
    usleep(2000);
    uint64_t of_a = hold(a, max_us);
    bool held = !lift(b, of_b);
    return !lift(a, of_a) && held;
  });
}

} // namespace

KT_TEST(a_cut_of_two_held_groups_is_causal) { cut_by_hold(kLong, 60); }

KT_TEST(without_the_hold_a_cut_of_two_groups_is_not_causal) {
  must_be_caught("no_hold", 3, [] { cut_by_hold(kLong, 60); });
}
