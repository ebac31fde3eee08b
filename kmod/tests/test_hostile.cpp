// SPDX-License-Identifier: GPL-2.0-or-later
// An agent that means harm, or that hangs: stores aimed at the ring's bounds, ioctls with bad and nearly good
// arguments, games with mappings and files, SIGSTOP. The volumes' content stays right and no write waits longer than
// it must.
#include "harness.hpp"

#include <cerrno>
#include <csignal>
#include <ctime>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace kt;

namespace {

constexpr uint64_t kSecond = 1000000000;
constexpr uint64_t kSpan = 512 * 1024;

// Writes to the start of one volume, reads back each time, and knows in the end what the disk must hold.
class Checked {
public:
  Checked(const std::string& path, uint64_t seed) : disk_(path), thread_([this, seed] { run(seed); }) {}
  ~Checked() {
    stop_ = true;
    if (thread_.joinable())
      thread_.join();
  }
  // Throws when a read or the whole content was wrong; returns the longest wait in seconds.
  double stop() {
    stop_ = true;
    thread_.join();
    check(error_.empty(), error_);
    auto content = disk_.content(kSpan);
    check(content == expected_, "the disk holds other data than was written");
    return slowest_;
  }
  uint64_t rounds() const { return rounds_; }

private:
  void run(uint64_t seed) try {
    std::mt19937_64 random(seed);
    Buffer out(64 * 1024), in(64 * 1024);
    auto before = disk_.content(kSpan);
    expected_ = before;
    for (; !stop_; rounds_++) {
      uint64_t length = (random() % 64 + 1) * kSector, offset = random() % ((kSpan - length) / kSector) * kSector;
      for (uint64_t i = 0; i < length; i += 8)
        *reinterpret_cast<uint64_t*>(out.data() + i) = random();
      double begin = now_s();
      disk_.write(out.data(), length, offset);
      slowest_ = std::max(slowest_, now_s() - begin);
      memcpy(&expected_[offset], out.data(), length);
      disk_.read(in.data(), length, offset);
      check(!memcmp(out.data(), in.data(), length), "read back other data");
    }
  } catch (const std::exception& e) {
    error_ = e.what();
  }

  Disk disk_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> rounds_{0};
  double slowest_ = 0;
  std::vector<uint8_t> expected_;
  std::string error_;
  std::thread thread_;
};

// A decent agent finds a group in which everything works.
void must_be_usable(Rig& rig) {
  Agent agent(rig.group);
  if (agent.attached().stream)
    agent.stop();
  agent.sync(DMRC_SYNC_OFF, DMRC_FENCE_GO, 0);
  agent.free_to(agent.state().reserved);
  await(5, "a new stream", [&] { return agent.try_start(0x51) == 0; });
  auto replicas = rig.replicas();
  Reader reader(agent, replicas);
  for (uint16_t v = 0; v < rig.devices.size(); v++)
    copy_extents(agent, v, {{0, rig.sectors, 0}});
  reader.stop();
  rig.must_equal(replicas);
}

// `body` in a process of its own, which ends with 0 when it returns.
pid_t spawn(const std::function<void()>& body) {
  pid_t pid = fork();
  if (pid)
    return pid;
  try {
    body();
  } catch (const std::exception& e) {
    printf("  child: %s\n", e.what());
    _exit(1);
  }
  _exit(0);
}

void must_end_well(pid_t pid, const char* what) {
  int status = 0;
  check(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status),
        std::string(what) + ": status " + std::to_string(status));
}

bool sigsegv(const std::function<void()>& body) {
  pid_t pid = spawn(body);
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS);
}

// User Mode Linux leaves in the child's host process what its own tables no longer have.
bool children_lack_what_is_not_copied() {
  void* p = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  check(p != MAP_FAILED && !madvise(p, 4096, MADV_DONTFORK), "a mapping that isn't copied");
  *static_cast<volatile uint8_t*>(p) = 1;
  bool lack = sigsegv([&] { (void)*static_cast<volatile uint8_t*>(p); });
  munmap(p, 4096);
  return lack;
}

} // namespace

