// SPDX-License-Identifier: GPL-2.0-or-later
// Two ends of a link on the loopback address, with certificates made for the test.
#include "io/ca.hpp"
#include "io/link.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <filesystem>
#include <gtest/gtest.h>

using namespace rc;
using namespace rc::io;

namespace {

class LinkTest : public ::testing::Test {
protected:
  void SetUp() override {
    char name[] = "/tmp/rc-link-test-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
    ASSERT_TRUE(init_ca(directory_ + "/ca"));
    ASSERT_TRUE(init_ca(directory_ + "/other"));
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::shared_ptr<TlsContext> context(const std::string& node, const std::string& ca = "ca",
                                      const std::string& believes = "ca") {
    const auto files = issue_certificate(node, directory_ + "/" + ca);
    EXPECT_TRUE(files);
    auto loaded = TlsContext::load(
        {.ca = directory_ + "/" + ca + "/ca.crt", .certificate = files->certificate, .key = files->key});
    EXPECT_TRUE(loaded) << loaded.error().text();
    (void)believes;
    return *loaded;
  }

  void listen(const std::string& node = "b") {
    auto listener = Listener::create(
        "127.0.0.1", 0, context(node), allowed_, loop_.get_executor(), options_,
        [this](std::unique_ptr<Link> link) { accepted_ = std::move(link); },
        [this](RefusedPeer refused) { refused_.push_back(std::move(refused)); });
    ASSERT_TRUE(listener) << listener.error().text();
    listener_ = std::move(*listener);
  }

  void connect(std::shared_ptr<TlsContext> from, const std::string& expected) {
    connector_ = Connector::create(
        "127.0.0.1", listener_->port(), expected, std::move(from), loop_.get_executor(), options_,
        [this](std::unique_ptr<Link> link) { connected_ = std::move(link); },
        [this](Error error) { failures_.push_back(std::move(error)); });
  }

  template <typename Condition> bool run_until(Condition condition, int seconds = 20) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    while (!condition() && std::chrono::steady_clock::now() < deadline) {
      loop_.restart();
      loop_.run_for(std::chrono::milliseconds(5));
    }
    return condition();
  }

  void pair_up() {
    allowed_->allow_any(true);
    listen();
    connect(context("a"), "b");
    ASSERT_TRUE(run_until([this] { return accepted_ && connected_; }));
  }

  std::string directory_;
  boost::asio::io_context loop_;
  LinkOptions options_;
  std::shared_ptr<PeerNames> allowed_ = std::make_shared<PeerNames>();
  std::unique_ptr<Link> accepted_;
  std::unique_ptr<Link> connected_;
  std::vector<RefusedPeer> refused_;
  std::vector<Error> failures_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Connector> connector_;
};

} // namespace

TEST_F(LinkTest, both_ends_know_each_other_by_certificate) {
  pair_up();
  EXPECT_EQ(accepted_->peer(), "a");
  EXPECT_EQ(connected_->peer(), "b");
  EXPECT_TRUE(connected_->outgoing());
  EXPECT_FALSE(accepted_->outgoing());
  EXPECT_NE(connected_->cipher().find("TLSv1.3"), std::string::npos) << connected_->cipher();
}

TEST_F(LinkTest, frames_arrive_in_order_whatever_their_size) {
  pair_up();
  std::vector<std::size_t> sizes;
  accepted_->start({.frames =
                        [&](std::vector<ReceivedFrame> frames) {
                          for (const auto& frame : frames) {
                            sizes.push_back(frame.body.size());
                            EXPECT_EQ(frame.channel, sizes.size());
                          }
                        },
                    .drained = {},
                    .down = [](Error error) { FAIL() << error.text(); }});
  connected_->start({.frames = {}, .drained = {}, .down = [](Error error) { FAIL() << error.text(); }});
  const std::vector<std::size_t> sent = {0, 1, 31, 32, 16384, 3000000, 5, 700000, 1};
  std::uint32_t channel = 0;
  for (const auto size : sent)
    connected_->send(format::FrameType::Message, ++channel, Bytes(size, std::byte{7}));
  ASSERT_TRUE(run_until([&] { return sizes.size() == sent.size(); }));
  EXPECT_EQ(sizes, sent);
  EXPECT_EQ(connected_->queued_bytes(), 0u);
  EXPECT_EQ(accepted_->counters().received_frames, connected_->counters().sent_frames);
}

