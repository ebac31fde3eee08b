// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/lease.hpp"
#include "unit/core/samples.hpp"

#include <gtest/gtest.h>

namespace rc::core {
namespace {

TEST(Lease, IsCountedFromTheSendingOfTheAnsweredChallenge) {
  Lease lease(2 * second);
  const std::uint64_t number = lease.challenge(at_ms(0));
  EXPECT_FALSE(lease.standing(at_ms(1)));
  lease.answered(number, at_ms(1500)); // the answer was slow
  EXPECT_TRUE(lease.standing(at_ms(1999)));
  EXPECT_FALSE(lease.standing(at_ms(2000)));
}

TEST(Lease, UnknownAndForgottenAnswersRenewNothing) {
  Lease lease(2 * second);
  lease.answered(0, at_ms(0));
  lease.answered(99, at_ms(0));
  EXPECT_FALSE(lease.standing(at_ms(0)));
  const std::uint64_t old = lease.challenge(at_ms(0));
  for (int i = 0; i < 16; ++i)
    lease.challenge(at_ms(10));
  lease.answered(old, at_ms(20));
  EXPECT_FALSE(lease.standing(at_ms(20)));
}

TEST(Lease, AnOlderAnswerDoesNotShortenIt) {
  Lease lease(2 * second);
  const std::uint64_t first = lease.challenge(at_ms(0));
  const std::uint64_t second_one = lease.challenge(at_ms(500));
  lease.answered(second_one, at_ms(600));
  lease.answered(first, at_ms(700));
  EXPECT_TRUE(lease.standing(at_ms(2400)));
}

// The source reckons with what the challenge asked for, whatever the copy was told meanwhile.
TEST(Lease, AnAnswerStandsForTheLeaseThatItsChallengeAskedFor) {
  Lease longer(2 * second);
  const std::uint64_t asked_short = longer.challenge(at_ms(0));
  longer.set_lease(10 * second);
  longer.answered(asked_short, at_ms(100));
  EXPECT_TRUE(longer.standing(at_ms(1999)));
  EXPECT_FALSE(longer.standing(at_ms(2000)));
  Lease shorter(10 * second);
  const std::uint64_t asked_long = shorter.challenge(at_ms(0));
  shorter.set_lease(2 * second);
  shorter.answered(asked_long, at_ms(100));
  EXPECT_TRUE(shorter.standing(at_ms(9999)));
}

TEST(Lease, FourChallengesInALease) {
  Lease lease(2 * second);
  EXPECT_TRUE(lease.due(at_ms(0)));
  lease.challenge(at_ms(0));
  EXPECT_FALSE(lease.due(at_ms(499)));
  EXPECT_TRUE(lease.due(at_ms(500)));
  EXPECT_FALSE(Lease(0).due(at_ms(0))) << "an async copy has none";
}

// A stall is noticed, then lease and margin pass, all within the configured wait.
TEST(Lease, TheConfiguredWaitBoundsLeaseAndMargin) {
  for (const std::uint64_t timeout : {1000, 2000, 5000, 60000})
    EXPECT_LT(lease_for(timeout) + margin_for(lease_for(timeout)), timeout * ms) << timeout;
}

} // namespace
} // namespace rc::core