// Values around all that the kernel compares with. Space is really gained: far more is captured than the ring holds.
KT_TEST(aimed_stores_gain_space_and_break_nothing) {
  Rig rig("aim", 2);
  uint64_t captured = 0, streams = 0;
  std::unique_ptr<Checked> writers[2];
  double slowest = 0;
  {
    Agent agent("aim");
    agent.start();
    for (unsigned i = 0; i < 2; i++)
      writers[i] = std::make_unique<Checked>(rig.device(i).path(), i + 1);
    std::mt19937_64 random(3);
    auto* page = reinterpret_cast<volatile uint64_t*>(agent.consumer());
    const auto& a = agent.attached();
    dmrc_state s = agent.state();
    for (double end = now_s() + 3; now_s() < end;) {
      for (unsigned i = 0; i < 50; i++) {
        uint64_t near = random() % 9 - 4;
        const uint64_t aims[] = {s.reserved,           s.reserved + near,     s.freed + near,
                                 s.freed + a.slots,    s.reserved - a.slots,  s.freed + a.data_bytes,
                                 s.freed + (1ULL << 32), ~0ULL + near,        (1ULL << 63) + near,
                                 near};
        uint64_t aim = aims[random() % 10];
        // freed, the wake-up words, read; sometimes elsewhere
        page[random() % 8 ? random() % 3 : random() % 512] = aim;
        if (random() % 16 == 0)
          agent.wait(0, random() % 3);
      }
      dmrc_state now = agent.state();
      check(now.freed <= now.reserved && now.written <= now.reserved && now.committed <= now.reserved,
            "the state has numbers beyond what was given out");
      check(now.freed >= s.freed || now.reserved < s.reserved, "freed went back");
      check(now.data_used <= a.data_bytes, "more in use than there is");
      s = now;
      if (!s.stream) { // it overflowed: free all, begin again
        captured += s.reserved;
        page[0] = s.reserved;
        streams += agent.try_start(random() | 1) == 0;
        s = agent.state();
      }
    }
    captured += agent.state().reserved;
    for (auto& w : writers)
      slowest = std::max(slowest, w->stop());
  }
  printf("  %llu records in %llu streams, %llu writes, the slowest %.0f ms\n",
         static_cast<unsigned long long>(captured), static_cast<unsigned long long>(streams + 1),
         static_cast<unsigned long long>(writers[0]->rounds() + writers[1]->rounds()), slowest * 1e3);
  check(captured > 600, "hardly a write was captured: " + std::to_string(captured));
  check(slowest < 2, "a write waited " + std::to_string(slowest) + " s");
  must_be_usable(rig);
}

