// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/link_thread.hpp"

#include "io/worker.hpp"

#include <algorithm>
#include <poll.h>

namespace rc::io {
namespace {

constexpr std::size_t batch_bytes = 256 << 10; // frames are gathered up to this before they are encrypted
constexpr std::size_t receive_bytes_a_turn = 1 << 20;
constexpr auto compress_after_block = std::chrono::seconds(1);
constexpr auto close_grace = std::chrono::seconds(1);

} // namespace

std::size_t LinkThread::Outgoing::size() const {
  const auto* records = std::get_if<format::OutgoingRecords>(&body);
  return format::frame_header_bytes + (records ? records->body_bytes() : std::get<Bytes>(body).size());
}

LinkThread::LinkThread(std::unique_ptr<TlsConnection> connection, LinkOptions options)
    : connection_(std::move(connection)), options_(options) {
  out_.reserve(2 * batch_bytes);
}

LinkThread::~LinkThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  waker_.wake();
  if (thread_.joinable())
    thread_.join();
}

void LinkThread::start(Events events) {
  events_ = std::move(events);
  last_sent_ = last_heard_ = Clock::now();
  thread_ = std::thread([this] { run(); });
}

void LinkThread::queue(Outgoing frame) {
  queued_bytes_ += frame.size();
  bool was_empty = false;
  {
    const std::lock_guard lock(mutex_);
    was_empty = queue_.empty() && urgent_.empty();
    auto& line = frame.type == format::FrameType::Copyset ? urgent_ : queue_;
    line.push_back(std::move(frame));
  }
  if (was_empty)
    waker_.wake();
}

void LinkThread::handled(std::size_t bytes) {
  const bool was_paused = reading_paused();
  unhandled_bytes_ -= bytes;
  if (was_paused && !reading_paused())
    waker_.wake();
}

void LinkThread::close(const std::string& reason) {
  {
    const std::lock_guard lock(mutex_);
    if (!closing_)
      closing_ = reason;
  }
  waker_.wake();
}

LinkCounters LinkThread::counters() const {
  return {.sent_bytes = sent_bytes_,
          .received_bytes = received_bytes_,
          .sent_frames = sent_frames_,
          .received_frames = received_frames_,
          .packed_frames = packed_frames_,
          .saved_bytes = saved_bytes_};
}

void LinkThread::run() {
  begin_thread("rc-link");
  Status status;
  while (status)
    status = turn();
  connection_->shut_down();
  {
    const std::lock_guard lock(mutex_);
    if (stopping_)
      return;
  }
  events_.down(status.error());
}

int LinkThread::wait_ms(Clock::time_point now) const {
  auto next = std::min(last_sent_ + std::chrono::milliseconds(options_.keep_alive_ms),
                       last_heard_ + std::chrono::milliseconds(options_.dead_after_ms));
  if (close_by_ != Clock::time_point{})
    next = std::min(next, close_by_);
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(next - now).count() + 1;
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1000));
}

Status LinkThread::turn() {
  using Wants = TlsConnection::Wants;
  if (Status filled = fill(); !filled)
    return filled;
  if (Status flushed = flush(); !flushed)
    return flushed;
  if (Status received = receive(); !received)
    return received;

  const auto now = Clock::now();
  if (now - last_heard_ > std::chrono::milliseconds(options_.dead_after_ms) && !reading_paused())
    return Error{ErrorCode::Timeout,
                 "nothing heard from " + connection_->peer() + " for " +
                     std::to_string(options_.dead_after_ms) + " ms",
                 "check the network between the nodes"};
  // A queue that was not empty when it was looked at wakes nobody when it grows: it must be looked at again.
  const bool all_written = out_at_ == out_.size();
  const bool more_out = all_written ? more_queued_ : write_wants_ == Wants::Nothing;
  const bool more_in = !reading_paused() && connection_->has_buffered() && read_wants_ == Wants::Nothing;
  short events = 0;
  if (!reading_paused())
    events |= POLLIN;
  if ((out_at_ < out_.size() && write_wants_ == Wants::Write) || read_wants_ == Wants::Write)
    events |= POLLOUT;
  pollfd waits[2] = {{connection_->fd(), events, 0}, {waker_.fd(), POLLIN, 0}};
  poll(waits, 2, more_out || more_in ? 0 : wait_ms(now));
  if (waits[1].revents)
    waker_.drain();
  if (waits[0].revents)
    read_wants_ = write_wants_ = Wants::Nothing;
  return {};
}

// A network that takes everything at once is not worth the processor's time.
bool LinkThread::compresses(Clock::time_point now) const {
  const Compress when = compress_;
  return when == Compress::Always || (when == Compress::Auto && blocked_at_ != Clock::time_point{} &&
                                      now - blocked_at_ < compress_after_block);
}

