// SPDX-License-Identifier: GPL-2.0-or-later
// Accepts connections; each handshake has a thread of its own, a limited number at a time, so that somebody
// who connects and says nothing keeps nobody out for long.
#include "io/make_link.hpp"
#include "io/tcp.hpp"
#include "io/worker.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <poll.h>
#include <sys/socket.h>
#include <thread>

namespace rc::io {
namespace {

constexpr int handshakes_max = 32;

class TlsListener : public Listener {
public:
  TlsListener(Fd socket, std::shared_ptr<TlsContext> context, std::shared_ptr<PeerNames> allowed,
              Executor executor, LinkOptions options, std::function<void(std::unique_ptr<Link>)> on_link,
              std::function<void(RefusedPeer)> on_refused)
      : socket_(std::move(socket)), port_(local_port(socket_.get())), state_(std::make_shared<State>()) {
    state_->context = std::move(context);
    state_->allowed = std::move(allowed);
    state_->executor = std::move(executor);
    state_->options = options;
    state_->on_link = std::move(on_link);
    state_->on_refused = std::move(on_refused);
    thread_ = std::thread([this] { run(); });
  }

  ~TlsListener() override {
    state_->gone = true;
    state_->waker.wake(); // stays awake: ends the handshakes too
    thread_.join();
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [this] { return state_->handshakes == 0; });
  }

  std::uint16_t port() const override { return port_; }

private:
  struct State {
    std::shared_ptr<TlsContext> context;
    std::shared_ptr<PeerNames> allowed;
    Executor executor;
    LinkOptions options;
    std::function<void(std::unique_ptr<Link>)> on_link;
    std::function<void(RefusedPeer)> on_refused;
    std::atomic<bool> gone{false};
    Waker waker;
    std::mutex mutex;
    std::condition_variable changed;
    int handshakes = 0;
  };

  void run() {
    begin_thread("rc-listen");
    while (!state_->gone) {
      pollfd waits[2] = {{socket_.get(), POLLIN, 0}, {state_->waker.fd(), POLLIN, 0}};
      poll(waits, 2, -1);
      if (state_->gone)
        return;
      Fd accepted(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!accepted.valid())
        continue;
      std::unique_lock lock(state_->mutex);
      state_->changed.wait(lock, [this] { return state_->handshakes < handshakes_max || state_->gone; });
      state_->handshakes++;
      lock.unlock();
      std::thread([state = state_, socket = std::make_shared<Fd>(std::move(accepted))] {
        begin_thread("rc-accept");
        greet(*state, std::move(*socket));
        const std::lock_guard done(state->mutex);
        state->handshakes--;
        state->changed.notify_all();
      }).detach();
    }
  }

  static void greet(State& state, Fd socket) {
    const std::string address = peer_address(socket.get());
    auto connection = std::make_unique<TlsConnection>(std::move(socket), state.context);
    Status let_in = connection->handshake(false, std::chrono::milliseconds(state.options.connect_timeout_ms),
                                          state.waker);
    if (let_in && !state.allowed->allows(connection->peer()))
      let_in = Error{ErrorCode::NotPermitted, "node " + connection->peer() + " is not known here",
                     "rcctl node add " + connection->peer() + " --address HOST:PORT"};
    if (state.gone)
      return;
    if (!let_in) {
      post(state.executor, [refused = RefusedPeer{address, connection->peer(), let_in.error()},
                            on_refused = state.on_refused] { on_refused(refused); });
      return;
    }
    auto box = std::make_shared<std::unique_ptr<Link>>(
        make_link(std::move(connection), address, false, state.executor, state.options, {}));
    post(state.executor, [box, on_link = state.on_link] { on_link(std::move(*box)); });
  }

  Fd socket_;
  std::uint16_t port_;
  std::shared_ptr<State> state_;
  std::thread thread_;
};

} // namespace

Result<std::unique_ptr<Listener>> Listener::create(const std::string& address, std::uint16_t port,
                                                   std::shared_ptr<TlsContext> context,
                                                   std::shared_ptr<PeerNames> allowed, Executor executor,
                                                   LinkOptions options,
                                                   std::function<void(std::unique_ptr<Link>)> on_link,
                                                   std::function<void(RefusedPeer)> on_refused) {
  auto socket = listen_tcp(address, port);
  if (!socket)
    return socket.error();
  return std::unique_ptr<Listener>(
      std::make_unique<TlsListener>(std::move(*socket), std::move(context), std::move(allowed),
                                    std::move(executor), options, std::move(on_link), std::move(on_refused)));
}

} // namespace rc::io
