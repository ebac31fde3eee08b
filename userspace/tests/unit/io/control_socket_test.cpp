// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/control_socket.hpp"

#include "format/control_wire.hpp"
#include "tests/support/fake_agent.hpp"

#include <fstream>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace rc;
using namespace rc::io;
using namespace std::chrono_literals;

namespace {

using Clock = ControlClient::Clock;

struct Socket : ::testing::Test {
  test::FakeAgent agent;
  void SetUp() override {
    agent.reports.push_back({});
    agent.reports.back().node = "pa";
    const Status started = agent.start();
    ASSERT_TRUE(started) << started.error().what;
  }
  ControlClient connect() {
    auto client = ControlClient::connect(agent.socket());
    EXPECT_TRUE(client) << client.error().what;
    return std::move(*client);
  }
};

// A client that says what it likes.
class RawClient {
public:
  explicit RawClient(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const timeval patience{10, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  ~RawClient() { ::close(fd_); }
  bool say(const std::string& text) {
    return ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  void end() { shutdown(fd_, SHUT_WR); }
  // All until the server closes.
  std::string hear_all() {
    std::string text;
    char chunk[4096];
    ssize_t size;
    while ((size = recv(fd_, chunk, sizeof chunk, 0)) > 0)
      text.append(chunk, static_cast<std::size_t>(size));
    EXPECT_EQ(size, 0) << "the server did not close: " << text;
    return text;
  }

private:
  int fd_;
};

std::size_t count_nul(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\0'));
}

} // namespace

TEST_F(Socket, answers_one_call_after_the_other_on_one_connection) {
  ControlClient client = connect();
  for (int i = 0; i < 3; ++i) {
    const auto reply = client.call<control::VersionReply>(control::VersionRequest{});
    ASSERT_TRUE(reply) << reply.error().what;
    EXPECT_EQ(reply->node, "pa");
  }
  EXPECT_EQ(agent.calls().size(), 3u);
}

TEST_F(Socket, an_agents_error_is_not_a_broken_connection) {
  ControlClient client = connect();
  agent.on_thread([&] {
    agent.refuse = Error{ErrorCode::Unreachable, "node sy does not answer", "start it"};
  });
  const auto reply = client.call<control::ChangeReply>(control::ConfirmRequest{"bank", true});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::Unreachable);
  EXPECT_EQ(reply.error().next, "start it");
  EXPECT_TRUE(client.connected());
  EXPECT_TRUE(client.call<control::VersionReply>(control::VersionRequest{}));
}

TEST_F(Socket, a_stream_goes_on_until_the_client_has_enough_and_the_agent_hears_of_it) {
  ControlClient client = connect();
  int reports = 0;
  const auto last = client.stream<control::StatusReply>(
      control::StatusRequest{}, [&](const control::StatusReply&) { return ++reports < 3; });
  ASSERT_TRUE(last);
  EXPECT_EQ(reports, 3);
  EXPECT_TRUE(agent.wait_gone(1));
}

TEST_F(Socket, a_silent_stream_notices_that_its_client_died) {
  agent.on_thread([&] { agent.silent = true; });
  {
    ControlClient client = connect();
    const auto last = client.stream<control::StatusReply>(control::StatusRequest{},
                                                          [](const control::StatusReply&) { return false; });
    ASSERT_TRUE(last);
  }
  EXPECT_TRUE(agent.wait_gone(1));
  EXPECT_EQ(agent.connections(), 0u);
}

TEST_F(Socket, a_deadline_ends_a_call_that_is_not_answered) {
  agent.on_thread([&] { agent.hold_version = true; });
  ControlClient client = connect();
  const auto reply = client.call<control::VersionReply>(control::VersionRequest{}, Clock::now() + 20ms);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::Timeout);
  EXPECT_FALSE(client.connected());
  EXPECT_EQ(client.call<control::VersionReply>(control::VersionRequest{}).error().code,
            ErrorCode::Unreachable);
}

TEST_F(Socket, a_call_that_the_agent_forgets_is_answered_all_the_same) {
  agent.on_thread([&] { agent.drop_version = true; });
  ControlClient client = connect();
  const auto reply = client.call<control::VersionReply>(control::VersionRequest{}, Clock::now() + 10s);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::Failed);
  EXPECT_TRUE(client.call<control::ListReply>(control::ListRequest{}));
}

TEST_F(Socket, an_answer_that_comes_later_lets_the_next_call_in) {
  agent.on_thread([&] { agent.hold_version = true; });
  RawClient client(agent.socket());
  const std::string nul(1, '\0');
  ASSERT_TRUE(client.say(R"({"method":"version"})" + nul + R"({"method":"list"})" + nul));
  client.end();
  while (agent.calls().empty())
    std::this_thread::yield();
  agent.on_thread([] {}); // whatever was sent along has been read by now
  EXPECT_EQ(agent.calls().size(), 1u);
  agent.on_thread([&] { agent.answer_held(); });
  const std::string answers = client.hear_all();
  EXPECT_EQ(count_nul(answers), 2u) << answers;
  EXPECT_EQ(agent.calls().size(), 2u);
}

