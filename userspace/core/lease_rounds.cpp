// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/lease_rounds.hpp"

namespace rc::core {

void LeaseRounds::follow(const format::Term& term) {
  if (term == term_)
    return;
  term_ = term;
  stamped_ = challenged_ = answered_ = 0;
  stamps_ = {};
}

void LeaseRounds::stamp(std::uint64_t round, Now now, std::uint64_t lease_ns) {
  if (round <= stamped_)
    return;
  stamped_ = round;
  stamps_[round % stamps_.size()] = {round, now, lease_ns, 0};
}

const LeaseRounds::Stamp* LeaseRounds::find(std::uint64_t round) const {
  const Stamp& stamp = stamps_[round % stamps_.size()];
  return round != 0 && stamp.round == round ? &stamp : nullptr;
}

std::optional<std::uint64_t> LeaseRounds::challenge(std::uint64_t round) {
  if (round <= challenged_ || !find(round))
    return std::nullopt;
  challenged_ = round;
  stamps_[round % stamps_.size()].number = ++number_;
  return number_;
}

void LeaseRounds::answered(std::uint64_t number) {
  for (const Stamp& stamp : stamps_)
    if (stamp.round > answered_ && stamp.number == number && number != 0)
      answered_ = stamp.round;
}

} // namespace rc::core
