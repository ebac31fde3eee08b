// SPDX-License-Identifier: GPL-2.0-or-later
// Inside of a Link: what its thread does. Owns the TLS connection; shares with the owner's thread only the
// queue (under the lock) and counters.
#pragma once

#include "io/frame_reader.hpp"
#include "io/link.hpp"
#include "io/tls_connection.hpp"

#include <atomic>
#include <deque>
#include <mutex>
#include <thread>
#include <variant>

namespace rc::io {

class LinkThread {
public:
  struct Events { // called on the link's thread
    std::function<void(std::vector<ReceivedFrame>, std::size_t bytes)> frames;
    std::function<void()> drained;
    std::function<void(Error)> down; // last
  };
  LinkThread(std::unique_ptr<TlsConnection> connection, LinkOptions options);
  ~LinkThread();
  void start(Events events);

  struct Outgoing {
    format::FrameType type{};
    std::uint32_t channel = 0;
    std::variant<Bytes, format::OutgoingRecords> body;
    std::size_t size() const;
  };
  // Any thread.
  void queue(Outgoing frame);
  void handled(std::size_t bytes); // the owner has done with so many received bytes
  void close(const std::string& reason);
  void compress(Compress when) { compress_ = when; }
  std::size_t queued_bytes() const { return queued_bytes_; }
  LinkCounters counters() const;
  std::uint32_t round_trip_us() const { return round_trip_us_; }

private:
  using Clock = std::chrono::steady_clock;
  void run();
  Status turn(); // one round of the loop; an Error ends the link
  Status fill();
  Status flush();
  Status receive();
  void encode(Outgoing& frame);
  bool compresses(Clock::time_point now) const;
  bool reading_paused() const { return unhandled_bytes_ > options_.unhandled_bytes_max; }
  int wait_ms(Clock::time_point now) const;

  std::unique_ptr<TlsConnection> connection_;
  const LinkOptions options_;
  Events events_;
  Waker waker_;
  std::thread thread_;

  mutable std::mutex mutex_;
  std::deque<Outgoing> urgent_; // Copyset frames: before those of queue_
  std::deque<Outgoing> queue_;
  std::optional<std::string> closing_; // reason
  bool stopping_ = false;

  std::atomic<std::size_t> queued_bytes_{0};
  std::atomic<std::size_t> unhandled_bytes_{0};
  std::atomic<std::uint64_t> sent_bytes_{0}, received_bytes_{0}, sent_frames_{0}, received_frames_{0};
  std::atomic<std::uint64_t> packed_frames_{0}, saved_bytes_{0};
  std::atomic<Compress> compress_{Compress::Off};
  std::atomic<std::uint32_t> round_trip_us_{0};

  // The thread's own.
  Bytes out_; // encoded, partly written
  std::size_t out_at_ = 0;
  bool more_queued_ = false; // when the queue was last looked at
  std::uint64_t next_number_ = 1;
  TlsConnection::Wants write_wants_ = TlsConnection::Wants::Nothing;
  TlsConnection::Wants read_wants_ = TlsConnection::Wants::Nothing;
  FrameReader reader_;
  Packer packer_;
  Clock::time_point blocked_at_{}; // when the socket last took no more
  Clock::time_point last_sent_{}, last_heard_{}, close_by_{};
};

} // namespace rc::io
