// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/control_types.hpp"

#include <gtest/gtest.h>

using namespace rc;
using namespace rc::control;

TEST(ControlTypes, every_token_comes_back_as_its_value) {
  for (const char* token : tokens<PairState>())
    EXPECT_STREQ(to_token(*from_token<PairState>(token)), token);
  EXPECT_EQ(from_token<PairState>("initial_copy"), PairState::InitialCopy);
  EXPECT_EQ(from_token<PairState>("pending"), PairState::Pending);
  EXPECT_EQ(from_token<GroupState>("failed"), GroupState::Failed);
  EXPECT_EQ(from_token<SyncState>("alone"), SyncState::Alone);
  EXPECT_EQ(from_token<PairState>("Duplex"), std::nullopt);
  EXPECT_EQ(from_token<Mode>(""), std::nullopt);
}

TEST(ControlTypes, names_are_letters_digits_and_a_few_marks) {
  for (const char* good : {"a", "sy", "node-1", "A.b_c", "0"})
    EXPECT_TRUE(check_name("node", good)) << good;
  for (const char* bad : {"", "-a", ".a", "..", "a b", "a/b", "a\nb", "ä", "a:b"})
    EXPECT_FALSE(check_name("node", bad)) << bad;
  EXPECT_TRUE(check_name("node", std::string(48, 'a')));
  EXPECT_FALSE(check_name("node", std::string(49, 'a')));
  EXPECT_EQ(check_name("node", "a b").error().code, ErrorCode::Usage);
}

TEST(ControlTypes, a_group_name_holds_no_hyphen_so_that_device_names_can_be_taken_apart) {
  EXPECT_TRUE(check_group_name("bank_1"));
  EXPECT_FALSE(check_group_name("bank-1"));
  EXPECT_TRUE(check_volume_name("data-1"));
  EXPECT_EQ(device_path("bank", "data-1"), "/dev/mapper/bank-data-1");
}

TEST(ControlTypes, paths_are_absolute_and_fit_into_a_table_line) {
  EXPECT_TRUE(check_path("the device", "/dev/vg/data"));
  for (const char* bad : {"", "dev/vg", "/dev/my disk", "/dev/a\tb", "/dev/a\nb"})
    EXPECT_FALSE(check_path("the device", bad)) << bad;
  EXPECT_FALSE(check_path("the device", "/" + std::string(255, 'a')));
}

TEST(ControlTypes, addresses_need_host_and_port) {
  EXPECT_EQ(*parse_address("sy.example.net:7700"), (Address{"sy.example.net", 7700}));
  EXPECT_EQ(*parse_address("[fe80::1%eth0]:1"), (Address{"fe80::1%eth0", 1}));
  EXPECT_EQ(to_string(Address{"fe80::1", 7700}), "[fe80::1]:7700");
  EXPECT_EQ(to_string(*parse_address("10.0.0.1:65535")), "10.0.0.1:65535");
  for (const char* bad : {"", "sy", "sy:", ":7700", "sy:0", "sy:65536", "sy:99999999999", "sy:7x",
                          "fe80::1:7700", "[]:1", "a b:1", "sy:-1"})
    EXPECT_FALSE(parse_address(bad)) << bad;
}
