// SPDX-License-Identifier: GPL-2.0-or-later
#include "causal/options.hpp"

#include <gtest/gtest.h>

using namespace rc;
using namespace rc::causal;

TEST(Options, write_reads_all) {
  const auto options = parse_options({"write",
                                      "--device",
                                      "/x",
                                      "--device=/y",
                                      "--log",
                                      "l",
                                      "--size",
                                      "512,4k,64K",
                                      "--span",
                                      "16M",
                                      "--writers",
                                      "3",
                                      "--queue-depth=4",
                                      "--rate",
                                      "100",
                                      "--seconds",
                                      "2.5",
                                      "--run",
                                      "ff",
                                      "--payload",
                                      "pattern",
                                      "--on-error",
                                      "retry",
                                      "--json",
                                      "--min-writes",
                                      "7",
                                      "--fsync-every",
                                      "9",
                                      "--buffered"});
  ASSERT_TRUE(options) << options.error().text();
  const auto& write = std::get<WriteOptions>(*options);
  EXPECT_EQ(write.devices, (std::vector<std::string>{"/x", "/y"}));
  EXPECT_EQ(write.sizes, 0b10001001);
  EXPECT_EQ(write.span_bytes, 16u << 20);
  EXPECT_EQ(write.seconds, 2.5);
  EXPECT_EQ(write.run, 255u);
  EXPECT_EQ(write.payload, Payload::Pattern);
  EXPECT_TRUE(write.retry_errors);
  EXPECT_FALSE(write.direct);
  EXPECT_TRUE(write.json);
}

TEST(Options, verify_numbers_devices_from_the_last_given_number) {
  const auto options =
      parse_options({"verify", "--device", "/x", "--device", "3=/y", "--device", "/z=1", "--log", "l"});
  ASSERT_TRUE(options) << options.error().text();
  const auto& verify = std::get<VerifyOptions>(*options);
  ASSERT_EQ(verify.devices.size(), 3u);
  EXPECT_EQ(verify.devices[0].device, 0u);
  EXPECT_EQ(verify.devices[1].device, 3u);
  EXPECT_EQ(verify.devices[1].path, "/y");
  EXPECT_EQ(verify.devices[2].device, 4u);
  EXPECT_EQ(verify.devices[2].path, "/z=1");
}

TEST(Options, refuses_nonsense_with_a_reason) {
  const std::vector<std::vector<std::string>> bad{
      {},
      {"wrote"},
      {"write", "--device", "/x"},
      {"write", "--log", "l"},
      {"write", "--device", "/x", "--log", "l", "--size", "1000"},
      {"write", "--device", "/x", "--log", "l", "--size", ""},
      {"write", "--device", "/x", "--log", "l", "--rate", "-1"},
      {"write", "--device", "/x", "--log", "l", "--seconds", "inf"},
      {"write", "--device", "/x", "--log", "l", "--seconds"},
      {"write", "--device", "/x", "--log", "l", "--json=1"},
      {"write", "--device", "/x", "--log", "l", "--hosts", "2"},
      {"write", "--device", "/x", "--log", "l", "--host", "1"},
      {"write", "--device", "/x", "--log", "l", "--writers", "65535", "--queue-depth", "65535"},
      {"write", "--device", "/x", "--log", "l", "extra"},
      {"verify"},
      {"verify", "--device", "/x", "--acknowledged-all"},
      {"verify", "--device", "0=/x", "--device", "0=/y"},
      {"read-log"},
      {"read-log", "a", "b"},
  };
  for (const auto& arguments : bad) {
    const auto options = parse_options(arguments);
    ASSERT_FALSE(options) << (arguments.empty() ? "" : arguments.back());
    EXPECT_EQ(options.error().code, ErrorCode::Usage);
  }
}
