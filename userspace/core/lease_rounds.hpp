// SPDX-License-Identifier: GPL-2.0-or-later
// One copy's part in the lease rounds of a sync site (docs/copyset.md, "Sync"; paper seeds/003, suspension of
// a whole group): it stamps a round by its own clock BEFORE any copy challenges its source, so the stamp is
// older than every answer, and the lease that counts from it ends before the deadline of every source that
// answered. Rounds of another master are other rounds, whatever their numbers.
#pragma once

#include "core/now.hpp"
#include "format/copyset.hpp"

#include <array>
#include <optional>

namespace rc::core {

class LeaseRounds {
public:
  void follow(const format::Term& term); // another one: nothing of the last one counts
  void stamp(std::uint64_t round, Now now, std::uint64_t lease_ns);
  // The number of the challenge to be sent now; nothing: this round was challenged in this session, or has no
  // stamp.
  std::optional<std::uint64_t> challenge(std::uint64_t round);
  void new_session() { challenged_ = 0; } // the round that stands is challenged again
  void answered(std::uint64_t number);

  struct Stamp {
    std::uint64_t round = 0;
    Now at{};
    std::uint64_t lease_ns = 0;
    std::uint64_t number = 0; // of its last challenge
  };
  const Stamp* find(std::uint64_t round) const; // nullptr: not stamped, or too old

  const format::Term& term() const { return term_; }
  std::uint64_t stamped() const { return stamped_; }
  std::uint64_t answered() const { return answered_; }

private:
  format::Term term_;
  std::uint64_t stamped_ = 0, challenged_ = 0, answered_ = 0;
  std::uint64_t number_ = 0; // of challenges in this life, also across terms
  std::array<Stamp, 16> stamps_{};
};

} // namespace rc::core
