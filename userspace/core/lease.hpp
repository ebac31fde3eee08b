// SPDX-License-Identifier: GPL-2.0-or-later
// The lease under which a sync copy accepts records (docs/design.md section 5, freeze): until lease_ns after
// it SENT the last challenge that was answered. Counting from the receipt of the answer would let the copy
// accept longer than its source believes. Clock rates count, clock values don't.
#pragma once

#include "core/now.hpp"

#include <array>

namespace rc::core {

class Lease {
public:
  explicit Lease(std::uint64_t lease_ns) : lease_ns_(lease_ns) {}

  void set_lease(std::uint64_t lease_ns) { lease_ns_ = lease_ns; }
  std::uint64_t lease_ns() const { return lease_ns_; }
  bool wanted() const { return lease_ns_ != 0; }

  bool due(Now now) const { return wanted() && now.boot_ns >= next_ns_; }
  std::uint64_t challenge(Now now); // the number of the challenge that is being sent now
  void answered(std::uint64_t number, Now now);
  void expire() { accept_until_ns_ = 0; }
  // Of rounds of several copies (lease_rounds.hpp): what began at `at` was answered by all.
  void extend(Now at, std::uint64_t lease_ns);

  bool standing(Now now) const { return now.boot_ns < accept_until_ns_; }
  std::uint64_t renewed_real_ns() const {
    return renewed_real_ns_;
  } // for people: when the last answered one was sent

private:
  struct Sent {
    std::uint64_t number = 0;
    Now at{};
    std::uint64_t lease_ns = 0; // the answer stands for this one, also when another is set meanwhile
  };
  std::uint64_t lease_ns_;
  std::uint64_t number_ = 0;
  std::uint64_t next_ns_ = 0;
  std::uint64_t accept_until_ns_ = 0;
  std::uint64_t renewed_real_ns_ = 0;
  std::array<Sent, 16> sent_{};
};

// Lease and margin of a sync link from the longest wait that was configured (docs/pipeline.md, Sync).
std::uint64_t lease_for(std::uint64_t ack_timeout_ms);
constexpr std::uint64_t margin_for(std::uint64_t lease_ns) { return lease_ns / 100 + 100 * ms; }

} // namespace rc::core
