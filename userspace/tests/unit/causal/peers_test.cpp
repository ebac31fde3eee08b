// SPDX-License-Identifier: GPL-2.0-or-later
#include "causal/peers.hpp"
#include "history.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

using namespace rc;
using namespace rc::causal;

namespace {

struct Host {
  Host(const Shape& shape, std::uint16_t number)
      : board(shape, number, [](ByteView) { return Status(); }), peers(shape, number, board) {}
  Board board;
  Peers peers;

  void write_once(const Shape& shape, WriteId id) {
    Block block{.shape = shape, .id = id, .place = shape.place_of(id), .clock = {}};
    ASSERT_TRUE(board.begin(block));
    ASSERT_TRUE(board.complete({.id = id, .place = block.place}, 4096));
  }
};

std::string address(const std::string& name) {
  return (std::filesystem::temp_directory_path() / (name + std::to_string(::getpid()))).string();
}

int connect_to(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  path.copy(to.sun_path, sizeof to.sun_path - 1);
  EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  return fd;
}

} // namespace

TEST(Peers, a_receiver_depends_on_what_the_sender_has_completed) {
  const Shape shape = test::small_shape(2, 2, 1, 100);
  const std::string path = address("rc-causal-peers-");
  Host first(shape, 0);
  Host second(shape, 1);
  ASSERT_TRUE(second.peers.start({"unix:" + path}, {}));
  ASSERT_TRUE(first.peers.start({}, {"unix:" + path}));
  first.write_once(shape, {1, 1});
  Clock known(4); // returns when the message has come, whenever that is
  ASSERT_TRUE(second.board.wait_for_news(known));
  EXPECT_EQ(known, (Clock{0, 1, 0, 0}));
  first.peers.stop();
  second.peers.stop();
  std::filesystem::remove(path);
}

TEST(Peers, refuses_messages_that_are_not_of_the_run_and_goes_on) {
  const Shape shape = test::small_shape(2, 2, 1, 100);
  const std::string path = address("rc-causal-refuse-");
  Host own(shape, 1);
  ASSERT_TRUE(own.peers.start({"unix:" + path}, {}));
  const int stranger = connect_to(path);
  const std::string garbage(24 + 16, 'x');
  ASSERT_EQ(::send(stranger, garbage.data(), garbage.size(), MSG_NOSIGNAL), 40);
  char byte = 0;
  EXPECT_LE(::recv(stranger, &byte, 1, 0), 0); // closed by the other side
  ::close(stranger);

  Shape other_run = shape;
  other_run.run++;
  Host other(other_run, 0);
  ASSERT_TRUE(other.peers.start({}, {"unix:" + path}));
  other.write_once(other_run, {0, 1});
  Host peer(shape, 0);
  ASSERT_TRUE(peer.peers.start({}, {"unix:" + path}));
  peer.write_once(shape, {1, 1});
  Clock known(4);
  ASSERT_TRUE(own.board.wait_for_news(known));
  EXPECT_EQ(known, (Clock{0, 1, 0, 0}));
  other.peers.stop();
  std::filesystem::remove(path);
}

TEST(Peers, an_address_that_is_none_is_a_usage_error) {
  const Shape shape = test::small_shape(1, 1, 1, 10);
  for (const char* text : {"", "unix:", "tcp:1", "udp:a:1", "tcp:localhost:notaport"}) {
    Host host(shape, 0);
    const Status status = host.peers.start({}, {text});
    ASSERT_FALSE(status) << text;
    EXPECT_EQ(status.error().code, ErrorCode::Usage);
  }
}
