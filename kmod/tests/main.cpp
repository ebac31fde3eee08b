// SPDX-License-Identifier: GPL-2.0-or-later
// Runs the tests whose names match a pattern, one after the other; a kernel complaint fails the test that caused it.
// At the end a kernel with kmemleak is asked for what was lost. A word of a line's start says how a test ended: ok,
// FAIL or skip.
#include "debug.hpp"
#include "harness.hpp"

#include <cstdio>
#include <cstring>
#include <fnmatch.h>
#include <sys/klog.h>

namespace {

struct Counts {
  int passed = 0, failed = 0, skipped = 0;
};

// What the kernel has said since the last call.
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

void run_one(const char* name, void (*run)(), Counts& counts) {
  double begin = kt::now_s();
  std::string why;
  printf("run  %s\n", name);
  try {
    run();
  } catch (const std::exception& e) {
    why = e.what();
  }
  why += kt::cleanup_failures();
  std::string log = kernel_log(), word = complaint(log);
  if (!word.empty())
    why += (why.empty() ? "" : "; ") + ("the kernel said " + word);
  (why.empty() ? counts.passed : counts.failed)++;
  printf("%s %s (%.1f s)%s%s\n", why.empty() ? "ok  " : "FAIL", name, kt::now_s() - begin, why.empty() ? "" : ": ",
         why.c_str());
  if (!why.empty())
    printf("---- kernel log\n%s----\n", log.c_str());
}

void nothing_is_lost() {
  std::string lost = kt::leaks();
  kernel_log(); // kmemleak tells the log what we print here
  if (!lost.empty())
    printf("---- kmemleak\n%s----\n", lost.c_str());
  kt::check(lost.empty(), "kmemleak found lost memory");
}

} // namespace

int main(int argc, char** argv) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  std::string pattern = argc > 1 ? argv[1] : "*";
  Counts counts;
  kernel_log();
  for (const auto& test : kt::tests()) {
    if (fnmatch(pattern.c_str(), test.name, 0))
      continue;
    std::string lack = kt::missing(test.needs);
    if (lack.empty()) {
      run_one(test.name, test.run, counts);
    } else {
      counts.skipped++;
      printf("skip %s: %s\n", test.name, lack.c_str());
    }
  }
  if (kt::has_leak_detector() && counts.passed + counts.failed > 0)
    run_one("nothing_is_lost", nothing_is_lost, counts);
  printf("kmod-tests: %d passed, %d failed, %d skipped\n", counts.passed, counts.failed, counts.skipped);
  return counts.failed != 0;
}
