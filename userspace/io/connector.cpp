// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/make_link.hpp"
#include "io/tcp.hpp"
#include "io/worker.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <poll.h>
#include <random>
#include <thread>

namespace rc::io {
namespace {

class TlsConnector : public Connector {
public:
  TlsConnector(std::string host, std::uint16_t port, std::string expected,
               std::shared_ptr<TlsContext> context, Executor executor, LinkOptions options,
               std::function<void(std::unique_ptr<Link>)> on_link, std::function<void(Error)> on_failed)
      : host_(std::move(host)), port_(port), expected_(std::move(expected)), context_(std::move(context)),
        executor_(std::move(executor)), options_(options), state_(std::make_shared<State>()) {
    state_->on_link = std::move(on_link);
    state_->on_failed = std::move(on_failed);
    thread_ = std::thread([this] { run(); });
  }

  ~TlsConnector() override {
    state_->gone = true;
    state_->stop();
    thread_.join();
  }

private:
  struct State {
    std::atomic<bool> gone{false}; // the callbacks are not called any more
    std::function<void(std::unique_ptr<Link>)> on_link;
    std::function<void(Error)> on_failed;
    Waker waker;
    std::mutex mutex;
    std::condition_variable changed;
    bool stopping = false;
    bool link_lives = false;

    void stop() {
      {
        const std::lock_guard lock(mutex);
        stopping = true;
      }
      waker.wake();
      changed.notify_all();
    }
    void link_ended() {
      {
        const std::lock_guard lock(mutex);
        link_lives = false;
      }
      changed.notify_all();
    }
  };

  void run() {
    begin_thread("rc-connect");
    std::minstd_rand jitter(std::random_device{}());
    std::uint32_t pause_ms = options_.retry_min_ms;
    for (;;) {
      auto connection = attempt();
      std::unique_lock lock(state_->mutex);
      if (state_->stopping)
        return;
      if (connection) {
        state_->link_lives = true;
        lock.unlock();
        hand_over(std::move(*connection));
        lock.lock();
        state_->changed.wait(lock, [this] { return state_->stopping || !state_->link_lives; });
        pause_ms = options_.retry_min_ms;
      } else {
        lock.unlock();
        tell(connection.error());
        lock.lock();
      }
      const auto pause = std::chrono::milliseconds(pause_ms / 2 + jitter() % (pause_ms / 2 + 1));
      pause_ms = std::min(pause_ms * 2, options_.retry_max_ms);
      if (state_->changed.wait_for(lock, pause, [this] { return state_->stopping; }))
        return;
    }
  }

  Result<std::unique_ptr<TlsConnection>> attempt() {
    const auto timeout = std::chrono::milliseconds(options_.connect_timeout_ms);
    auto socket = connect_tcp(host_, port_, timeout, state_->waker);
    if (!socket)
      return socket.error();
    auto connection = std::make_unique<TlsConnection>(std::move(*socket), context_);
    if (Status done = connection->handshake(true, timeout, state_->waker); !done)
      return done.error().because("node " + expected_);
    if (!expected_.empty() && connection->peer() != expected_)
      return Error{ErrorCode::NotPermitted,
                   host_ + ":" + std::to_string(port_) + " is node " + connection->peer() + ", not " +
                       expected_,
                   "correct the address: rcctl node add " + expected_ + " --address HOST:PORT"};
    return connection;
  }

  void hand_over(std::unique_ptr<TlsConnection> connection) {
    const std::string address = peer_address(connection->fd());
    // A function that is posted must be copyable: the link travels in a box that is emptied once. A box that
    // is never opened (the connector is gone) ends the link.
    auto box = std::make_shared<std::unique_ptr<Link>>(make_link(std::move(connection), address, true,
                                                                 executor_, options_,
                                                                 [state = state_] { state->link_ended(); }));
    post(executor_, [state = state_, box] {
      if (!state->gone)
        state->on_link(std::move(*box));
      else
        box->reset();
    });
  }

  void tell(const Error& error) {
    post(executor_, [state = state_, error] {
      if (!state->gone)
        state->on_failed(error);
    });
  }

  const std::string host_;
  const std::uint16_t port_;
  const std::string expected_;
  const std::shared_ptr<TlsContext> context_;
  const Executor executor_;
  const LinkOptions options_;
  std::shared_ptr<State> state_;
  std::thread thread_;
};

} // namespace

std::unique_ptr<Connector> Connector::create(const std::string& host, std::uint16_t port,
                                             const std::string& expected, std::shared_ptr<TlsContext> context,
                                             Executor executor, LinkOptions options,
                                             std::function<void(std::unique_ptr<Link>)> on_link,
                                             std::function<void(Error)> on_failed) {
  return std::make_unique<TlsConnector>(host, port, expected, std::move(context), std::move(executor),
                                        options, std::move(on_link), std::move(on_failed));
}

} // namespace rc::io
