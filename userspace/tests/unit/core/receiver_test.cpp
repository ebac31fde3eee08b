// SPDX-License-Identifier: GPL-2.0-or-later
// What an authenticated but untrusted peer may send: nothing of a bad batch is used.
#include "core/receiver.hpp"
#include "unit/core/samples.hpp"

#include <gtest/gtest.h>

namespace rc::core {
namespace {

const std::vector<std::uint64_t> volumes{64, 0, 64};

std::string check(std::vector<format::Record> records, bool ended = false, Era last_marker = Era{}) {
  ReceiverChecks checks;
  checks.stream = test_stream;
  checks.next = 10;
  checks.ended = ended;
  checks.last_marker = last_marker;
  checks.volume_sectors = &volumes;
  format::RecordsMessage message;
  message.stream = test_stream;
  message.records = std::move(records);
  return check_batch(checks, message);
}

TEST(Receiver, TakesAContiguousBatch) {
  EXPECT_EQ(check({write(10), copy(11, 7, 1), record(DMRC_MARKER, 12), record(DMRC_HELD, 13), write(14)}),
            "");
}

TEST(Receiver, RefusesGapsAndRepeats) {
  EXPECT_NE(check({write(11)}), "");
  EXPECT_NE(check({write(9)}), "");
  EXPECT_NE(check({write(10), write(12)}), "");
  EXPECT_NE(check({write(10), write(10)}), "");
}

TEST(Receiver, RefusesAnotherStream) {
  format::Record it = write(10);
  it.stream = 7;
  EXPECT_NE(check({it}), "");
}

TEST(Receiver, RefusesWhatLiesOutsideTheVolumes) {
  format::Record it = write(10);
  it.volume = 1;
  EXPECT_NE(check({it}), "") << "no such volume";
  it.volume = 900;
  EXPECT_NE(check({it}), "");
  it = write(10, 8);
  EXPECT_NE(check({it}), "") << "beyond the end";
  it = write(10);
  it.sector = ~0ULL;
  EXPECT_NE(check({it}), "") << "no overflow";
  it = write(10);
  it.length = 700;
  EXPECT_NE(check({it}), "");
}

TEST(Receiver, RefusesUnknownTypes) {
  EXPECT_NE(check({record(0, 10)}), "");
  EXPECT_NE(check({record(200, 10)}), "");
}

TEST(Receiver, RefusesACheckpointNumberThatWasUsed) {
  EXPECT_NE(check({record(DMRC_MARKER, 10, Era::of(1, 5))}, false, Era::of(1, 5)), "");
  EXPECT_NE(check({record(DMRC_MARKER, 10, Era::of(1, 6)), record(DMRC_HELD, 11, Era::of(1, 6)),
                   record(DMRC_MARKER, 12, Era::of(1, 6))}),
            "");
}

TEST(Receiver, NothingFollowsTheEndOfAStream) {
  EXPECT_EQ(check({record(DMRC_LOSS, 10)}), "");
  EXPECT_NE(check({record(DMRC_LOSS, 10), write(11)}), "");
  EXPECT_NE(check({write(10)}, true), "");
}

} // namespace
} // namespace rc::core
