// SPDX-License-Identifier: GPL-2.0-or-later
// The owner's half of a link: posts what the thread reports to the owner's executor.
#include "io/link_thread.hpp"
#include "io/make_link.hpp"

namespace rc::io {
namespace {

class TlsLink : public Link {
public:
  TlsLink(std::unique_ptr<TlsConnection> connection, std::string address, bool outgoing, Executor executor,
          LinkOptions options, std::function<void()> ended)
      : peer_(connection->peer()), address_(std::move(address)), cipher_(connection->cipher()),
        outgoing_(outgoing), executor_(std::move(executor)), state_(std::make_shared<State>()),
        ended_(std::move(ended)), thread_(std::make_shared<LinkThread>(std::move(connection), options)) {}

  ~TlsLink() override {
    state_->gone = true;
    thread_.reset(); // joins
    if (ended_)
      ended_();
  }

  const std::string& peer() const override { return peer_; }
  const std::string& address() const override { return address_; }
  const std::string& cipher() const override { return cipher_; }
  bool outgoing() const override { return outgoing_; }

  void start(LinkCallbacks callbacks) override {
    state_->callbacks = std::move(callbacks);
    const auto post_if_there = [executor = executor_, state = state_](auto function) {
      post(executor, [state, function = std::move(function)]() mutable {
        if (!state->gone)
          function(*state);
      });
    };
    // The thread ends before the link does (the destructor joins), so a raw pointer in what it posts is
    // checked by `gone` alone.
    LinkThread* thread = thread_.get();
    thread_->start({.frames =
                        [post_if_there, thread](std::vector<ReceivedFrame> frames, std::size_t bytes) {
                          post_if_there([thread, bytes,
                                         frames = std::make_shared<std::vector<ReceivedFrame>>(
                                             std::move(frames))](State& state) {
                            const auto keep = state.callbacks.frames; // the callback may end the link
                            keep(std::move(*frames));
                            if (!state.gone)
                              thread->handled(bytes);
                          });
                        },
                    .drained =
                        [post_if_there] {
                          post_if_there([](State& state) {
                            if (state.callbacks.drained)
                              state.callbacks.drained();
                          });
                        },
                    .down =
                        [post_if_there](const Error& error) {
                          post_if_there([error](State& state) {
                            state.is_down = true;
                            const auto keep = state.callbacks.down;
                            keep(error);
                          });
                        }});
  }

  void send(format::FrameType type, std::uint32_t channel, Bytes body) override {
    RC_ASSERT(body.size() <= format::body_bytes_max(type));
    if (!state_->is_down)
      thread_->queue({type, channel, std::move(body)});
  }
  void send_records(std::uint32_t channel, format::OutgoingRecords records) override {
    RC_ASSERT(records.body_bytes() <= format::records_body_bytes_max);
    if (!state_->is_down)
      thread_->queue({format::FrameType::Records, channel, std::move(records)});
  }
  void compress(Compress when) override { thread_->compress(when); }
  std::size_t queued_bytes() const override { return thread_->queued_bytes(); }
  LinkCounters counters() const override { return thread_->counters(); }
  std::uint32_t round_trip_us() const override { return thread_->round_trip_us(); }
  void close(const std::string& reason) override { thread_->close(reason); }

private:
  struct State { // touched on the executor's thread only
    LinkCallbacks callbacks;
    bool gone = false;
    bool is_down = false;
  };
  std::string peer_;
  std::string address_;
  std::string cipher_;
  bool outgoing_;
  Executor executor_;
  std::shared_ptr<State> state_;
  std::function<void()> ended_;
  std::shared_ptr<LinkThread> thread_;
};

} // namespace

std::unique_ptr<Link> make_link(std::unique_ptr<TlsConnection> connection, std::string address, bool outgoing,
                                Executor executor, LinkOptions options, std::function<void()> ended) {
  return std::make_unique<TlsLink>(std::move(connection), std::move(address), outgoing, std::move(executor),
                                   options, std::move(ended));
}

} // namespace rc::io
