// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/ca.hpp"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <sys/stat.h>

using namespace rc;
using namespace rc::io;
namespace fs = std::filesystem;

namespace {

struct Ca : ::testing::Test {
  std::string dir;
  void SetUp() override {
    std::string made = (fs::temp_directory_path() / "rc-ca-XXXXXX").string();
    ASSERT_NE(mkdtemp(made.data()), nullptr);
    dir = made + "/below/ca";
  }
  void TearDown() override { fs::remove_all(fs::path(dir).parent_path().parent_path()); }

  static std::string read(const std::string& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  static mode_t mode(const std::string& path) {
    struct stat there = {};
    EXPECT_EQ(stat(path.c_str(), &there), 0) << path;
    return there.st_mode & 07777;
  }
  // What the openssl tool, which nodes are debugged with, says.
  int openssl(const std::string& arguments, std::string* output = nullptr) const {
    const std::string log = dir + "/../log";
    const int code = std::system(("openssl " + arguments + " > " + log + " 2>&1").c_str());
    if (output)
      *output = read(log);
    return code;
  }
};

} // namespace

TEST_F(Ca, makes_keys_that_only_root_reads_and_certificates_that_verify) {
  const auto ca = init_ca(dir);
  ASSERT_TRUE(ca) << ca.error().what;
  EXPECT_TRUE(ca->created);
  const auto node = issue_certificate("pa-1", dir);
  ASSERT_TRUE(node) << node.error().what;
  EXPECT_TRUE(node->created);
  EXPECT_EQ(node->certificate, dir + "/pa-1.crt");
  EXPECT_EQ(mode(dir), 0700u);
  EXPECT_EQ(mode(dir + "/ca.key"), 0600u);
  EXPECT_EQ(mode(dir + "/pa-1.key"), 0600u);
  EXPECT_EQ(mode(dir + "/pa-1.crt"), 0644u);
  EXPECT_EQ(node->expires.size(), std::string("2031-11-19T10:00:00Z").size());

  std::string text;
  EXPECT_EQ(openssl("verify -x509_strict -purpose sslserver -CAfile " + dir + "/ca.crt " + dir + "/pa-1.crt",
                    &text),
            0)
      << text;
  EXPECT_EQ(openssl("verify -x509_strict -purpose sslclient -CAfile " + dir + "/ca.crt " + dir + "/pa-1.crt",
                    &text),
            0)
      << text;
  EXPECT_EQ(openssl("verify -verify_hostname pa-1 -CAfile " + dir + "/ca.crt " + dir + "/pa-1.crt"), 0);
  EXPECT_NE(openssl("verify -verify_hostname other -CAfile " + dir + "/ca.crt " + dir + "/pa-1.crt"), 0);
  EXPECT_EQ(openssl("x509 -noout -text -in " + dir + "/pa-1.crt", &text), 0);
  EXPECT_NE(text.find("CN = pa-1"), std::string::npos) << text;
  EXPECT_NE(text.find("CA:FALSE"), std::string::npos);
  EXPECT_NE(text.find("P-256"), std::string::npos);
}

TEST_F(Ca, is_idempotent_and_overwrites_nothing) {
  ASSERT_TRUE(init_ca(dir));
  ASSERT_TRUE(issue_certificate("pa", dir));
  const std::string key = read(dir + "/ca.key"), node = read(dir + "/pa.crt");
  const auto again = init_ca(dir);
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->created);
  const auto issued = issue_certificate("pa", dir);
  ASSERT_TRUE(issued);
  EXPECT_FALSE(issued->created);
  EXPECT_EQ(read(dir + "/ca.key"), key);
  EXPECT_EQ(read(dir + "/pa.crt"), node);
}

TEST_F(Ca, goes_on_after_a_crash_between_key_and_certificate) {
  ASSERT_TRUE(init_ca(dir));
  ASSERT_TRUE(issue_certificate("pa", dir));
  const std::string key = read(dir + "/pa.key");
  fs::remove(dir + "/pa.crt");
  const auto issued = issue_certificate("pa", dir);
  ASSERT_TRUE(issued);
  EXPECT_TRUE(issued->created);
  EXPECT_EQ(read(dir + "/pa.key"), key);
  EXPECT_EQ(openssl("verify -CAfile " + dir + "/ca.crt " + dir + "/pa.crt"), 0);
}

TEST_F(Ca, an_authority_whose_key_is_lost_or_anothers_is_not_replaced) {
  ASSERT_TRUE(init_ca(dir));
  fs::rename(dir + "/ca.key", dir + "/lost");
  EXPECT_EQ(init_ca(dir).error().code, ErrorCode::Refused);
  EXPECT_FALSE(fs::exists(dir + "/ca.key"));
  ASSERT_TRUE(init_ca(dir + "2"));
  fs::copy(dir + "2/ca.key", dir + "/ca.key");
  EXPECT_EQ(init_ca(dir).error().code, ErrorCode::Refused);
  EXPECT_EQ(issue_certificate("pa", dir).error().code, ErrorCode::Refused);
}

TEST_F(Ca, a_certificate_of_another_authority_is_not_taken_for_ours) {
  ASSERT_TRUE(init_ca(dir));
  ASSERT_TRUE(init_ca(dir + "2"));
  ASSERT_TRUE(issue_certificate("pa", dir + "2"));
  fs::copy(dir + "2/pa.crt", dir + "/pa.crt");
  fs::copy(dir + "2/pa.key", dir + "/pa.key");
  EXPECT_EQ(issue_certificate("pa", dir).error().code, ErrorCode::Refused);
  EXPECT_NE(openssl("verify -CAfile " + dir + "/ca.crt " + dir + "2/pa.crt"), 0);
}

TEST_F(Ca, wrong_names_and_a_missing_authority_are_told) {
  EXPECT_EQ(issue_certificate("pa", dir).error().code, ErrorCode::NotFound);
  ASSERT_TRUE(init_ca(dir));
  for (const char* bad : {"", "a b", "../x", "ca"})
    EXPECT_EQ(issue_certificate(bad, dir).error().code, ErrorCode::Usage) << bad;
  EXPECT_EQ(init_ca("relative/dir").error().code, ErrorCode::Usage);
}

TEST_F(Ca, a_damaged_file_is_an_error) {
  ASSERT_TRUE(init_ca(dir));
  std::ofstream(dir + "/ca.crt") << "-----BEGIN CERTIFICATE-----\nAAAA\n";
  EXPECT_FALSE(init_ca(dir));
  EXPECT_FALSE(issue_certificate("pa", dir));
}
