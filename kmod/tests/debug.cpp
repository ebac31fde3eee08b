// SPDX-License-Identifier: GPL-2.0-or-later
// Fault injection (Documentation/fault-injection), kmemleak and slabinfo of the kernel under test.
#include "debug.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <sstream>
#include <sys/klog.h>
#include <sys/stat.h>
#include <unistd.h>

namespace kt {

namespace {

const char* const kLeaks = "/sys/kernel/debug/kmemleak";
const char* const kFailNth = "/proc/thread-self/fail-nth";

bool exists(const std::string& path) {
  struct stat st;
  return !stat(path.c_str(), &st);
}

// All kinds of allocations are chances, and a fault says nothing: the tests make thousands.
void set_up_once() {
  static const bool done = [] {
    for (const char* kind : {"failslab", "fail_page_alloc", "fail_usercopy", "fail_make_request"})
      write_file("/sys/kernel/debug/" + std::string(kind) + "/verbose", "0");
    write_file("/sys/kernel/debug/failslab/ignore-gfp-wait", "N");
    write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
    write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N");
    write_file("/sys/kernel/debug/fail_page_alloc/min-order", "0");
    return true;
  }();
  (void)done;
}

// What is left of the count; the file's own accesses are chances too, so the count may fall to 0 here.
unsigned left_of(int fd) {
  char text[16] = {};
  if (pread(fd, text, sizeof(text) - 1, 0) < 0)
    return 1;
  return atoi(text);
}

// Caches give back what they only keep, KASAN its quarantine of freed objects too.
void shrink_caches() {
  if (DIR* caches = opendir("/sys/kernel/slab")) {
    while (dirent* d = readdir(caches))
      if (exists("/sys/kernel/slab/" + std::string(d->d_name) + "/shrink"))
        write_file("/sys/kernel/slab/" + std::string(d->d_name) + "/shrink", "1");
    closedir(caches);
  }
}

} // namespace

std::string kernel_log() {
  std::vector<char> text(1 << 20);
  int bytes = klogctl(4 /* read and clear */, text.data(), text.size());
  return std::string(text.data(), bytes > 0 ? bytes : 0);
}

std::string complaint(const std::string& log) {
  for (const char* word :
       {"WARNING:", "BUG:", "Oops", "hung_task", "blocked for more than", "general protection", "refcount_t",
        "list_add corruption", "list_del corruption", "stack-protector", "workqueue lockup", "rcu: INFO",
        "page allocation failure", "KASAN", "UBSAN", "ODEBUG", "circular locking", "inconsistent lock state",
        "inconsistent {", "irq lock inversion", "possible recursive locking", "held lock freed", "lock held when",
        "suspicious RCU usage", "sleeping function", "scheduling while atomic", "bad unlock balance",
        "Invalid wait context", "turning off the locking correctness validator", "kmemleak:", "Kernel panic"})
    if (log.find(word) != std::string::npos)
      return word;
  return "";
}

bool has_fault_injection() { return exists("/sys/kernel/debug/failslab") && exists(kFailNth); }

std::vector<std::string> lost_objects() {
  const std::string head = "unreferenced object";
  sleep_ms(5500); // kmemleak looks at objects that are five seconds old
  for (int i = 0; i < 2; i++)
    write_file(kLeaks, "scan"); // the second scan confirms what the first one suspects
  std::string text = read_file(kLeaks);
  std::vector<std::string> objects;
  for (size_t at = text.find(head); at != std::string::npos;) {
    size_t next = text.find(head, at + 1);
    objects.push_back(text.substr(at, next - at));
    at = next;
  }
  write_file(kLeaks, "clear");
  return objects;
}

std::map<std::string, long> slab_objects() {
  shrink_caches();
  std::map<std::string, long> objects;
  std::istringstream lines(read_file("/proc/slabinfo"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    long active;
    // kept by the debugging itself; debugobjects leaves two for each dm device, a linear one too
    if (words >> name >> active && name != "debug_objects_cache" && name != "kmemleak_object")
      objects[name] = active;
  }
  return objects;
}

long free_kib() {
  shrink_caches();
  std::string text = read_file("/proc/meminfo");
  long kib = std::stol(text.substr(text.find("MemFree:") + 8));
  // Pages freed one by one lie on the lists of their CPU first: "count: N" of the zones' pagesets.
  std::istringstream words(read_file("/proc/zoneinfo"));
  for (std::string word; words >> word;)
    if (word == "count:" && words >> word)
      kib += std::stol(word) * 4;
  return kib;
}

FailingDisk::FailingDisk(const std::string& path) : file_("/sys/block/" + path.substr(5) + "/make-it-fail") {
  set_up_once();
  write_file(file_, "1");
}

FailingDisk::~FailingDisk() { write_file(file_, "0"); }

Injection with_fault(unsigned n, const std::function<int()>& call) {
  set_up_once();
  int fd = open(kFailNth, O_RDWR);
  if (fd < 0)
    fail_errno(kFailNth);
  std::string text = std::to_string(n);
  if (write(fd, text.data(), text.size()) < 0)
    fail_errno("fail-nth");
  Injection result{call(), false};
  result.happened = left_of(fd) == 0;
  // The first write may be the chance that fails.
  while (write(fd, "0", 1) < 0)
    ;
  close(fd);
  return result;
}

Injection with_worker_fault(unsigned n, const std::function<int()>& call) {
  set_up_once();
  std::vector<std::string> files;
  if (DIR* processes = opendir("/proc")) {
    while (dirent* d = readdir(processes)) {
      std::string folder = "/proc/" + std::string(d->d_name), name = read_file(folder + "/comm");
      if (name.starts_with("kworker/") || name.starts_with("dm-rc-"))
        files.push_back(folder + "/fail-nth");
    }
    closedir(processes);
  }
  // A worker may end at any time, then its file can't be opened.
  auto set = [&](const std::string& text) {
    for (const auto& file : files)
      if (!access(file.c_str(), W_OK))
        write_new(file, text);
  };
  set(std::to_string(n));
  Injection result{call(), false};
  for (const auto& file : files)
    result.happened |= read_file(file).starts_with("0");
  set("0");
  return result;
}

unsigned fail_each(const std::string& what, unsigned at_least, const std::function<int()>& call,
                   const std::function<void(int)>& settle) {
  for (unsigned n = 1;; n++) {
    Injection done = with_fault(n, call);
    std::string which = what + ", fault " + std::to_string(n);
    try {
      bool clean = done.error == 0 || (done.happened && (done.error == ENOMEM || done.error == EFAULT ||
                                                         done.error == EIO));
      check(clean, std::string("errno '") + strerror(done.error) + "'");
      settle(done.error);
    } catch (const Failure& e) {
      fail(which + ": " + e.what());
    }
    if (!done.happened) {
      printf("  %s: %u faults\n", what.c_str(), n - 1);
      check(n > at_least, what + ": only " + std::to_string(n - 1) + " faults");
      return n - 1;
    }
  }
}

} // namespace kt
