// SPDX-License-Identifier: GPL-2.0-or-later
// A link's thread: one loop that writes what is queued, reads what is there, and sleeps in poll.
#include "io/link_codec.hpp"
#include "io/tls_link.hpp"
#include "io/worker.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <poll.h>
#include <thread>

namespace rc::io {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t staging_bytes = 256 << 10;
constexpr std::size_t frames_per_callback_bytes = 1 << 20;
constexpr int writes_per_turn = 32;             // of 16 KiB each
constexpr auto last_words = milliseconds(1000); // how long close() goes on sending

std::size_t bytes_of(const ReceivedFrame& frame) {
  return format::frame_header_bytes + frame.body.size() +
         frame.records.records.size() * sizeof(format::Record) +
         (frame.records.data ? frame.records.data->size() : 0);
}

// Reached by posted functions, which may run after the link is gone.
struct Owner {
  LinkCallbacks callbacks;
  bool alive = true; // owner's thread
  std::atomic<std::size_t> unhandled_bytes{0};
  WakeFd wake;
};

class TlsLink final : public Link {
public:
  TlsLink(std::unique_ptr<TlsSession> session, std::string address, Executor executor,
          const LinkOptions& options)
      : session_(std::move(session)), address_(std::move(address)), cipher_(session_->cipher()),
        executor_(std::move(executor)), options_(options),
        receiver_(session_->server() ? 1 : 2), // the server's first frame came with establish()
        sender_(session_->server() ? 2 : 1, staging_bytes) {}

  ~TlsLink() override {
    owner_->alive = false;
    stop_ = true;
    owner_->wake.wake();
    if (thread_.joinable())
      thread_.join();
  }

  const std::string& peer() const override { return session_->peer(); }
  const std::string& address() const override { return address_; }
  const std::string& cipher() const override { return cipher_; }
  bool outgoing() const override { return !session_->server(); }

  void start(LinkCallbacks callbacks) override {
    RC_ASSERT(!thread_.joinable());
    owner_->callbacks = std::move(callbacks);
    thread_ = std::thread([this] { run(); });
  }

  void send(format::FrameType type, std::uint32_t channel, Bytes body) override {
    RC_ASSERT(type != format::FrameType::Records && body.size() <= format::body_bytes_max(type));
    enqueue({type, channel, std::move(body)});
  }
  void send_records(std::uint32_t channel, format::OutgoingRecords records) override {
    RC_ASSERT(!records.records.empty() && records.body_bytes() <= format::records_body_bytes_max);
    enqueue({format::FrameType::Records, channel, std::move(records)});
  }

  std::size_t queued_bytes() const override { return queued_bytes_; }
  LinkCounters counters() const override {
    return {sent_bytes_, received_bytes_, sent_frames_, received_frames_};
  }
  std::uint32_t round_trip_us() const override { return io::round_trip_us(session_->fd()); }

  void close(const std::string& reason) override {
    {
      const std::lock_guard lock(mutex_);
      if (closing_)
        return;
      closing_ = reason;
    }
    owner_->wake.wake();
  }

private:
  void enqueue(OutgoingFrame frame) {
    const std::size_t bytes = frame.bytes();
    bool wake = false;
    {
      const std::lock_guard lock(mutex_);
      if (down_ || closing_)
        return;
      wake = queue_.empty();
      queue_.push_back(std::move(frame));
      queued_bytes_ += bytes;
    }
    if (wake)
      owner_->wake.wake();
  }

  // --- the link's thread ---

  void run() {
    begin_thread("link " + session_->peer());
    // A closed connection is an error of a write here, not a signal (begin_thread blocks it).
    Error reason = loop();
    session_->shutdown();
    {
      const std::lock_guard lock(mutex_);
      down_ = true;
      queue_.clear();
    }
    post(executor_, [owner = owner_, reason = std::move(reason)] {
      if (owner->alive && owner->callbacks.down)
        owner->callbacks.down(reason);
    });
  }

  Error loop() {
    last_sent_ = last_heard_ = Clock::now();
    Clock::time_point give_up = Clock::time_point::max();
    std::optional<std::string> closing;
    while (!stop_) {
      if (!closing) {
        closing = take_queue();
        if (closing)
          give_up = Clock::now() + last_words;
      }
      short events = 0;
      if (Status good = write_some(events); !good)
        return good.error();
      if (closing && (sender_.empty() || Clock::now() >= give_up))
        return Error{ErrorCode::Unreachable, *closing, ""};
      const bool may_read = owner_->unhandled_bytes < options_.unhandled_bytes_max;
      if (may_read) {
        bool more = false;
        if (Status good = read_some(events, more); !good) {
          deliver();
          return good.error();
        }
        deliver();
        if (more)
          continue;
      } else {
        last_heard_ = Clock::now(); // it is us who don't listen
      }
      if (Status good = keep_alive(); !good)
        return good.error();
      wait(events, std::min(give_up, next_deadline()));
    }
    return Error{ErrorCode::Unreachable, "closed here", ""};
  }

