// SPDX-License-Identifier: GPL-2.0-or-later
// What a debug kernel offers to tests: fault injection, kmemleak, counts of objects. Each part may be missing; the
// User Mode Linux lane has all of them.
#pragma once

#include "dm.hpp"

#include <functional>
#include <map>

namespace kt {

// What the kernel has said since the last call, and the first word in it that no test may cause (or nothing).
std::string kernel_log();
std::string complaint(const std::string& log);

bool has_fault_injection();

// What kmemleak holds for lost, one text for each object. It takes seconds: a young object is never held for lost.
std::vector<std::string> lost_objects();

// Kernel objects by slab cache, and pages that nobody has in KiB; after the caches have given back what they only
// keep.
std::map<std::string, long> slab_objects();
long free_kib();

// The n-th chance to fail (allocation, access to user memory, bio of a disk that may fail) in this thread fails.
struct Injection {
  int error;     // errno of the call, or 0
  bool happened; // false: the call had fewer chances than n
};
Injection with_fault(unsigned n, const std::function<int()>& call);

// The same in each of the kernel's worker threads, since nobody knows which one the work will meet. `call` has to wait
// for what the workers do.
Injection with_worker_fault(unsigned n, const std::function<int()>& call);

// Bios to this disk that the thread under test submits are chances to fail too.
class FailingDisk {
public:
  explicit FailingDisk(const std::string& path);
  ~FailingDisk();
  FailingDisk(const FailingDisk&) = delete;

private:
  std::string file_;
};

// Lets each chance of `call` fail, one after the other, until it has none left. `settle` is told the errno after
// each call and puts things back, or throws when they can't be right. Only clean errnos may come back; the last
// call, without a fault, must succeed. Returns how many faults there were; fewer than `at_least`: a thin test.
unsigned fail_each(const std::string& what, unsigned at_least, const std::function<int()>& call,
                   const std::function<void(int)>& settle);

} // namespace kt
