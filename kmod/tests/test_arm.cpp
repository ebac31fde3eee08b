// SPDX-License-Identifier: GPL-2.0-or-later
// Checkpoints armed for a time of the clock: where the marker stands, when the hold ends, who says `held`.
#include "harness.hpp"
#include "two_groups.hpp"

#include <cerrno>
#include <cstring>
#include <ctime>
#include <random>
#include <unistd.h>

using namespace kt;

namespace {

constexpr uint64_t kMs = 1000000;
constexpr uint64_t kLongest = 10000 * kMs; // a hold

uint64_t realtime_ns() {
  timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

uint64_t current_n(Agent& agent) { return DMRC_ERA_N(agent.state().era); }

int try_arm(Agent& agent, uint64_t n, uint64_t at_ns, uint64_t hold_ns, uint64_t confirm_us = 10000000) {
  dmrc_arm a{};
  a.n = n;
  a.at_ns = at_ns;
  a.hold_ns = hold_ns;
  a.confirm_us = confirm_us;
  return agent.try_ioctl(DMRC_IOC_ARM, &a);
}

// Armed for `ms` from now.
struct Armed {
  Armed(Agent& agent, uint64_t ms, uint64_t hold_ms, uint64_t confirm_ms = 10000)
      : n(current_n(agent)), at_ns(realtime_ns() + ms * kMs), end_ns(at_ns + hold_ms * kMs) {
    int error = try_arm(agent, n, at_ns, hold_ms * kMs, confirm_ms * 1000);
    check(!error, std::string("not armed: ") + strerror(error));
  }
  uint64_t n, at_ns, end_ns;
};

int confirm(Agent& agent, uint64_t n) { return agent.try_ioctl(DMRC_IOC_CONFIRM, &n); }
int disarm(Agent& agent, uint64_t n) { return agent.try_ioctl(DMRC_IOC_DISARM, &n); }

// Asks until the hold is over; the errno of the answer.
int confirm_after_hold(Agent& agent, uint64_t n) {
  int error;
  while ((error = confirm(agent, n)) == EBUSY)
    usleep(500);
  return error;
}

bool holding(Agent& agent) { return agent.state().state & DMRC_STATE_HOLDING; }
bool armed(Agent& agent) { return agent.state().state & DMRC_STATE_ARMED; }

void until_marked(Agent& agent) {
  await(5, "the hold", [&] { return holding(agent); });
}

void open_region(const Rig& rig) {
  Disk disk(rig.devices[0]->path());
  Buffer buffer(4096);
  disk.write(buffer.data(), 4096, 0);
}

// The records end with marker n and this verdict, and hold no other of either.
void must_end_with(Agent& agent, uint64_t n, uint8_t verdict) {
  auto records = drain(agent);
  check(records.size() >= 2 && records.back().type == verdict && DMRC_ERA_N(records.back().era) == n,
        "the verdict: " + text_of(records));
  check(count(records, DMRC_MARKER) == 1 && count(records, DMRC_HELD) + count(records, DMRC_VOID) == 1,
        "markers and verdicts: " + text_of(records));
  check(!armed(agent) && !agent.state().armed, "still armed");
}

// Under load the marker parts the records at T, and what follows it completes at T + E.
void cut_under_load() {
  Rig rig("at");
  Agent agent("at");
  agent.start();
  open_region(rig);
  drain(agent);
  Writers::Options o;
  o.threads = 3;
  o.max_blocks = 8;
  o.pause_us = 300;
  Writers writers(rig.device().path(), o);
  Armed a(agent, 100, 100);
  check(armed(agent) && agent.state().armed == a.n, "the state of an armed group");
  check(!confirm_after_hold(agent, a.n), "not confirmed");
  check(realtime_ns() >= a.end_ns, "confirmed before the end of the hold");
  check(writers.stop() > 20, "too few writes");
  auto records = drain(agent);
  unsigned before = 0, after = 0, held = 0;
  for (const auto& r : records) {
    std::string which = std::to_string(r.seq) + " of type " + std::to_string(r.type);
    held += r.type == DMRC_HELD;
    if (r.type == DMRC_MARKER) {
      check(DMRC_ERA_N(r.era) == a.n && r.time_ns > a.at_ns, "the marker");
      after = 1;
    } else if (after) {
      after++;
      check(r.time_ns > a.at_ns, "behind the marker stands record " + which + ", stamped before its time");
      check(r.type != DMRC_WRITE || DMRC_ERA_N(r.era) == a.n + 1, "the era of record " + which);
    } else {
      before++;
      check(r.time_ns <= a.at_ns, "before the marker stands record " + which + ", stamped after its time");
    }
  }
  check(before > 10 && after > 2 && held == 1, std::to_string(before) + " before the marker, " +
                                                   std::to_string(after) + " from it on, " + std::to_string(held) +
                                                   " held");
}

// The kernel alone: marker by the timer, the end of the hold, `void` since nobody confirms.
void without_an_agents_help() {
  Rig rig("alone");
  Agent agent("alone");
  agent.start();
  open_region(rig);
  drain(agent);
  Armed a(agent, 100, 200, 4000);
  until_marked(agent);
  check(word(rig.device().status(), 2) == "held", rig.device().status());
  check(realtime_ns() > a.at_ns, "marked before its time");
  int latency;
  auto write = write_later(rig.device().path(), 0, latency);
  check(!write.get(), "the write failed");
  uint64_t now = realtime_ns();
  check(now >= a.end_ns, "a write completed " + std::to_string(a.end_ns - now) + " ns before the end of the hold");
  check(now < a.end_ns + 2500 * kMs, "the write waited for the verdict");
  check(!holding(agent), "the hold goes on");
  await(10, "the verdict", [&] { return !armed(agent); });
  must_end_with(agent, a.n, DMRC_VOID);
  expect_errno(confirm(agent, a.n), ESTALE, "confirming what is void");
}

// The clock is set: `step_at` 0 before T, 1 in the hold, 2 after it.
struct ClockStep {
  explicit ClockStep(int64_t seconds) : seconds_(seconds) { step(seconds); }
  ~ClockStep() { step(-seconds_); }
  static void step(int64_t seconds) {
    timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += seconds;
    if (clock_settime(CLOCK_REALTIME, &t))
      fail_errno("setting the clock");
  }
  int64_t seconds_;
};

void set_the_clock(int64_t seconds, int step_at) {
  Rig rig("step");
  Agent agent("step");
  agent.start();
  open_region(rig);
  drain(agent);
  Armed a(agent, step_at ? 50 : 300, step_at == 1 ? 300 : 50);
  if (step_at == 1)
    until_marked(agent);
  if (step_at == 2)
    await(5, "the end of the hold", [&] {
      dmrc_state s = agent.state();
      return s.reserved == 2 && !(s.state & DMRC_STATE_HOLDING);
    });
  ClockStep step(seconds);
  if (step_at == 0)
    open_region(rig); // with the clock ahead this write is stamped after T
  await(5, "no hold", [&] {
    dmrc_state s = agent.state();
    return s.reserved >= 2 && !(s.state & DMRC_STATE_HOLDING);
  });
  expect_errno(confirm_after_hold(agent, a.n), ESTALE, "confirming with a clock that was set");
  check(!armed(agent), "no verdict");
  auto records = drain(agent);
  check(count(records, DMRC_VOID) == 1 && !count(records, DMRC_HELD), "the verdict: " + text_of(records));
}

// Two groups whose clocks differ by 20 ms: T comes to the one 20 ms earlier than to the other.
void cut_by_clock(uint64_t hold_ms, int rounds) {
  constexpr uint64_t kDifference = 20 * kMs;
  int valid = 0;
  cut_two_groups(rounds, [&](Agent& a, Agent& b) {
    for (;;) {
      uint64_t n[] = {current_n(a), current_n(b)}, at = realtime_ns() + 60 * kMs;
      int of_b = try_arm(b, n[1], at, hold_ms * kMs), of_a = try_arm(a, n[0], at - kDifference, hold_ms * kMs);
      if (of_a || of_b) { // this machine had a pause
        check((!of_a || of_a == ETIME) && (!of_b || of_b == ETIME), "not armed");
        if (!of_b)
          check(!disarm(b, n[1]), "not disarmed"); // its time is later than the other's
        if (!of_a)
          check(!disarm(a, n[0]), "not disarmed");
        continue;
      }
      bool held = !confirm_after_hold(a, n[0]);
      held &= !confirm_after_hold(b, n[1]);
      valid += held;
      return held;
    }
  });
  check(valid > rounds / 2, "only " + std::to_string(valid) + " valid checkpoints");
}

} // namespace

KT_TEST(an_armed_marker_parts_the_records_at_its_time) {
  cut_under_load();
  must_be_caught("marker_by_timer_only", 3, cut_under_load);
}

KT_TEST(an_armed_checkpoint_needs_nobody_for_its_hold) {
  without_an_agents_help();
  must_be_caught("held_unconfirmed", 1, without_an_agents_help);
  must_be_caught("hold_until_verdict", 1, without_an_agents_help);
}

KT_TEST(a_clock_that_is_set_makes_it_void) {
  for (int step_at : {0, 1, 2})
    for (int64_t seconds : {-100, 100})
      set_the_clock(seconds, step_at);
  must_be_caught("clock_unwatched", 1, [] { set_the_clock(100, 2); });
}

KT_TEST(arming_refuses_what_it_cannot_keep) {
  Rig rig("refuse", 2);
  Agent agent("refuse");
  const uint64_t soon = realtime_ns() + 60000 * kMs;
  expect_errno(try_arm(agent, 1, soon, kMs), ENOLINK, "no stream");
  agent.start();
  agent.checkpoint();
  uint64_t n = current_n(agent);
  expect_errno(try_arm(agent, n - 1, soon, kMs), EINVAL, "a number that was used");
  expect_errno(try_arm(agent, 0, soon, kMs), EINVAL, "no number");
  expect_errno(try_arm(agent, DMRC_ERA_N_MAX, soon, kMs), EINVAL, "the last number");
  expect_errno(try_arm(agent, n, realtime_ns() - 1, kMs), ETIME, "a time that has passed");
  expect_errno(try_arm(agent, n, 0, kMs), ETIME, "no time");
  expect_errno(try_arm(agent, n, realtime_ns() + 302000 * kMs, kMs), EINVAL, "a time too far ahead");
  expect_errno(try_arm(agent, n, ~0ULL, kMs), EINVAL, "the last time");
  expect_errno(try_arm(agent, n, soon, 0), EINVAL, "no hold");
  expect_errno(try_arm(agent, n, soon, kLongest + 1), EINVAL, "a hold of more than 10 s");
  expect_errno(try_arm(agent, n, soon, kMs, 0), EINVAL, "no time to confirm");
  expect_errno(try_arm(agent, n, soon, kMs, 10000001), EINVAL, "too long to confirm");
  dmrc_arm reserved{n, soon, kMs, 1, 0, {1}};
  expect_errno(agent.try_ioctl(DMRC_IOC_ARM, &reserved), EINVAL, "a reserved field");
  expect_errno(confirm(agent, n), EINVAL, "confirming a checkpoint that is not there");
  expect_errno(confirm(agent, n - 1), ESTALE, "confirming one that was not armed");
  expect_errno(disarm(agent, n), ESTALE, "disarming what is not armed");
  rig.device(1).suspend();
  expect_errno(try_arm(agent, n, soon, kMs), EBUSY, "arming while a volume is suspended");
  rig.device(1).resume();
  n = current_n(agent); // the resumed volume begins at its stored ceiling

  // Numbers may be skipped; nothing else starts meanwhile.
  expect_errno(try_arm(agent, n + 7, soon, kMs), 0, "arming");
  expect_errno(try_arm(agent, n + 8, soon, kMs), EBUSY, "two at once");
  dmrc_checkpoint c{};
  expect_errno(agent.try_ioctl(DMRC_IOC_CHECKPOINT, &c), EBUSY, "another checkpoint");
  uint64_t seven = n + 7;
  expect_errno(agent.try_ioctl(DMRC_IOC_LIFT, &seven), EINVAL, "lifting it");
  expect_errno(confirm(agent, n + 7), EBUSY, "confirming before its time");
  expect_errno(disarm(agent, n), ESTALE, "disarming another number");
  drain(agent);
  check(!disarm(agent, n + 7), "disarming");
  expect_errno(disarm(agent, n + 7), ESTALE, "disarming twice");
  check(drain(agent).empty() && current_n(agent) == n, "disarming before the marker left a trace");
  // Also what a hold does not allow.
  c.max_hold_us = 10000000;
  check(!agent.try_ioctl(DMRC_IOC_CHECKPOINT, &c), "a hold");
  expect_errno(try_arm(agent, n + 1, soon, kMs), EBUSY, "arming during a hold");
  uint64_t held = c.n;
  check(!agent.try_ioctl(DMRC_IOC_LIFT, &held), "no lift");
  // What is stamped stays stamped when the clock goes back: T must lie after it.
  open_region(rig);
  ClockStep back(-100);
  expect_errno(try_arm(agent, n + 1, realtime_ns() + 50000 * kMs, kMs), ETIME, "a time before the last stamp");
  check(!try_arm(agent, n + 1, realtime_ns() + 150000 * kMs, kMs), "a time after it");
}

KT_TEST(arming_reads_nothing_of_a_secondary) {
  Rig rig("armsec", 1, std::string(kArgs) + " role secondary");
  Agent agent("armsec");
  expect_errno(try_arm(agent, 1, realtime_ns() + 1000 * kMs, kMs), EROFS, "arming a secondary");
}

// Before its marker (0) it leaves marker and `void`, or nothing when disarmed; in its hold (1) and after it (2) `void`.
KT_TEST(whatever_ends_an_armed_checkpoint_makes_it_void) {
  enum { Suspend, Seal, Stop, Close, Join, Disarm };
  for (int how : {Suspend, Seal, Stop, Close, Join, Disarm})
    for (int when : {0, 1, 2}) {
      if (when ? how == Join : how == Disarm)
        continue; // a number that is used up can't be taken by another; the other case of disarming is above
      printf("  way %d at %d\n", how, when);
      Rig rig("ends");
      auto agent = std::make_unique<Agent>("ends");
      agent->start();
      open_region(rig);
      drain(*agent);
      Armed a(*agent, when ? 30 : 30000, when == 1 ? 9000 : 20);
      int latency = 0;
      std::future<int> write;
      if (when == 1) {
        until_marked(*agent);
        write = write_later(rig.device().path(), 0, latency);
        until_on_disk(*agent, 3);
      } else if (when == 2) {
        await(5, "the end of the hold", [&] {
          dmrc_state s = agent->state();
          return s.reserved == 2 && !(s.state & DMRC_STATE_HOLDING);
        });
      }
      std::unique_ptr<Device> other;
      if (how == Suspend) {
        double took = rig.device().suspend();
        check(took < 3, "a suspend took " + std::to_string(took) + " s");
      } else if (how == Seal) {
        dmrc_put seal{DMRC_SEAL, 0, 0};
        check(!agent->try_ioctl(DMRC_IOC_PUT, &seal), "no seal");
      } else if (how == Stop) {
        agent->stop();
      } else if (how == Close) {
        agent.reset();
        agent = std::make_unique<Agent>("ends");
      } else if (how == Disarm) {
        check(!disarm(*agent, a.n), "not disarmed");
      } else { // another volume with higher eras comes
        zero(data_disk(1), kVolumeBytes);
        zero(meta_disk(1), kMiB);
        other = std::make_unique<Device>("ends-1", kVolumeSectors, "remotecopy",
                                         params(data_disk(1), meta_disk(1), "ends", 1,
                                                std::string(kArgs) + " generation 3"));
        check(agent->state().era >= DMRC_ERA(3, 1), "the era of the new generation");
      }
      if (write.valid())
        check(!write.get() && latency < 8000, "the write waited for the end of the hold");
      check(!holding(*agent) && !armed(*agent), "not ended");
      auto records = drain(*agent);
      if (how == Seal) {
        check(records.back().type == DMRC_SEAL, "the seal");
        records.pop_back();
      }
      check(count(records, DMRC_MARKER) == 1 && !count(records, DMRC_HELD) && records.back().type == DMRC_VOID &&
                DMRC_ERA_N(records.back().era) == a.n,
            "the records: " + text_of(records));
      if (how == Suspend)
        rig.device().resume();
      if (how != Seal && how != Stop) {
        Armed next(*agent, 50, 10);
        expect_errno(confirm_after_hold(*agent, next.n), 0, "the next one");
      }
    }
}

// A ring with room for no write any more still has it for the marker, the verdict and the loss.
KT_TEST(a_full_ring_keeps_room_for_what_is_armed) {
  Rig rig("fullarm");
  Agent agent("fullarm");
  agent.start();
  open_region(rig);
  dmrc_put end{DMRC_END_OF_COPYING, 1, 0};
  int error;
  auto fill = [&] {
    while (!(error = agent.try_ioctl(DMRC_IOC_PUT, &end)))
      ;
    expect_errno(error, EAGAIN, "the end of the room");
  };
  fill();
  Armed a(agent, 50, 20);
  expect_errno(agent.try_ioctl(DMRC_IOC_PUT, &end), EAGAIN, "a record more");
  check(!confirm_after_hold(agent, a.n), "not confirmed");
  expect_errno(try_arm(agent, a.n + 1, realtime_ns() + 1000 * kMs, kMs), EAGAIN, "arming without room");
  open_region(rig); // overflow
  check(agent.state().state & DMRC_STATE_LOST, "no overflow");
  auto records = drain(agent);
  auto last = [&](unsigned i) { return records[records.size() - i].type; };
  check(last(1) == DMRC_LOSS && last(2) == DMRC_HELD && last(3) == DMRC_MARKER, "the last records");
  // Overflow while it is armed.
  agent.start(5);
  fill();
  Armed b(agent, 30000, 20);
  open_region(rig);
  records = drain(agent);
  check(last(1) == DMRC_LOSS && last(2) == DMRC_VOID && last(3) == DMRC_MARKER, "the last records after an overflow");
}

// Confirmation and the end of the time for it meet: exactly one verdict, and the caller knows which.
KT_TEST(each_armed_marker_has_exactly_one_verdict) {
  Rig rig("armone");
  Agent agent("armone");
  agent.start();
  open_region(rig);
  drain(agent);
  std::mt19937 random(11);
  Writers::Options o;
  o.threads = 2;
  o.max_blocks = 8;
  o.pause_us = 200;
  Writers writers(rig.device().path(), o);
  unsigned confirmed = 0, voided = 0;
  for (int i = 0; i < 200; i++) {
    uint64_t n = current_n(agent);
    int error = try_arm(agent, n, realtime_ns() + 4 * kMs, kMs, 1000 + random() % 2000);
    if (error == ETIME)
      continue; // this machine had a pause
    check(!error, std::string("not armed: ") + strerror(error));
    usleep(5000 + random() % 4000);
    error = confirm_after_hold(agent, n);
    check(!error || error == ESTALE, std::string("confirm: ") + strerror(error));
    auto records = drain(agent);
    check(count(records, DMRC_MARKER) == 1 && count(records, DMRC_HELD) == !error &&
              count(records, DMRC_VOID) == !!error,
          "verdicts: " + text_of(records) + ", confirm said " + strerror(error));
    (error ? voided : confirmed)++;
  }
  check(writers.stop() > 300, "too few writes");
  check(confirmed > 10 && voided > 10,
        std::to_string(confirmed) + " confirmed, " + std::to_string(voided) + " void: no race");
}

KT_TEST(a_cut_by_clocks_that_differ_by_less_than_the_hold_is_causal) { cut_by_clock(40, 20); }

KT_TEST(a_cut_by_clocks_that_differ_by_more_is_not) {
  bool caught = false;
  try {
    cut_by_clock(1, 60);
  } catch (const Failure& e) {
    caught = std::string(e.what()).find("depends on") != std::string::npos;
  }
  check(caught, "a hold shorter than the difference of the clocks was enough: the test above can't fail");
  must_be_caught("no_hold", 3, [] { cut_by_clock(40, 60); });
}
