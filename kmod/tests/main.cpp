// SPDX-License-Identifier: GPL-2.0-or-later
// Runs the tests whose names match a pattern, one after the other; a kernel complaint fails the test that caused it.
#include "harness.hpp"

#include <cstdio>
#include <cstring>
#include <fnmatch.h>
#include <sys/klog.h>

namespace {

// What the kernel has said since the last call.
std::string kernel_log() {
  std::vector<char> text(1 << 20);
  int bytes = klogctl(4 /* read and clear */, text.data(), text.size());
  return std::string(text.data(), bytes > 0 ? bytes : 0);
}

std::string complaint(const std::string& log) {
  for (const char* word : {"WARNING:", "BUG:", "Oops", "hung_task", "blocked for more than", "general protection",
                           "refcount_t", "list_add corruption", "list_del corruption", "stack-protector",
                           "workqueue lockup", "rcu: INFO", "page allocation failure"})
    if (log.find(word) != std::string::npos)
      return word;
  return "";
}

} // namespace

int main(int argc, char** argv) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  std::string pattern = argc > 1 ? argv[1] : "*";
  int passed = 0, failed = 0;
  kernel_log();
  for (const auto& test : kt::tests()) {
    if (fnmatch(pattern.c_str(), test.name, 0))
      continue;
    double begin = kt::now_s();
    std::string why;
    printf("run  %s\n", test.name);
    try {
      test.run();
    } catch (const std::exception& e) {
      why = e.what();
    }
    why += kt::cleanup_failures();
    std::string log = kernel_log(), word = complaint(log);
    if (!word.empty())
      why += (why.empty() ? "" : "; ") + ("the kernel said " + word);
    (why.empty() ? passed : failed)++;
    printf("%s %s (%.1f s)%s%s\n", why.empty() ? "ok  " : "FAIL", test.name, kt::now_s() - begin,
           why.empty() ? "" : ": ", why.c_str());
    if (!why.empty())
      printf("---- kernel log\n%s----\n", log.c_str());
  }
  printf("kmod-tests: %d passed, %d failed\n", passed, failed);
  return failed != 0;
}
