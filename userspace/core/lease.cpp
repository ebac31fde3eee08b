// SPDX-License-Identifier: GPL-2.0-or-later
// Four challenges per lease. An answer to a challenge that is no longer remembered (more than 16 newer ones
// were sent) renews nothing.
#include "core/lease.hpp"

#include "core/mutation.hpp"

#include <algorithm>

namespace rc::core {

std::uint64_t Lease::challenge(Now now) {
  ++number_;
  sent_[number_ % sent_.size()] = {number_, now, lease_ns_};
  next_ns_ = now.boot_ns + lease_ns_ / 4;
  return number_;
}

void Lease::answered(std::uint64_t number, Now now) {
  const Sent& sent = sent_[number % sent_.size()];
  if (number == 0 || sent.number != number)
    return;
  const std::uint64_t from = mutated(Mutation::LeaseFromReceipt) ? now.boot_ns : sent.at.boot_ns;
  accept_until_ns_ = std::max(accept_until_ns_, from + sent.lease_ns);
  renewed_real_ns_ = std::max(renewed_real_ns_, sent.at.real_ns);
}

void Lease::extend(Now at, std::uint64_t lease_ns) {
  accept_until_ns_ = std::max(accept_until_ns_, at.boot_ns + lease_ns);
  renewed_real_ns_ = std::max(renewed_real_ns_, at.real_ns);
}

// Two fifths of the longest wait: a stall is noticed within another two fifths, then lease and margin pass.
std::uint64_t lease_for(std::uint64_t ack_timeout_ms) {
  return std::max<std::uint64_t>(ack_timeout_ms, 1000) * ms * 2 / 5;
}

} // namespace rc::core