void LinkThread::encode(Outgoing& frame) {
  if (const auto* records = std::get_if<format::OutgoingRecords>(&frame.body);
      records && compresses(Clock::now()))
    if (auto packed = packer_.pack(*records)) {
      saved_bytes_ += records->body_bytes() - packed->size();
      frame.type = format::FrameType::Packed;
      frame.body = std::move(*packed);
      packed_frames_++;
    }
  const std::size_t size = frame.size();
  const format::FrameHeader header{.type = frame.type,
                                   .channel = frame.channel,
                                   .length = static_cast<std::uint32_t>(size - format::frame_header_bytes),
                                   .number = next_number_++};
  const std::size_t at = out_.size();
  out_.resize(at + format::frame_header_bytes);
  format::write_frame_header(header, MutableByteView(out_).subspan(at, format::frame_header_bytes));
  if (const auto* records = std::get_if<format::OutgoingRecords>(&frame.body)) {
    format::append_records_head(*records, out_);
    for (const auto& piece : records->pieces)
      append_bytes(out_, piece.view());
  } else {
    append_bytes(out_, std::get<Bytes>(frame.body));
  }
  sent_frames_++;
  sent_bytes_ += size;
}

Status LinkThread::fill() {
  const auto now = Clock::now();
  std::optional<std::string> closing;
  std::size_t taken = 0;
  bool empty = false;
  {
    std::vector<Outgoing> batch;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_)
        return Error{ErrorCode::Again, "stopped", ""};
      closing = closing_;
      if (out_at_ == out_.size())
        for (auto* line : {&urgent_, &queue_})
          while (!line->empty() && taken < batch_bytes) {
            taken += line->front().size();
            batch.push_back(std::move(line->front()));
            line->pop_front();
          }
      empty = queue_.empty() && urgent_.empty();
      more_queued_ = !empty;
    }
    if (!batch.empty() || (out_at_ == out_.size() && !out_.empty())) {
      out_.clear();
      out_at_ = 0;
    }
    for (auto& frame : batch)
      encode(frame);
  }
  if (taken != 0) {
    const std::size_t before = queued_bytes_.fetch_sub(taken);
    if (before >= options_.drained_below_bytes && before - taken < options_.drained_below_bytes)
      events_.drained();
  }
  if (closing) {
    if (close_by_ == Clock::time_point{})
      close_by_ = now + close_grace;
    if ((empty && out_at_ == out_.size()) || now >= close_by_)
      return Error{ErrorCode::Unreachable, *closing, ""};
  }
  if (out_at_ == out_.size() && now - last_sent_ >= std::chrono::milliseconds(options_.keep_alive_ms)) {
    Outgoing keep_alive{format::FrameType::KeepAlive, 0, Bytes{}};
    encode(keep_alive);
    round_trip_us_ = connection_->round_trip_us();
  }
  return {};
}

Status LinkThread::flush() {
  while (out_at_ < out_.size() && write_wants_ == TlsConnection::Wants::Nothing) {
    const auto moved = connection_->write(ByteView(out_).subspan(out_at_));
    if (!moved)
      return moved.error();
    out_at_ += moved->bytes;
    write_wants_ = moved->wants;
    if (write_wants_ == TlsConnection::Wants::Write)
      blocked_at_ = Clock::now();
    if (moved->bytes != 0)
      last_sent_ = Clock::now();
    if (moved->closed)
      return Error{ErrorCode::Unreachable, connection_->peer() + " closed the connection", ""};
  }
  return {};
}

Status LinkThread::receive() {
  std::vector<ReceivedFrame> frames;
  std::size_t bytes = 0;
  std::size_t unpacked = 0; // counts like bytes for whoever has to keep up
  Status status;
  while (status && bytes + unpacked < receive_bytes_a_turn && !reading_paused() &&
         read_wants_ == TlsConnection::Wants::Nothing) {
    const auto moved = connection_->read(reader_.space());
    if (!moved) {
      status = moved.error();
      break;
    }
    read_wants_ = moved->wants;
    if (moved->closed)
      status = Error{ErrorCode::Unreachable, connection_->peer() + " closed the connection", ""};
    if (moved->bytes == 0)
      break;
    last_heard_ = Clock::now();
    bytes += moved->bytes;
    auto frame = reader_.filled(moved->bytes);
    if (!frame)
      status = frame.error().because("node " + connection_->peer() + " sent what is refused");
    else if (*frame) {
      received_frames_++;
      unpacked += (*frame)->unpacked_more;
      if ((*frame)->type != format::FrameType::KeepAlive)
        frames.push_back(std::move(**frame));
    }
  }
  received_bytes_ += bytes;
  // What came whole before the link broke still counts.
  if (!frames.empty()) {
    unhandled_bytes_ += bytes + unpacked;
    events_.frames(std::move(frames), bytes + unpacked);
  }
  return status;
}

} // namespace rc::io
