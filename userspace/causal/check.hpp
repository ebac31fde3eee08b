// SPDX-License-Identifier: GPL-2.0-or-later
// The judgement, pure: is what the image holds a causal cut of the run, and does it hold what was
// acknowledged? W2 depends on W1 if the completion of W1 was returned (and logged) before W2 was issued. The
// image *contains* a write if its place holds that write or a later one. It is causal if it contains whatever
// the writes in it depend on. Exact, for overwritten places too; why: docs/causal-checker.md.
#pragma once

#include "causal/ack_log.hpp"
#include "causal/image.hpp"

namespace rc::causal {

struct Missing {
  WriteId id; // not contained...
  Place place;
  WriteId needed_by; // ...but this one is, and depends on it
  Place needed_by_place;
};

struct Verdict {
  // Without a log.
  std::vector<std::uint32_t> frontier; // of each lane: the highest number that the image needs
  std::uint64_t contained = 0;         // writes up to the frontier that are in the image
  std::uint64_t missing = 0;           // writes up to the frontier that are not: violations
  std::uint64_t unread = 0;            // writes up to the frontier on devices that were not given
  std::vector<Missing> first_missing;  // some of them, for people

  // With a log; else zero.
  std::uint64_t acknowledged = 0; // logged writes (up to the limit) on devices that were given
  std::uint64_t lost = 0;         // of these, not in the image
  std::uint64_t lost_bytes = 0;
  std::vector<Completion> first_lost; // by completion time
  double rpo_s = 0;             // newest completion - newest one before which nothing is lost; 0: none lost
  std::uint64_t log_behind = 0; // writes up to the frontier that should have been logged and are not

  bool causal() const { return missing == 0; }
};

// `log` may be null. Completions after `until_ns` do not count as acknowledged (and not for the RPO).
Verdict check(const Image& image, const AckLog* log, std::uint64_t until_ns = ~0ULL);

constexpr std::size_t shown_max = 10; // entries of first_missing, first_lost

} // namespace rc::causal