TEST_F(Socket, calls_sent_at_once_are_answered_in_order_and_a_half_closed_client_gets_all_answers) {
  RawClient client(agent.socket());
  const std::string nul(1, '\0');
  ASSERT_TRUE(client.say(R"({"method":"version"})" + nul + R"({"method":"list"})" + nul +
                         R"({"method":"nope"})" + nul));
  client.end();
  const std::string answers = client.hear_all();
  EXPECT_EQ(count_nul(answers), 3u) << answers;
  EXPECT_LT(answers.find("kernel_abi"), answers.find("volumes"));
  EXPECT_LT(answers.find("volumes"), answers.find("not_found"));
}

TEST_F(Socket, a_stream_of_a_half_closed_client_goes_on_until_it_is_gone) {
  {
    RawClient client(agent.socket());
    ASSERT_TRUE(client.say(std::string(R"({"method":"status","more":true})") + '\0'));
    client.end();
    while (agent.calls().empty())
      std::this_thread::yield();
    std::this_thread::sleep_for(30ms); // several reports go out meanwhile
    EXPECT_EQ(agent.connections(), 1u);
  }
  EXPECT_TRUE(agent.wait_gone(1));
}

TEST_F(Socket, nonsense_is_answered_and_the_connection_goes_on) {
  RawClient client(agent.socket());
  const std::string nul(1, '\0');
  ASSERT_TRUE(
      client.say("hello" + nul + "[]" + nul + "{\"method\":7}" + nul + R"({"method":"version"})" + nul));
  client.end();
  const std::string answers = client.hear_all();
  EXPECT_EQ(count_nul(answers), 4u) << answers;
  EXPECT_NE(answers.find("not JSON"), std::string::npos);
  EXPECT_NE(answers.find("kernel_abi"), std::string::npos);
}

TEST_F(Socket, a_message_without_end_is_cut_off) {
  RawClient client(agent.socket());
  const std::string chunk(64 * 1024, 'x');
  int said = 0;
  while (said < 200 && client.say(chunk))
    ++said;
  EXPECT_LT(said, 200);
  EXPECT_TRUE(agent.calls().empty());
}

TEST_F(Socket, a_stream_that_nobody_reads_costs_a_bounded_queue_and_is_hung_up) {
  agent.on_thread([&] {
    agent.reports.back().node = std::string(512 * 1024, 'x');
    agent.report_every = 0ms;
  });
  RawClient client(agent.socket());
  ASSERT_TRUE(client.say(std::string(R"({"method":"status","more":true})") + '\0'));
  EXPECT_TRUE(agent.wait_gone(1));
}

TEST_F(Socket, only_root_may_connect) {
  struct stat there = {};
  ASSERT_EQ(stat(agent.socket().c_str(), &there), 0);
  EXPECT_EQ(there.st_mode & 0777, 0600u);
  if (geteuid() != 0)
    GTEST_SKIP() << "needs root to become somebody else";
  // Even when somebody widened the file's mode: the peer's credentials count.
  ASSERT_EQ(chmod(agent.socket().c_str(), 0666), 0);
  std::filesystem::permissions(std::filesystem::path(agent.socket()).parent_path().parent_path(),
                               std::filesystem::perms::others_exec, std::filesystem::perm_options::add);
  const pid_t child = fork();
  if (child == 0) {
    if (setgroups(0, nullptr) != 0 || setresgid(65534, 65534, 65534) != 0 ||
        setresuid(65534, 65534, 65534) != 0)
      _exit(99);
    auto client = ControlClient::connect(agent.socket());
    if (!client)
      _exit(98);
    const auto reply = client->call<control::VersionReply>(control::VersionRequest{});
    _exit(!reply && reply.error().code == ErrorCode::NotPermitted ? 0 : 97);
  }
  int code = -1;
  ASSERT_EQ(waitpid(child, &code, 0), child);
  EXPECT_EQ(WEXITSTATUS(code), 0);
  EXPECT_TRUE(agent.calls().empty());
}

TEST_F(Socket, a_second_agent_is_refused_and_the_first_goes_on) {
  boost::asio::io_context context;
  const auto second = ControlServer::listen(context.get_executor(), agent.socket(), agent);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::Refused);
  EXPECT_TRUE(connect().call<control::VersionReply>(control::VersionRequest{}));
}

TEST_F(Socket, the_socket_of_a_dead_agent_is_replaced_but_another_file_is_not) {
  const std::string path = agent.socket();
  agent.stop();
  EXPECT_FALSE(std::filesystem::exists(path));
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::close(fd); // died: the file stays
  EXPECT_EQ(ControlClient::connect(path).error().code, ErrorCode::Unreachable);
  ASSERT_TRUE(agent.start());
  EXPECT_TRUE(connect().call<control::VersionReply>(control::VersionRequest{}));
  agent.stop();
  std::ofstream(path) << "somebody's file";
  EXPECT_EQ(agent.start().error().code, ErrorCode::Refused);
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST_F(Socket, an_agent_that_stops_hangs_up_and_nobody_listens_any_more) {
  ControlClient client = connect();
  agent.on_thread([&] { agent.hold_version = true; });
  std::thread stopper([&] {
    while (agent.calls().empty())
      std::this_thread::yield();
    agent.stop();
  });
  const auto reply = client.call<control::VersionReply>(control::VersionRequest{});
  stopper.join();
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::Unreachable);
  EXPECT_NE(reply.error().next.find("systemctl status rcagent"), std::string::npos);
  EXPECT_EQ(ControlClient::connect(agent.socket()).error().code, ErrorCode::Unreachable);
}
