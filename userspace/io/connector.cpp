// SPDX-License-Identifier: GPL-2.0-or-later
// One thread that connects, hands the link out, waits until that one is gone, and connects again.
#include "io/tls_link.hpp"
#include "io/worker.hpp"

#include <algorithm>
#include <atomic>
#include <poll.h>
#include <random>
#include <thread>

namespace rc::io {
namespace {

// After a link that lasted so long the first retry comes soon again.
constexpr auto lasting = std::chrono::seconds(2);

struct ConnectorOwner {
  std::function<void(std::unique_ptr<Link>)> on_link;
  std::function<void(Error)> on_failed;
  bool alive = true; // owner's thread
};

// Passes everything on and tells the connector when the link is gone.
class ConnectedLink final : public Link {
public:
  ConnectedLink(std::unique_ptr<Link> link, std::shared_ptr<WakeFd> gone)
      : link_(std::move(link)), gone_(std::move(gone)) {}
  ~ConnectedLink() override {
    link_.reset();
    gone_->wake();
  }
  const std::string& peer() const override { return link_->peer(); }
  const std::string& address() const override { return link_->address(); }
  const std::string& cipher() const override { return link_->cipher(); }
  bool outgoing() const override { return link_->outgoing(); }
  void start(LinkCallbacks callbacks) override {
    auto down = std::move(callbacks.down);
    callbacks.down = [down = std::move(down), gone = gone_](const Error& error) {
      gone->wake();
      if (down)
        down(error);
    };
    link_->start(std::move(callbacks));
  }
  void send(format::FrameType type, std::uint32_t channel, Bytes body) override {
    link_->send(type, channel, std::move(body));
  }
  void send_records(std::uint32_t channel, format::OutgoingRecords records) override {
    link_->send_records(channel, std::move(records));
  }
  std::size_t queued_bytes() const override { return link_->queued_bytes(); }
  LinkCounters counters() const override { return link_->counters(); }
  std::uint32_t round_trip_us() const override { return link_->round_trip_us(); }
  void close(const std::string& reason) override { link_->close(reason); }

private:
  std::unique_ptr<Link> link_;
  std::shared_ptr<WakeFd> gone_;
};

class TlsConnector final : public Connector {
public:
  TlsConnector(std::string host, std::uint16_t port, std::string expected,
               std::shared_ptr<TlsContext> context, Executor executor, LinkOptions options,
               std::shared_ptr<ConnectorOwner> owner)
      : host_(std::move(host)), port_(port), expected_(std::move(expected)), context_(std::move(context)),
        executor_(std::move(executor)), options_(options), owner_(std::move(owner)),
        thread_([this] { run(); }) {}

  ~TlsConnector() override {
    owner_->alive = false;
    stop_.wake();
    thread_.join();
  }

private:
  void run() {
    begin_thread("connector");
    std::mt19937 random(std::random_device{}());
    double pause_ms = options_.retry_min_ms;
    for (;;) {
      const auto begin = Clock::now();
      const Status done = connect_once();
      if (!done && done.error().code == ErrorCode::Again)
        return;
      if (!done)
        post(executor_, [owner = owner_, error = done.error()] {
          if (owner->alive && owner->on_failed)
            owner->on_failed(error);
        });
      if (done && Clock::now() - begin >= lasting)
        pause_ms = options_.retry_min_ms;
      // Jitter: nodes that lost each other at one moment don't come back at one moment.
      const double jitter = 0.75 + 0.5 * std::uniform_real_distribution<>()(random);
      if (!sleep(std::chrono::milliseconds(static_cast<std::int64_t>(pause_ms * jitter))))
        return;
      pause_ms = std::min<double>(pause_ms * 2, options_.retry_max_ms);
    }
  }

  // Ok: there was a link, and it is gone. Again: stopped.
  Status connect_once() {
    const auto deadline = Clock::now() + std::chrono::milliseconds(options_.connect_timeout_ms);
    auto fd = connect_tcp(host_, port_, stop_, deadline);
    if (!fd)
      return fd.error();
    const std::string address = peer_address(fd->get());
    auto session = std::make_unique<TlsSession>(std::move(*fd), context_, false);
    const auto allowed = [this](const std::string& name) { return expected_.empty() || name == expected_; };
    if (Status done = session->establish(allowed, stop_, deadline); !done)
      return done.error().code == ErrorCode::Again
                 ? done.error()
                 : done.error().because(host_ + " port " + std::to_string(port_));
    auto gone = std::make_shared<WakeFd>();
    auto link = std::make_shared<std::unique_ptr<Link>>(
        std::make_unique<ConnectedLink>(make_link(std::move(session), address, executor_, options_), gone));
    post(executor_, [owner = owner_, link = std::move(link)] {
      if (owner->alive)
        owner->on_link(std::move(*link));
    });
    return wait_until_gone(*gone);
  }

  Status wait_until_gone(const WakeFd& gone) {
    for (;;) {
      const Status ready = wait_for(gone.get(), POLLIN, stop_, Clock::now() + std::chrono::minutes(1));
      if (ready || ready.error().code != ErrorCode::Timeout)
        return ready;
    }
  }

  bool sleep(std::chrono::milliseconds time) {
    const WakeFd nothing;
    return wait_for(nothing.get(), POLLIN, stop_, Clock::now() + time).error().code == ErrorCode::Timeout;
  }

  const std::string host_;
  const std::uint16_t port_;
  const std::string expected_;
  const std::shared_ptr<TlsContext> context_;
  const Executor executor_;
  const LinkOptions options_;
  const std::shared_ptr<ConnectorOwner> owner_;
  WakeFd stop_;
  std::thread thread_;
};

} // namespace

std::unique_ptr<Connector> Connector::create(const std::string& host, std::uint16_t port,
                                             const std::string& expected, std::shared_ptr<TlsContext> context,
                                             Executor executor, LinkOptions options,
                                             std::function<void(std::unique_ptr<Link>)> on_link,
                                             std::function<void(Error)> on_failed) {
  auto owner = std::make_shared<ConnectorOwner>();
  owner->on_link = std::move(on_link);
  owner->on_failed = std::move(on_failed);
  return std::make_unique<TlsConnector>(host, port, expected, std::move(context), std::move(executor),
                                        options, std::move(owner));
}

} // namespace rc::io