// Every ioctl in random order; arguments nearly right, so that they come far, and pointers to nowhere. Writes wait for
// acknowledgements too, but no deadline lies more than a second after the begin.
KT_TEST(nearly_good_ioctls_break_nothing) {
  Rig rig("near", 2);
  const uint64_t last_deadline = boottime_ns() + kSecond;
  std::unique_ptr<Checked> writers[2];
  uint64_t done[32] = {};
  auto never_well_formed = [&] {
    std::string numbers;
    for (unsigned long command : {DMRC_IOC_START, DMRC_IOC_ACK, DMRC_IOC_SYNC, DMRC_IOC_CHECKPOINT, DMRC_IOC_COPY,
                                  DMRC_IOC_PUT, DMRC_IOC_DIRTY, DMRC_IOC_VOLUME, DMRC_IOC_LIFT, DMRC_IOC_THROTTLE,
                                  DMRC_IOC_ARM, DMRC_IOC_DISARM})
      if (!done[_IOC_NR(command)])
        numbers += " ioctl " + std::to_string(_IOC_NR(command));
    return numbers;
  };
  double slowest = 0;
  {
    Agent agent("near");
    agent.start();
    for (unsigned i = 0; i < 2; i++)
      writers[i] = std::make_unique<Checked>(rig.device(i).path(), i + 5);
    std::mt19937_64 random(9);
    void* read_only = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    std::vector<dmrc_extent> extents(70);
    auto pick = [&](std::initializer_list<uint64_t> some) { return some.begin()[random() % some.size()]; };
    auto sector = [&] { return pick({0, 1, 8, 64, 127, 128, kVolumeSectors - 1, kVolumeSectors, ~0ULL, random()}); };
    auto number = [&] { return pick({0, 1, 2, 128, 129, 4096, 65536, 65537, ~0ULL, random()}); };
    auto target = [&] { // of a pointer
      return pick({reinterpret_cast<uint64_t>(extents.data()), reinterpret_cast<uint64_t>(extents.data()),
                   reinterpret_cast<uint64_t>(read_only), 0, 8, ~0ULL - 7, 1ULL << 47});
    };
    auto deadline = [&] { return std::min(last_deadline, boottime_ns() + random() % (kSecond / 5)); };
    auto call = [&](unsigned long command, void* argument) {
      // sometimes the argument itself lies nowhere, or ends with its page
      void* at = random() % 16 ? argument : random() % 2 ? read_only : reinterpret_cast<void*>(random());
      if (!agent.try_ioctl(command, at))
        done[_IOC_NR(command)]++;
    };
    // three seconds, and on until each command was accepted once: on a slow machine chance alone needs longer for some
    double end = now_s() + 3;
    while (now_s() < end || (!never_well_formed().empty() && now_s() < end + 60)) {
      for (auto& e : extents)
        e = {sector(), number(), pick({0, DMRC_ERA(0, 3), DMRC_ERA_OPEN, random()})};
      dmrc_state s = agent.state();
      switch (random() % 16) {
      case 0: {
        dmrc_start start{pick({1, random(), 1ULL << 32}), 0, {pick({0, 0, 1}), 0}};
        agent.free_to(s.reserved);
        call(DMRC_IOC_START, &start);
        break;
      }
      case 1:
        if (random() % 8 == 0)
          call(DMRC_IOC_STOP, nullptr);
        break;
      case 2: {
        dmrc_ack ack{pick({0, s.reserved, s.reserved + 1, s.acked, ~0ULL}), deadline()};
        call(DMRC_IOC_ACK, &ack);
        break;
      }
      case 3: {
        dmrc_sync sync{static_cast<uint32_t>(pick({0, 1, 1, 2})), DMRC_FENCE_GO, deadline(), 0, pick({0, 0, 0, 1})};
        call(DMRC_IOC_SYNC, &sync);
        break;
      }
      case 4: {
        dmrc_checkpoint c{};
        c.n = pick({0, 0, DMRC_ERA_N(s.era) + random() % 3, DMRC_ERA_N(s.era) - 1, DMRC_ERA_N_MAX, ~0ULL});
        c.max_hold_us = pick({0, 0, 0, 0, 1, 1000, 5000, 10000001, ~0ULL});
        c.zero[random() % 2] = pick({0, 0, 1});
        call(DMRC_IOC_CHECKPOINT, &c);
        // a hold is short: one that comes by chance alone seldom meets it
        if (random() % 2)
          call(DMRC_IOC_LIFT, &c.n);
        break;
      }
      case 5: {
        dmrc_copy c{sector(), static_cast<uint32_t>(number()), static_cast<uint32_t>(pick({0, 1, 2, 3})),
                    static_cast<uint16_t>(random() % 3), 0, static_cast<uint32_t>(pick({0, 0, 1}))};
        call(DMRC_IOC_COPY, &c);
        break;
      }
      case 6: {
        // seldom a seal: it ends the stream
        dmrc_put p{static_cast<uint32_t>(random() % 32 ? uint64_t{DMRC_END_OF_COPYING} : random() % 14),
                   static_cast<uint32_t>(number()), 0};
        call(DMRC_IOC_PUT, &p);
        break;
      }
      case 7: {
        dmrc_dirty d{};
        d.since = number();
        d.start_sector = sector();
        d.extents = target();
        d.max_extents = pick({1, 7, 70, 70, 0, 70});
        d.volume = random() % 3;
        call(DMRC_IOC_DIRTY, &d);
        break;
      }
      case 8:
      case 9: {
        dmrc_regions r{target(), static_cast<uint32_t>(pick({0, 1, 70, 65536, 65537, ~0U})),
                       static_cast<uint16_t>(random() % 3), static_cast<uint16_t>(random() % 4)};
        call(random() % 2 ? DMRC_IOC_MARK : DMRC_IOC_SETTLE, &r);
        break;
      }
      case 10: {
        dmrc_update u{static_cast<uint16_t>(random() % 3), static_cast<uint16_t>(random() % 3), 0, number()};
        call(DMRC_IOC_UPDATE, &u);
        break;
      }
      case 11: {
        dmrc_volume v{};
        v.volume = number();
        call(DMRC_IOC_VOLUME, &v);
        break;
      }
      case 12: {
        uint64_t n = pick({0, DMRC_ERA_N(s.era) - 1, DMRC_ERA_N(s.era) - 1, DMRC_ERA_N(s.era), ~0ULL});
        call(DMRC_IOC_LIFT, &n);
        break;
      }
      case 13: {
        dmrc_throttle t{static_cast<uint32_t>(pick({0, 1, 200, 300001, ~0U})), static_cast<uint32_t>(pick({0, 0, 1}))};
        call(DMRC_IOC_THROTTLE, &t);
        break;
      }
      case 14: {
        timespec real;
        clock_gettime(CLOCK_REALTIME, &real);
        uint64_t now = real.tv_sec * kSecond + real.tv_nsec;
        // mostly good, so that the other calls meet something that is armed
        dmrc_arm a{DMRC_ERA_N(s.era) + random() % 2, now + pick({5000000, 20000000}), pick({1, 1000000, 5000000}),
                   pick({1, 1000, 20000}), random() % 3, {}};
        switch (random() % 16) {
        case 0:
          a.n = pick({0, DMRC_ERA_N(s.era) - 1, DMRC_ERA_N_MAX, ~0ULL});
          break;
        case 1:
          a.at_ns = pick({0, now, now + 400 * kSecond, ~0ULL});
          break;
        case 2:
          a.hold_ns = pick({0, 10 * kSecond + 1, ~0ULL});
          break;
        case 3:
          a.confirm_us = pick({0, 10000001, ~0ULL});
          break;
        case 4:
          a.zero[0] = 1;
        }
        uint64_t n = pick({s.armed, s.armed, s.armed, DMRC_ERA_N(s.era), random()});
        switch (random() % 3) {
        case 0:
          call(DMRC_IOC_ARM, &a);
          break;
        case 1:
          call(DMRC_IOC_CONFIRM, &n);
          break;
        default:
          call(DMRC_IOC_DISARM, &n);
        }
        break;
      }
      default: {
        // not PROTECT with 1: that writes fail is what it is for
        uint8_t page[4096] = {};
        unsigned long some = random();
        call(random() % 3 ? DMRC_IOC_PROTECT : _IOC(some & 3, DMRC_IOC_MAGIC, some >> 8 & 31, some >> 16 & 255), page);
      }
      }
      agent.next();
    }
    munmap(read_only, 4096);
    agent.sync(DMRC_SYNC_OFF, DMRC_FENCE_GO, 0);
    for (auto& w : writers)
      slowest = std::max(slowest, w->stop());
  }
  check(never_well_formed().empty(), "never well formed:" + never_well_formed());
  check(writers[0]->rounds() + writers[1]->rounds() > 200, "too few writes");
  check(slowest < 2.5, "a write waited " + std::to_string(slowest) + " s");
  must_be_usable(rig);
}

