// SPDX-License-Identifier: GPL-2.0-or-later
// Runs the tests whose names match a pattern, one after the other; a kernel complaint fails the test that caused it.
// Whatever the pattern, the controls of the lane follow. The first word of a line says how a test ended: ok, FAIL or
// skip.
#include "debug.hpp"
#include "harness.hpp"

#include <cstdio>
#include <fnmatch.h>

namespace {

struct Counts {
  int passed = 0, failed = 0, skipped = 0;
};

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
  std::string log = kt::kernel_log(), word = kt::complaint(log);
  if (!word.empty())
    why += (why.empty() ? "" : "; ") + ("the kernel said " + word);
  (why.empty() ? counts.passed : counts.failed)++;
  printf("%s %s (%.1f s)%s%s\n", why.empty() ? "ok  " : "FAIL", name, kt::now_s() - begin, why.empty() ? "" : ": ",
         why.c_str());
  if (!why.empty())
    printf("---- kernel log\n%s----\n", log.c_str());
}

void run_matching(const std::string& pattern, bool controls, Counts& counts) {
  for (const auto& test : kt::tests()) {
    if (fnmatch(pattern.c_str(), test.name, 0) || (test.needs == kt::Needs::Culprit) != controls)
      continue;
    std::string lack = kt::missing(test.needs);
    if (lack.empty()) {
      run_one(test.name, test.run, counts);
    } else {
      counts.skipped++;
      printf("skip %s: %s\n", test.name, lack.c_str());
    }
  }
}

} // namespace

int main(int argc, char** argv) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  std::string pattern = argc > 1 ? argv[1] : "*";
  Counts counts;
  kt::kernel_log();
  run_matching(pattern, false, counts);
  if (counts.passed + counts.failed > 0)
    run_matching("*", true, counts);
  printf("kmod-tests: %d passed, %d failed, %d skipped\n", counts.passed, counts.failed, counts.skipped);
  return counts.failed != 0;
}