  // Returns the reason when the link is being closed.
  std::optional<std::string> take_queue() {
    const std::lock_guard lock(mutex_);
    for (OutgoingFrame& frame : queue_)
      sender_.add(std::move(frame));
    sent_frames_ += queue_.size();
    queue_.clear();
    return closing_;
  }

  Status write_some(short& events) {
    for (int turn = 0; turn < writes_per_turn; turn++) {
      const ByteView bytes = sender_.next();
      if (bytes.empty())
        return {};
      const auto step = session_->write(bytes);
      if (!step)
        return step.error();
      if (step->progress != TlsSession::Progress::Done) {
        events |= step->progress == TlsSession::Progress::WantWrite ? POLLOUT : POLLIN;
        return {};
      }
      sender_.sent(step->bytes);
      sent_bytes_ += step->bytes;
      last_sent_ = Clock::now();
      const std::size_t before = queued_bytes_.fetch_sub(step->bytes);
      if (before >= options_.drained_below_bytes && before - step->bytes < options_.drained_below_bytes)
        post(executor_, [owner = owner_] {
          if (owner->alive && owner->callbacks.drained)
            owner->callbacks.drained();
        });
    }
    events |= POLLOUT; // what came in has its turn, then more
    return {};
  }

  // `more`: there is more to read at once.
  Status read_some(short& events, bool& more) {
    std::size_t bytes = 0;
    for (;;) {
      const auto step = session_->read(receiver_.wanted());
      if (!step)
        return step.error();
      if (step->progress != TlsSession::Progress::Done) {
        events |= step->progress == TlsSession::Progress::WantWrite ? POLLOUT : POLLIN;
        return {};
      }
      received_bytes_ += step->bytes;
      last_heard_ = Clock::now();
      if (Status good = receiver_.got(step->bytes); !good)
        return good.error().because("refused what '" + session_->peer() + "' sent");
      if (auto frame = receiver_.take()) {
        received_frames_++;
        received_.push_back(std::move(*frame));
      }
      bytes += step->bytes;
      if (bytes >= frames_per_callback_bytes) {
        more = true;
        return {};
      }
    }
  }

  void deliver() {
    if (received_.empty())
      return;
    std::size_t bytes = 0;
    for (const ReceivedFrame& frame : received_)
      bytes += bytes_of(frame);
    owner_->unhandled_bytes += bytes;
    post(executor_, [owner = owner_, bytes, max = options_.unhandled_bytes_max,
                     frames = std::make_shared<std::vector<ReceivedFrame>>(std::exchange(received_, {}))] {
      if (owner->alive && owner->callbacks.frames)
        owner->callbacks.frames(std::move(*frames));
      const std::size_t before = owner->unhandled_bytes.fetch_sub(bytes);
      if (before >= max)
        owner->wake.wake();
    });
  }

  Status keep_alive() {
    const auto now = Clock::now();
    if (now - last_heard_ >= milliseconds(options_.dead_after_ms))
      return Error{ErrorCode::Timeout,
                   "nothing heard from '" + session_->peer() + "' for " +
                       std::to_string(options_.dead_after_ms) + " ms",
                   ""};
    if (sender_.empty() && now - last_sent_ >= milliseconds(options_.keep_alive_ms)) {
      sender_.add({format::FrameType::KeepAlive, 0, Bytes()});
      queued_bytes_ += format::frame_header_bytes;
      last_sent_ = now;
      owner_->wake.wake(); // write it in the next round
    }
    return {};
  }

  Clock::time_point next_deadline() const {
    return std::min(last_sent_ + milliseconds(options_.keep_alive_ms),
                    last_heard_ + milliseconds(options_.dead_after_ms));
  }

  void wait(short events, Clock::time_point deadline) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now()).count();
    pollfd polled[2] = {{session_->fd(), events, 0}, {owner_->wake.get(), POLLIN, 0}};
    poll(polled, 2, static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000)));
    if (polled[1].revents)
      owner_->wake.clear();
  }

  const std::unique_ptr<TlsSession> session_;
  const std::string address_;
  const std::string cipher_;
  const Executor executor_;
  const LinkOptions options_;
  const std::shared_ptr<Owner> owner_ = std::make_shared<Owner>();

  std::mutex mutex_;
  std::deque<OutgoingFrame> queue_;
  std::optional<std::string> closing_;
  bool down_ = false;
  std::atomic<bool> stop_{false};
  std::atomic<std::size_t> queued_bytes_{0};
  std::atomic<std::uint64_t> sent_bytes_{0}, received_bytes_{0}, sent_frames_{0}, received_frames_{0};

  // the link's thread
  FrameReceiver receiver_;
  FrameSender sender_;
  std::vector<ReceivedFrame> received_;
  Clock::time_point last_sent_;
  Clock::time_point last_heard_;
  std::thread thread_;
};

} // namespace

std::unique_ptr<Link> make_link(std::unique_ptr<TlsSession> session, std::string address, Executor executor,
                                const LinkOptions& options) {
  return std::make_unique<TlsLink>(std::move(session), std::move(address), std::move(executor), options);
}

} // namespace rc::io
