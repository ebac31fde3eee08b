// SPDX-License-Identifier: GPL-2.0-or-later
#include "causal/board.hpp"

#include <algorithm>
#include <ctime>

namespace rc::causal {
namespace {

std::uint64_t read_clock(clockid_t id) {
  timespec now{};
  ::clock_gettime(id, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000ULL + static_cast<std::uint64_t>(now.tv_nsec);
}

} // namespace

std::uint64_t monotonic_ns() { return read_clock(CLOCK_MONOTONIC); }
std::uint64_t realtime_ns() { return read_clock(CLOCK_REALTIME); }

Board::Board(const Shape& shape, std::uint16_t host, AppendLog append)
    : shape_(shape), host_(host), append_(std::move(append)), clock_(shape.lane_total()) {
  for (std::uint16_t i = 0; i < shape.lanes; i++)
    lanes_.push_back(std::make_unique<Lane>());
}

void Board::start(std::uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  last_publish_ns_ = now_ns;
}

bool Board::is_busy(Place place) const {
  return std::any_of(lanes_.begin(), lanes_.end(), [&](const auto& lane) { return lane->busy == place; });
}

bool Board::begin(Block& block) {
  std::unique_lock lock(mutex_);
  while (!error_ && is_busy(block.place)) {
    place_waiters_++;
    place_free_.wait(lock);
    place_waiters_--;
  }
  if (error_)
    return false;
  RC_ASSERT(clock_[block.id.lane] == block.id.number - 1);
  lane(block.id).busy = block.place;
  block.clock = clock_;
  block.order = ++order_;
  return true;
}

bool Board::complete(const Completion& done, std::uint32_t bytes) {
  std::unique_lock lock(mutex_);
  Lane& mine = lane(done.id);
  mine.logged = false;
  pending_.push_back({done, bytes});
  while (!mine.logged && !error_) {
    if (writing_)
      mine.wake.wait(lock);
    else
      write_batch(lock);
  }
  return mine.logged;
}

void Board::write_batch(std::unique_lock<std::mutex>& lock) {
  std::vector<Pending> batch;
  batch.swap(pending_);
  writing_ = true;
  lock.unlock();
  Bytes bytes(batch.size() * log_record_bytes);
  for (std::size_t i = 0; i < batch.size(); i++)
    encode(batch[i].done, MutableByteView(bytes).subspan(i * log_record_bytes, log_record_bytes));
  const Status written = append_(bytes);
  lock.lock();
  writing_ = false;
  if (!written)
    return fail_locked(written.error());

  const std::uint64_t now_ns = monotonic_ns();
  stats_.longest_stall_ns = std::max(stats_.longest_stall_ns, now_ns - last_publish_ns_);
  last_publish_ns_ = now_ns;
  stats_.log_batches++;
  for (const Pending& pending : batch)
    publish(pending);
  if (place_waiters_ > 0)
    place_free_.notify_all();
  if (has_news_reader_)
    news_.notify_all();
  if (!pending_.empty()) // one that came meanwhile writes the next batch
    lane(pending_.front().done.id).wake.notify_one();
}

void Board::publish(const Pending& pending) {
  const WriteId id = pending.done.id;
  RC_ASSERT(clock_[id.lane] == id.number - 1);
  clock_[id.lane] = id.number;
  Lane& owner = lane(id);
  owner.busy.reset();
  owner.logged = true;
  owner.wake.notify_one();
  stats_.writes++;
  stats_.bytes += pending.bytes;
  stats_.longest_write_us = std::max(stats_.longest_write_us, pending.done.took_us);
}

void Board::fail(const Error& error) {
  const std::lock_guard lock(mutex_);
  fail_locked(error);
}

void Board::fail_locked(const Error& error) {
  if (!error_)
    error_ = error;
  for (const auto& lane : lanes_)
    lane->wake.notify_all();
  place_free_.notify_all();
  news_.notify_all();
}

std::optional<Error> Board::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

void Board::merge(const Clock& clock) {
  RC_ASSERT(clock.size() == clock_.size());
  const std::lock_guard lock(mutex_);
  const std::size_t own_first = std::size_t{host_} * shape_.lanes;
  for (std::size_t i = 0; i < clock.size(); i++)
    if (i < own_first || i >= own_first + shape_.lanes)
      clock_[i] = std::max(clock_[i], clock[i]);
  if (has_news_reader_) // passed on to the other peers; it ends there, as a known clock is no news
    news_.notify_all();
}

bool Board::wait_for_news(Clock& known) {
  std::unique_lock lock(mutex_);
  has_news_reader_ = true;
  while (!error_ && !news_stopped_ && known == clock_)
    news_.wait(lock);
  known = clock_;
  return !error_ && !news_stopped_;
}

void Board::stop_news() {
  const std::lock_guard lock(mutex_);
  news_stopped_ = true;
  news_.notify_all();
}

BoardStats Board::stats(std::uint64_t now_ns) const {
  const std::lock_guard lock(mutex_);
  BoardStats stats = stats_;
  stats.longest_stall_ns = std::max(stats.longest_stall_ns, now_ns - last_publish_ns_);
  return stats;
}

} // namespace rc::causal
