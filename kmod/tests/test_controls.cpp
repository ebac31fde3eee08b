// SPDX-License-Identifier: GPL-2.0-or-later
// Controls of the fast lane: a module that errs on purpose is noticed, so the silence of the other tests means
// something.
#include "debug.hpp"
#include "harness.hpp"

#include <cstdio>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace kt;

namespace {

// The culprit, doing one deed at its load.
struct Culprit {
  explicit Culprit(const std::string& deed) {
    int fd = open("/culprit.ko", O_RDONLY);
    if (fd < 0 || syscall(SYS_finit_module, fd, ("deed=" + deed).c_str(), 0))
      fail_errno("load of the culprit");
    close(fd);
  }
  ~Culprit() { syscall(SYS_delete_module, "culprit", 0); }
};

void must_be_said(const std::string& deed, const std::string& word) {
  kernel_log();
  { Culprit culprit(deed); }
  std::string log = kernel_log();
  check(log.find(word) != std::string::npos, "the kernel didn't say '" + word + "' of " + deed + ":\n" + log);
  check(!complaint(log).empty(), "a test with this complaint would pass:\n" + log);
}

} // namespace

// After all tests kmemleak finds what the culprit leaks, so it can see, and nothing of ours. What the kernel itself
// loses when an allocation of its own fails is only counted.
KT_CONTROL(nothing_of_ours_is_lost) {
  Culprit culprit("leak");
  unsigned seen = 0, ours = 0, others = 0;
  for (const auto& object : lost_objects()) {
    if (object.find("[culprit]") != std::string::npos) {
      seen++;
    } else if (object.find("[dm_remotecopy]") != std::string::npos) {
      ours++;
      printf("---- kmemleak\n%s----\n", object.c_str());
    } else if (!others++) {
      printf("---- kmemleak, not ours, the first of them\n%s----\n", object.c_str());
    }
  }
  kernel_log(); // kmemleak has told it how much it found
  printf("  lost: %u of the culprit, %u of ours, %u others\n", seen, ours, others);
  check(seen > 0, "kmemleak is blind");
  check(!ours, std::to_string(ours) + " objects of ours are lost");
}

KT_CONTROL(sleeping_in_atomic_context_is_seen) { must_be_said("sleep_in_atomic", "sleeping function called"); }
KT_CONTROL(wrong_lock_order_is_seen) { must_be_said("lock_order", "possible circular locking"); }
// The last one: after its report lockdep is off.
KT_CONTROL(a_use_after_free_is_seen) { must_be_said("use_after_free", "KASAN: "); }
