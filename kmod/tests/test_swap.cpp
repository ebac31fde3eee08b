// SPDX-License-Identifier: GPL-2.0-or-later
// Swap on a volume whose backing RAM disk takes a new page for each page that goes out: the worker that carries on a
// waiting write must get memory when nobody else does, or the machine stands still.
#include "debug.hpp"
#include "harness.hpp"

#include <csignal>
#include <cstdio>
#include <cstring>
#include <sys/mman.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace kt;

namespace {

constexpr uint64_t kSwapBytes = 48 * kMiB;
// Nothing ever writes the upper half of this RAM disk, so its pages don't exist.
const std::string kBlank = "/dev/ram9 131072";

uint64_t counter(const std::string& file, const std::string& name) {
  std::string text = read_file(file);
  size_t at = text.find(name);
  if (at == std::string::npos)
    fail("no " + name + " in " + file);
  return std::stoull(text.substr(at + name.size()));
}

// Every other page of the RAM disk is there from the beginning: if each took a new one, what goes out would free
// nothing and memory end at once.
void make_swap(const std::string& path) {
  Buffer page(4096);
  Disk disk(path);
  for (uint64_t at = 0; at < kSwapBytes; at += 8192)
    disk.write(page.data(), 4096, at);
  uint32_t head[2] = {1, kSwapBytes / 4096 - 1}; // version, last page
  memcpy(page.data() + 1024, head, sizeof(head));
  memcpy(page.data() + 4086, "SWAPSPACE2", 10);
  disk.write(page.data(), 4096, 0);
}

// Takes memory, page by page, none like the other, until there is none or the parent ends it.
[[noreturn]] void eat(uint64_t bytes) {
  auto* all = static_cast<uint64_t*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (all == MAP_FAILED)
    _exit(1);
  for (uint64_t at = 0; at < bytes / 8; at += 512)
    all[at] = at + 1;
  _exit(0);
}

// The eater alone may be chosen when memory ends; this process has to watch.
struct Spared {
  Spared() {
    write_file("/proc/self/oom_score_adj", "-1000");
    if (mlockall(MCL_CURRENT))
      fail_errno("mlockall");
  }
  ~Spared() {
    munlockall();
    write_file("/proc/self/oom_score_adj", "0");
  }
};

// Memory that can be given back when the machine stands still; only the owner's exit is needed for that.
struct Child {
  explicit Child(const std::function<void()>& run) : pid(fork()) {
    if (!pid) {
      write_file("/proc/self/oom_score_adj", "1000");
      run();
      _exit(0);
    }
    if (pid < 0)
      fail_errno("fork");
  }
  ~Child() {
    if (pid > 0) {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
  }
  bool ended() {
    if (pid > 0 && waitpid(pid, nullptr, WNOHANG) == pid)
      pid = -1;
    return pid < 0;
  }
  pid_t pid;
};

} // namespace

KT_TEST_THAT(swap_on_blank_memory_does_not_hang, Needs::Swap) {
  zero(meta_disk(0), kMiB);
  Device blank("swap-data", kSwapBytes / kSector, "linear", kBlank);
  make_swap(blank.path());
  Device volume("swap-0", kSwapBytes / kSector, "remotecopy", params(blank.path(), meta_disk(0), "swap", 0));
  Agent agent("swap");
  agent.start();
  if (swapon(volume.path().c_str(), 0))
    fail_errno("swapon");
  uint64_t out = counter("/proc/vmstat", "pswpout ");
  uint64_t enough = counter("/proc/meminfo", "MemAvailable:") * 1024 + kSwapBytes / 3;
  double began = now_s();
  {
    Spared spared;
    Child eater([&] { eat(enough); });
    await(120, "the eater of memory comes to an end", [&] {
      while (agent.next())
        agent.free_read();
      return eater.ended();
    });
  }
  out = counter("/proc/vmstat", "pswpout ") - out;
  printf("  %llu pages swapped out in %.1f s\n", static_cast<unsigned long long>(out), now_s() - began);
  if (swapoff(volume.path().c_str()))
    fail_errno("swapoff");
  check(out > 1000, "hardly a page went out: this test shows nothing");
  check(agent.state().reserved > out / 64, "what went out wasn't captured");
  Buffer page(4096);
  while (agent.next())
    agent.free_read();
  uint64_t before = agent.state().reserved;
  Disk(volume.path()).write(page.data(), 4096, 0);
  check(agent.state().reserved == before + 1, "a write after it was not captured");
}