TEST_F(LinkTest, what_writes_of_hosts_wait_for_goes_before_what_is_queued) {
  options_.unhandled_bytes_max = 1 << 20;
  pair_up();
  std::vector<format::FrameType> types;
  std::vector<std::size_t> urgent;
  accepted_->start({.frames =
                        [&](std::vector<ReceivedFrame> frames) {
                          for (const auto& frame : frames) {
                            types.push_back(frame.type);
                            if (frame.type == format::FrameType::Copyset)
                              urgent.push_back(frame.body.size());
                          }
                        },
                    .drained = {},
                    .down = [](Error error) { FAIL() << error.text(); }});
  connected_->start({.frames = {}, .drained = {}, .down = [](Error error) { FAIL() << error.text(); }});
  constexpr std::size_t bulk = 32;
  for (std::size_t i = 0; i < bulk; i++)
    connected_->send(format::FrameType::Message, 1, Bytes(1 << 20));
  connected_->send(format::FrameType::Copyset, 0, Bytes(7));
  connected_->send(format::FrameType::Copyset, 0, Bytes(8));
  ASSERT_TRUE(run_until([&] { return types.size() == bulk + 2; }));
  EXPECT_EQ(urgent, (std::vector<std::size_t>{7, 8})); // in order among themselves
  EXPECT_NE(types.back(), format::FrameType::Copyset);
}

TEST_F(LinkTest, records_arrive_whole_with_their_data) {
  pair_up();
  format::RecordsMessage message;
  message.stream = StreamId{0x1122334455667788};
  auto data = std::make_shared<Bytes>();
  for (Seq seq = 1; seq <= 100; seq++) {
    const Bytes block(4096, static_cast<std::byte>(seq));
    format::Record record{};
    record.type = DMRC_WRITE;
    record.stream = 0x55667788;
    record.length = 4096;
    record.seq = seq;
    record.sector = 8 * seq;
    record.era = 1;
    format::seal_record(record, block);
    message.records.push_back(record);
    append_bytes(*data, block);
  }
  message.data = data;
  std::vector<format::RecordsMessage> arrived;
  accepted_->start({.frames =
                        [&](std::vector<ReceivedFrame> frames) {
                          for (auto& frame : frames)
                            arrived.push_back(std::move(frame.records));
                        },
                    .drained = {},
                    .down = [](Error error) { FAIL() << error.text(); }});
  connected_->start({.frames = {}, .drained = {}, .down = [](Error error) { FAIL() << error.text(); }});
  connected_->send_records(1, format::outgoing_for_link(message, 1));
  ASSERT_TRUE(run_until([&] { return !arrived.empty(); }));
  ASSERT_EQ(arrived.front().records.size(), 100u);
  EXPECT_EQ(*arrived.front().data, *data);
  EXPECT_EQ(arrived.front().records[41].sector, 8u * 42);
  EXPECT_EQ(connected_->counters().packed_frames, 0u) << "the peer did not say that it understands them";

  const auto before = connected_->counters().sent_bytes;
  connected_->compress(Compress::Always);
  connected_->send_records(1, format::outgoing_for_link(message, 1));
  ASSERT_TRUE(run_until([&] { return arrived.size() == 2; }));
  EXPECT_EQ(arrived.back().records.size(), 100u);
  EXPECT_EQ(*arrived.back().data, *data);
  EXPECT_EQ(connected_->counters().packed_frames, 1u);
  EXPECT_GT(connected_->counters().saved_bytes, data->size() * 3 / 4);
  EXPECT_LT(connected_->counters().sent_bytes - before, data->size() / 4);
  EXPECT_EQ(accepted_->counters().received_bytes, connected_->counters().sent_bytes);
}