// Arguments in memory that can't be written: the call fails before it has done anything.
KT_TEST(an_answer_that_cannot_be_stored_has_no_effect) {
  Rig rig("mute");
  auto* page = static_cast<uint8_t*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  check(page != MAP_FAILED, "a page");
  auto read_only = [&](int fd, unsigned long command, const auto& argument) {
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
    memcpy(page, &argument, sizeof(argument));
    mprotect(page, 4096, PROT_READ);
    return ioctl(fd, command, page) ? errno : 0;
  };
  dmrc_attach attach{};
  attach.abi_version = DMRC_ABI_VERSION;
  strcpy(attach.group, "mute");
  int fd = open("/dev/remotecopy", O_RDWR);
  check(fd >= 0, "/dev/remotecopy");
  expect_errno(read_only(fd, DMRC_IOC_ATTACH, attach), EFAULT, "ATTACH");
  dmrc_state state{};
  expect_errno(ioctl(fd, DMRC_IOC_STATE, &state) ? errno : 0, ENOTCONN, "the file after it");
  {
    Agent agent("mute"); // the group is free
    const uint64_t before = agent.state().reserved;
    dmrc_start start{};
    start.stream = 7;
    expect_errno(read_only(agent.fd(), DMRC_IOC_START, start), EFAULT, "START");
    check(!agent.state().stream && !(agent.state().state & DMRC_STATE_STREAM), "a stream runs");
    check(!agent.try_start(7), "a stream afterwards");
    expect_errno(read_only(agent.fd(), DMRC_IOC_CHECKPOINT, dmrc_checkpoint{}), EFAULT, "CHECKPOINT");
    expect_errno(read_only(agent.fd(), DMRC_IOC_PUT, dmrc_put{DMRC_SEAL, 0, 0}), EFAULT, "PUT");
    dmrc_sync sync{};
    sync.mode = DMRC_SYNC_WAIT;
    expect_errno(read_only(agent.fd(), DMRC_IOC_SYNC, sync), EFAULT, "SYNC");
    check(agent.state().reserved == before && !(agent.state().state & DMRC_STATE_SYNC), "a call had an effect");
  }
  check(!ioctl(fd, DMRC_IOC_ATTACH, &attach), "the same file attaches");
  close(fd);
  munmap(page, 4096);
}

