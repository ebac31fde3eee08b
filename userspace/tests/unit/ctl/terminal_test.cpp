// SPDX-License-Identifier: GPL-2.0-or-later
#include "ctl/terminal.hpp"

#include <gtest/gtest.h>
#include <limits>

using namespace rc;
using namespace rc::ctl;

TEST(Terminal, sizes_are_told_in_powers_of_1024) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(1023), "1023 B");
  EXPECT_EQ(bytes_text(1024), "1.0 KiB");
  EXPECT_EQ(bytes_text(1024 * 1024 - 1), "1.0 MiB");
  EXPECT_EQ(bytes_text(3ULL << 30), "3.0 GiB");
  EXPECT_EQ(bytes_text(~0ULL), "16.0 EiB");
}

TEST(Terminal, sizes_are_read_back) {
  EXPECT_EQ(*parse_bytes("4096"), 4096u);
  EXPECT_EQ(*parse_bytes("512M"), 512ULL << 20);
  EXPECT_EQ(*parse_bytes("1.5g"), 3ULL << 29);
  EXPECT_EQ(*parse_bytes("2TiB"), 2ULL << 40);
  for (const char* bad : {"", "M", "-1", "1X", "1 G", "nan", "inf", "1e3", "1GB", "99999999999P", "1MiBs"})
    EXPECT_FALSE(parse_bytes(bad)) << bad;
}

TEST(Terminal, times_are_told_as_people_say_them) {
  EXPECT_EQ(seconds_text(0.04), "0.0 s");
  EXPECT_EQ(seconds_text(9.9), "9.9 s");
  EXPECT_EQ(seconds_text(42.4), "42 s");
  EXPECT_EQ(seconds_text(260), "4 min 20 s");
  EXPECT_EQ(seconds_text(3 * 3600 + 300), "3 h 05 min");
  EXPECT_EQ(seconds_text(52 * 3600), "2 d 4 h");
  EXPECT_EQ(seconds_text(-1), "unknown");
  EXPECT_EQ(seconds_text(std::numeric_limits<double>::quiet_NaN()), "unknown");
  EXPECT_EQ(seconds_text(std::numeric_limits<double>::infinity()), "very long");
}

TEST(Terminal, times_are_read_back) {
  EXPECT_DOUBLE_EQ(*parse_seconds("5"), 5);
  EXPECT_DOUBLE_EQ(*parse_seconds("500ms"), 0.5);
  EXPECT_DOUBLE_EQ(*parse_seconds("2m"), 120);
  EXPECT_DOUBLE_EQ(*parse_seconds("1.5h"), 5400);
  for (const char* bad : {"", "s", "-5s", "5x", "five"})
    EXPECT_FALSE(parse_seconds(bad)) << bad;
}

TEST(Terminal, a_lag_that_is_not_known_is_never_told_as_zero) {
  EXPECT_EQ(lag_text(std::nullopt, false), "unknown");
  EXPECT_EQ(lag_text(std::nullopt, true), "unknown");
  EXPECT_EQ(lag_text(42.0, true), "> 42 s");
}

TEST(Terminal, a_bar_is_full_only_at_the_end) {
  EXPECT_EQ(bar(0, 12), "[..........]");
  EXPECT_EQ(bar(0.999, 12), "[#########.]");
  EXPECT_EQ(bar(1, 12), "[##########]");
  EXPECT_EQ(bar(7, 12), "[##########]");
  EXPECT_EQ(bar(-1, 12), "[..........]");
}

TEST(Terminal, columns_are_as_wide_as_their_widest_cell) {
  EXPECT_EQ(table({{"A", "LONG"}, {"bcd", "e"}, {"ü", "f"}}, " "), " A    LONG\n bcd  e\n ü    f\n");
}

TEST(Terminal, each_error_class_has_one_exit_code) {
  EXPECT_EQ(exit_code(ErrorCode::Failed), 1);
  EXPECT_EQ(exit_code(ErrorCode::Usage), 2);
  EXPECT_EQ(exit_code(ErrorCode::Unreachable), 3);
  EXPECT_EQ(exit_code(ErrorCode::NotFound), 4);
  EXPECT_EQ(exit_code(ErrorCode::NotPermitted), 4);
  EXPECT_EQ(exit_code(ErrorCode::Timeout), 5);
  EXPECT_EQ(exit_code(ErrorCode::Refused), 6);
}
