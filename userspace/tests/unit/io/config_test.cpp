// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/config.hpp"

#include <gtest/gtest.h>

using namespace rc;
using namespace rc::io;

namespace {

const std::string good = R"(node = "pa"
site = "primary"
listen = "0.0.0.0:7700"
certificate = "/etc/remotecopy/pa.crt"
key = "/etc/remotecopy/pa.key"
ca = "/etc/remotecopy/ca.crt"
)";

std::string error_of(const std::string& text) {
  const auto config = parse_config(text, "rc.toml");
  if (config)
    return "";
  EXPECT_EQ(config.error().code, ErrorCode::Usage);
  return config.error().what;
}

} // namespace

TEST(Config, ten_lines_are_enough) {
  const auto config = parse_config(good, "rc.toml");
  ASSERT_TRUE(config) << config.error().what;
  EXPECT_EQ(config->node, "pa");
  EXPECT_EQ(config->site, "primary");
  EXPECT_EQ(config->listen, (control::Address{"0.0.0.0", 7700}));
  EXPECT_EQ(config->ca, "/etc/remotecopy/ca.crt");
  EXPECT_EQ(config->state_dir, "/var/lib/remotecopy");
  EXPECT_EQ(config->inventory_path(), "/var/lib/remotecopy/inventory.db");
  EXPECT_EQ(config->socket, "/run/remotecopy/rcagent.sock");
  EXPECT_EQ(config->log_level, log::Level::Info);
  EXPECT_EQ(config->compress, Compress::Auto);
  EXPECT_EQ(parse_config(good + "compress = \"always\"\n", "rc.toml")->compress, Compress::Always);
  EXPECT_NE(error_of(good + "compress = \"yes\"\n").find("rc.toml:7:"), std::string::npos);
}

TEST(Config, the_site_is_the_nodes_own_name_when_none_is_given) {
  const auto config =
      parse_config("node='n'\ncertificate='/c'\nkey='/k'\nca='/a'\nlog_level='debug'", "rc.toml");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->site, "n");
  EXPECT_EQ(config->log_level, log::Level::Debug);
}

TEST(Config, an_unknown_key_is_refused_with_line_and_column) {
  EXPECT_EQ(error_of(good + "  colour = \"red\"\n"), "rc.toml:7:3: unknown key 'colour'");
  EXPECT_EQ(error_of(good + "[tls]\n"), "rc.toml:7:2: unknown key 'tls'");
}

TEST(Config, wrong_values_are_refused_with_line_and_column) {
  EXPECT_EQ(error_of("node = 7"), "rc.toml:1:8: 'node' must be text");
  EXPECT_NE(error_of("node = \"a b\"").find("rc.toml:1:8: 'node': node name"), std::string::npos);
  EXPECT_NE(error_of("node = \"n\"\nlisten = \"7700\"").find("rc.toml:2:10: 'listen': address"),
            std::string::npos);
  EXPECT_NE(error_of(good + "socket = \"run/x\"").find("rc.toml:7:10: 'socket'"), std::string::npos);
  EXPECT_NE(error_of(good + "log_level = \"loud\"").find("rc.toml:7:13: 'log_level'"), std::string::npos);
}

TEST(Config, text_that_is_no_toml_is_refused_with_line_and_column) {
  EXPECT_EQ(error_of("node = \"n\"\nsite\n").substr(0, 10), "rc.toml:2:");
  EXPECT_EQ(error_of("\xff\xfe").substr(0, 10), "rc.toml:1:");
}

TEST(Config, a_missing_key_is_named) {
  EXPECT_EQ(error_of("node = \"n\""), "rc.toml: 'certificate' is missing");
  EXPECT_EQ(error_of(""), "rc.toml: 'node' is missing");
}

TEST(Config, a_missing_file_is_not_found_and_a_directory_is_an_error) {
  EXPECT_EQ(read_config("/nonexistent/rc.toml").error().code, ErrorCode::NotFound);
  EXPECT_FALSE(read_config("/tmp"));
}