// No way to write what is read-only, to make a mapping larger or to keep one in a child; a mapping outlives its file
// and its volume.
KT_TEST(mapping_games_win_nothing) {
  Rig rig("games");
  auto agent = std::make_unique<Agent>("games");
  const dmrc_attach a = agent->attached();
  agent->start();
  auto map = [&](uint64_t length, int prot, int flags, uint64_t offset) {
    return static_cast<uint8_t*>(mmap(nullptr, length, prot, flags, agent->fd(), offset));
  };
  uint8_t* all = map(a.map_bytes, PROT_READ, MAP_SHARED, 0);
  check(all != MAP_FAILED, "the mapping");
  int memory = open("/proc/self/mem", O_RDWR), zeros = open("/dev/zero", O_RDONLY);
  check(memory >= 0 && zeros >= 0, "/proc/self/mem");
  const uint64_t parts[] = {0, a.control_offset, a.data_offset, a.copy_offset, a.map_bytes - 4096};
  for (uint64_t at : parts) {
    std::string where = " at " + std::to_string(at);
    uint8_t byte = 0xEE, before = all[at];
    expect_errno(mprotect(all + at, 4096, PROT_READ | PROT_WRITE) ? errno : 0, EACCES, "mprotect to write" + where);
    expect_errno(mprotect(all + at, 4096, PROT_READ | PROT_EXEC) ? errno : 0, EACCES, "mprotect to run" + where);
    check(pwrite(memory, &byte, 1, reinterpret_cast<off_t>(all + at)) < 0, "a write through /proc/self/mem" + where);
    check(read(zeros, all + at, 16) < 0 && errno == EFAULT, "read() into the mapping" + where);
    iovec from{&byte, 1}, to{all + at, 1};
    check(process_vm_writev(getpid(), &from, 1, &to, 1, 0) < 0, "process_vm_writev" + where);
    check(sigsegv([&] { *static_cast<volatile uint8_t*>(all + at) = 1; }), "a store" + where);
    check(all[at] == before, "the content changed" + where);
    check(map(4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, at) == MAP_FAILED, "a private mapping" + where);
  }
  check(mremap(all + a.map_bytes - 4096, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT,
        "a mapping that grows");
  check(mremap(all, 0, 4096, MREMAP_MAYMOVE) == MAP_FAILED, "a mapping doubled by mremap");
  for (uint64_t offset : {a.map_bytes, a.map_bytes + 4096, 1ULL << 40, (1ULL << 63) - 4096})
    check(map(4096, PROT_READ, MAP_SHARED, offset) == MAP_FAILED, "an offset beyond the end");
  if (children_lack_what_is_not_copied())
    check(sigsegv([&] { (void)*static_cast<volatile uint8_t*>(all); }), "a child inherits the mapping");
  else
    printf("  not looked at: whether a child inherits the mapping, since this machine lets it inherit all\n");
  // Holes: what is left goes on.
  munmap(all + a.control_offset, 8192);
  munmap(all + a.data_offset + a.data_bytes, 4096);
  Buffer block(4096);
  memset(block.data(), 0x3C, 4096);
  Disk(rig.device().path()).write(block.data(), 4096, 0);
  check(all[a.data_offset] == 0x3C, "the rest of the mapping");
  uint8_t* moved = static_cast<uint8_t*>(mremap(all + a.data_offset, 4096, 4096, MREMAP_MAYMOVE));
  check(moved == all + a.data_offset, "a mapping that stays");
  // Volume and file go, the pages stay readable until they are unmapped.
  agent.reset();
  rig.devices.clear();
  check(all[a.data_offset] == 0x3C, "the mapping after its group");
  munmap(all, a.map_bytes);
  close(memory);
  close(zeros);
}

// The attached file in other hands: sent over a socket, inherited, used by three processes at once. The group is taken
// until the last of them closes.
KT_TEST(a_file_passed_around_is_one_agent) {
  Rig rig("pass");
  int sockets[2];
  check(!socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), "a socket");
  auto taken = [] {
    try {
      Agent second("pass");
      return false;
    } catch (const Failure&) {
      return true;
    }
  };
  auto agent = std::make_unique<Agent>("pass");
  agent->start();
  pid_t heir = spawn([&] { // has it by fork
    char byte;
    check(read(sockets[1], &byte, 1) == 1, "the word to go on");
    dmrc_checkpoint c{};
    check(!agent->try_ioctl(DMRC_IOC_CHECKPOINT, &c), "a checkpoint by an heir");
    check(!agent->try_copy(0, 0, 128), "a copy by an heir");
  });
  check(write(sockets[0], "x", 1) == 1, "the word to go on");
  must_end_well(heir, "the heir");
  check(agent->state().reserved >= 2, "what the heir did is missing");

  pid_t receiver = spawn([&] {
    close(agent->fd()); // what it has by fork
    char byte, control[CMSG_SPACE(sizeof(int))];
    iovec v{&byte, 1};
    msghdr message{};
    message.msg_iov = &v;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    check(recvmsg(sockets[1], &message, 0) == 1 && CMSG_FIRSTHDR(&message), "the message");
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
    dmrc_state s{};
    check(!ioctl(fd, DMRC_IOC_STATE, &s) && s.stream, "the state by the received file");
    check(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096) != MAP_FAILED, "its consumer page");
    check(write(sockets[1], "r", 1) == 1 && read(sockets[1], &byte, 1) == 1, "the word to end");
  });
  char byte = 'f', control[CMSG_SPACE(sizeof(int))] = {};
  iovec v{&byte, 1};
  msghdr message{};
  message.msg_iov = &v;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof(int));
  int fd = agent->fd();
  memcpy(CMSG_DATA(head), &fd, sizeof(fd));
  check(sendmsg(sockets[0], &message, 0) == 1, "the message");
  check(read(sockets[0], &byte, 1) == 1 && byte == 'r', "the receiver has it");
  agent.reset();
  check(taken(), "the group is free while another process has the file");
  check(write(sockets[0], "e", 1) == 1, "the word to end");
  must_end_well(receiver, "the receiver");
  check(!taken(), "the group is taken though nobody has the file");
  // In flight in a socket that is closed: the file goes with it.
  int pair[2];
  check(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "a socket");
  {
    Agent sent("pass");
    fd = sent.fd();
    memcpy(CMSG_DATA(head), &fd, sizeof(fd));
    check(sendmsg(pair[0], &message, 0) == 1, "the message");
  }
  check(taken(), "the group is free while the file is in flight");
  close(pair[0]);
  close(pair[1]);
  await(5, "the file goes with its socket", [&] { return !taken(); });
  close(sockets[0]);
  close(sockets[1]);
  must_be_usable(rig);
}

