// SPDX-License-Identifier: GPL-2.0-or-later
// One thread accepts; each handshake has a thread of its own, so that a silent client delays nobody. At most
// so many handshakes at once: whoever comes beyond that waits in the socket's backlog.
#include "io/tls_link.hpp"
#include "io/worker.hpp"

#include <atomic>
#include <list>
#include <poll.h>
#include <sys/socket.h>
#include <thread>

namespace rc::io {
namespace {

constexpr std::size_t handshakes_max = 32;

struct ListenerOwner {
  std::function<void(std::unique_ptr<Link>)> on_link;
  std::function<void(RefusedPeer)> on_refused;
  bool alive = true; // owner's thread
};

class TlsListener final : public Listener {
public:
  TlsListener(Fd fd, std::shared_ptr<TlsContext> context, std::shared_ptr<PeerNames> allowed,
              Executor executor, LinkOptions options, std::shared_ptr<ListenerOwner> owner)
      : fd_(std::move(fd)), context_(std::move(context)), allowed_(std::move(allowed)),
        executor_(std::move(executor)), options_(options), owner_(std::move(owner)),
        thread_([this] { run(); }) {}

  ~TlsListener() override {
    owner_->alive = false;
    stop_.wake();
    thread_.join();
  }

  std::uint16_t port() const override { return local_port(fd_.get()); }

private:
  struct Handshake {
    std::atomic<bool> over{false};
    std::thread thread;
  };

  void run() {
    begin_thread("listener");
    for (;;) {
      const auto soon = Clock::now() + std::chrono::milliseconds(handshakes_.empty() ? 60'000 : 200);
      const short events = handshakes_.size() < handshakes_max ? POLLIN : 0;
      const Status ready = wait_for(fd_.get(), events, stop_, soon);
      reap(false);
      if (!ready && ready.error().code == ErrorCode::Again)
        break;
      if (!ready)
        continue;
      Fd client(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (client)
        begin(std::move(client));
    }
    reap(true); // they see stop_, too
  }

  void begin(Fd client) {
    Handshake& handshake = handshakes_.emplace_back();
    handshake.thread = std::thread([this, &handshake, client = std::move(client)]() mutable {
      begin_thread("handshake");
      prepare_tcp(client.get());
      admit(std::move(client));
      handshake.over = true;
    });
  }

  void admit(Fd client) {
    const std::string address = peer_address(client.get());
    auto session = std::make_unique<TlsSession>(std::move(client), context_, true);
    const auto deadline = Clock::now() + std::chrono::milliseconds(options_.connect_timeout_ms);
    const Status done = session->establish([this](const std::string& name) { return allowed_->allows(name); },
                                           stop_, deadline);
    if (!done) {
      post(executor_, [owner = owner_, refused = RefusedPeer{address, session->peer(), done.error()}] {
        if (owner->alive && owner->on_refused)
          owner->on_refused(refused);
      });
      return;
    }
    auto link =
        std::make_shared<std::unique_ptr<Link>>(make_link(std::move(session), address, executor_, options_));
    post(executor_, [owner = owner_, link] {
      if (owner->alive)
        owner->on_link(std::move(*link));
    });
  }

  void reap(bool all) {
    for (auto handshake = handshakes_.begin(); handshake != handshakes_.end();) {
      if (!all && !handshake->over) {
        ++handshake;
        continue;
      }
      handshake->thread.join();
      handshake = handshakes_.erase(handshake);
    }
  }

  const Fd fd_;
  const std::shared_ptr<TlsContext> context_;
  const std::shared_ptr<PeerNames> allowed_;
  const Executor executor_;
  const LinkOptions options_;
  const std::shared_ptr<ListenerOwner> owner_;
  WakeFd stop_;
  std::list<Handshake> handshakes_;
  std::thread thread_;
};

} // namespace

Result<std::unique_ptr<Listener>> Listener::create(const std::string& address, std::uint16_t port,
                                                   std::shared_ptr<TlsContext> context,
                                                   std::shared_ptr<PeerNames> allowed, Executor executor,
                                                   LinkOptions options,
                                                   std::function<void(std::unique_ptr<Link>)> on_link,
                                                   std::function<void(RefusedPeer)> on_refused) {
  auto fd = listen_tcp(address, port);
  if (!fd)
    return fd.error();
  auto owner = std::make_shared<ListenerOwner>();
  owner->on_link = std::move(on_link);
  owner->on_refused = std::move(on_refused);
  return std::unique_ptr<Listener>(std::make_unique<TlsListener>(std::move(*fd), std::move(context),
                                                                 std::move(allowed), std::move(executor),
                                                                 options, std::move(owner)));
}

} // namespace rc::io