// The network takes everything at once: the processor's time is worth more.
TEST_F(LinkTest, auto_compresses_only_what_the_network_makes_wait) {
  pair_up();
  format::RecordsMessage message;
  message.stream = StreamId{0x1122334455667788};
  const Bytes block(1 << 20, std::byte{7});
  format::Record record{};
  record.type = DMRC_WRITE;
  record.stream = 0x55667788;
  record.length = 1 << 20;
  record.seq = 1;
  record.era = 1;
  format::seal_record(record, block);
  message.records = {record};
  message.data = std::make_shared<const Bytes>(block);
  std::size_t arrived = 0;
  accepted_->start({.frames = [&](std::vector<ReceivedFrame> frames) { arrived += frames.size(); },
                    .drained = {},
                    .down = [](Error error) { FAIL() << error.text(); }});
  connected_->start({.frames = {}, .drained = {}, .down = [](Error error) { FAIL() << error.text(); }});
  connected_->compress(Compress::Auto);
  connected_->send_records(1, format::outgoing_for_link(message, 1));
  ASSERT_TRUE(run_until([&] { return arrived == 1; }));
  EXPECT_EQ(connected_->counters().packed_frames, 0u);
  // Many at once fill the socket.
  for (int i = 0; i < 200; i++)
    connected_->send_records(1, format::outgoing_for_link(message, 1));
  ASSERT_TRUE(run_until([&] { return arrived == 201; }));
  EXPECT_GT(connected_->counters().packed_frames, 0u);
}

TEST_F(LinkTest, a_certificate_of_another_ca_is_refused_on_both_sides) {
  allowed_->allow_any(true);
  listen();
  connect(context("a", "other"), "b");
  ASSERT_TRUE(run_until([this] { return !failures_.empty() && !refused_.empty(); }));
  EXPECT_FALSE(connected_);
  EXPECT_FALSE(accepted_);
  EXPECT_EQ(failures_.front().code, ErrorCode::NotPermitted) << failures_.front().text();
  EXPECT_EQ(refused_.front().error.code, ErrorCode::NotPermitted) << refused_.front().error.text();
}

TEST_F(LinkTest, a_node_that_is_not_allowed_is_refused_by_name) {
  allowed_->set({"c"});
  listen();
  connect(context("a"), "b");
  ASSERT_TRUE(run_until([this] { return !refused_.empty(); }));
  EXPECT_EQ(refused_.front().name, "a");
  EXPECT_FALSE(accepted_);
}

TEST_F(LinkTest, the_wrong_node_at_an_address_is_found_out) {
  allowed_->allow_any(true);
  listen("b");
  connect(context("a"), "x");
  ASSERT_TRUE(run_until([this] { return !failures_.empty(); }));
  EXPECT_NE(failures_.front().what.find("is node b, not x"), std::string::npos) << failures_.front().text();
  EXPECT_FALSE(connected_);
}

TEST_F(LinkTest, a_link_that_ends_is_told_once_and_made_again) {
  options_.retry_min_ms = 10;
  pair_up();
  int downs = 0;
  connected_->start({.frames = {}, .drained = {}, .down = [&](Error) { downs++; }});
  accepted_->start({.frames = {}, .drained = {}, .down = [](Error) {}});
  accepted_->close("test");
  ASSERT_TRUE(run_until([&] { return downs == 1; }));
  accepted_.reset();
  connected_.reset();
  ASSERT_TRUE(run_until([this] { return accepted_ && connected_; }));
  EXPECT_EQ(downs, 1);
}

TEST_F(LinkTest, a_peer_that_falls_silent_is_declared_dead) {
  options_.dead_after_ms = 300;
  options_.keep_alive_ms = 60000; // neither end says anything
  pair_up();
  std::optional<Error> down;
  connected_->start({.frames = {}, .drained = {}, .down = [&](Error error) { down = std::move(error); }});
  ASSERT_TRUE(run_until([&] { return down.has_value(); }));
  EXPECT_EQ(down->code, ErrorCode::Timeout) << down->text();
}

TEST_F(LinkTest, an_owner_that_does_not_keep_up_makes_the_sender_wait) {
  options_.unhandled_bytes_max = 1 << 20;
  pair_up();
  connected_->start({.frames = {}, .drained = {}, .down = [](Error) {}});
  std::size_t arrived = 0;
  accepted_->start({.frames =
                        [&](std::vector<ReceivedFrame> frames) {
                          for (const auto& frame : frames)
                            arrived += frame.body.size();
                        },
                    .drained = {},
                    .down = [](Error) {}});
  constexpr std::size_t each = 1 << 20;
  constexpr std::size_t count = 64;
  for (std::size_t i = 0; i < count; i++)
    connected_->send(format::FrameType::Message, 1, Bytes(each));
  // The loop does not run: nothing is handled.
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_LT(accepted_->counters().received_bytes, 8u << 20);
  ASSERT_TRUE(run_until([&] { return arrived == each * count; }));
}