// A stopped agent: the ring overflows and nobody waits for it; in sync mode writes wait until the deadline, no longer.
KT_TEST(a_stopped_agent_stops_nobody) {
  for (bool wait : {false, true}) {
    Rig rig("stopped");
    auto* page = static_cast<std::atomic<uint64_t>*>(
        mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    pid_t pid = spawn([&] {
      Agent agent("stopped");
      agent.start();
      if (wait)
        agent.sync(DMRC_SYNC_WAIT, DMRC_FENCE_GO, boottime_ns() + kSecond / 2);
      for (;;) {
        const dmrc_record* r = agent.next();
        if (r)
          page[0] = r->seq;
        agent.free_read();
        if (wait && r)
          agent.ack(r->seq, boottime_ns() + kSecond / 2);
        if (!r)
          agent.wait(10, 16);
      }
    });
    double slowest;
    {
      Checked writer(rig.device().path(), 4);
      await(10, "the agent reads", [&] { return page[0] > 20; });
      kill(pid, SIGSTOP);
      int status;
      waitpid(pid, &status, WUNTRACED);
      uint64_t before = writer.rounds();
      await(10, "the writer goes on", [&] { return writer.rounds() > before + 600; });
      slowest = writer.stop();
    }
    std::string status = rig.device().status();
    check(word(status, 2) == "lost", status);
    check(word(status, 3) == (wait ? "alone" : "async"), status);
    check(slowest < 2 && (!wait || slowest > 0.3), "the longest wait was " + std::to_string(slowest) + " s");
    kill(pid, SIGCONT);
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    munmap(page, 4096);
    must_be_usable(rig);
  }
}
