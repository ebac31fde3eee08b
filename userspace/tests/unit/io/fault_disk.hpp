// SPDX-License-Identifier: GPL-2.0-or-later
// A disk in memory that loses power. Until a flush, each 512-byte sector of each write may or may not be
// there after the cut, in any combination, and one of them may be torn in the middle. Counts its operations,
// so that a test can cut at every single one of them.
#pragma once

#include "io/disk.hpp"

#include <array>
#include <functional>
#include <gtest/gtest.h>
#include <mutex>
#include <random>

namespace rc::io {

class FaultDisk final : public Disk {
public:
  explicit FaultDisk(std::uint64_t bytes) : now_(bytes), stable_(bytes) {}
  explicit FaultDisk(Bytes image) : now_(image), stable_(std::move(image)) {}

  // The operation with this number (0, 1...) and all later ones fail: the power is gone. A write is torn.
  void cut_at(std::uint64_t operation) { cut_at_ = operation; }
  void fail_flushes() { flushes_fail_ = true; }
  std::uint64_t operations() const { return operations_; }
  std::uint64_t flushes() const { return flushes_; }
  bool is_cut() const { return operations_ > cut_at_; }

  // What is on the medium after the power comes back.
  Bytes after_cut(std::uint32_t seed) const {
    const std::lock_guard lock(mutex_);
    std::mt19937 random(seed);
    Bytes image = stable_;
    // Some disks lose all, some nearly nothing: not only half and half.
    const unsigned kept_of_8 = random() % 9;
    const std::size_t torn = sectors_.empty() ? 0 : random() % (2 * sectors_.size());
    for (std::size_t i = 0; i < sectors_.size(); i++) {
      const auto& [offset, bytes] = sectors_[i];
      const std::size_t length = i == torn ? random() % 513 : (random() % 8 < kept_of_8 ? 512 : 0);
      std::copy_n(bytes.begin(), length, image.begin() + static_cast<std::ptrdiff_t>(offset));
    }
    return image;
  }
  Bytes& image() { return now_; }
  std::function<void()> before_flush; // to hold a commit up; set while nothing is under way

  std::string name() const override { return "fault disk"; }
  std::uint64_t bytes() const override { return now_.size(); }
  std::uint32_t alignment() const override { return 4096; }

  Status read(std::uint64_t offset, MutableByteView into) override {
    const std::lock_guard lock(mutex_);
    check(offset, into.size(), into.data());
    std::copy_n(now_.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
    return {};
  }
  using Disk::write;
  Status write(std::uint64_t offset, std::span<const ByteView> pieces) override {
    const std::lock_guard lock(mutex_);
    const bool cut = operations_++ >= cut_at_;
    if (operations_ > cut_at_ + 1)
      return gone(); // later than the cut: nothing of it gets anywhere
    for (const ByteView piece : pieces) {
      check(offset, piece.size(), piece.data());
      for (std::size_t at = 0; at < piece.size(); at += 512)
        std::memcpy(sectors_.emplace_back(offset + at, Sector{}).second.data(), piece.data() + at, 512);
      std::copy(piece.begin(), piece.end(), now_.begin() + static_cast<std::ptrdiff_t>(offset));
      offset += piece.size();
    }
    return cut ? gone() : Status();
  }
  Status zero(std::uint64_t offset, std::uint64_t length, bool) override {
    alignas(4096) static const std::byte zeroes[4096] = {};
    for (; length > 0; offset += 4096, length -= 4096)
      if (Status done = write(offset, ByteView(zeroes, 4096)); !done)
        return done;
    return {};
  }
  Status flush() override {
    if (before_flush)
      before_flush();
    const std::lock_guard lock(mutex_);
    if (operations_++ >= cut_at_)
      return gone();
    if (flushes_fail_)
      return Error{ErrorCode::Failed, "flush: Input/output error", ""};
    for (const auto& [offset, bytes] : sectors_)
      std::memcpy(stable_.data() + offset, bytes.data(), bytes.size());
    sectors_.clear();
    flushes_++;
    return {};
  }

private:
  using Sector = std::array<std::byte, 512>;
  static Status gone() { return Error{ErrorCode::Failed, "the power is gone", ""}; }
  void check(std::uint64_t offset, std::size_t length, const void* memory) const {
    ASSERT_EQ(offset % 4096, 0u);
    ASSERT_EQ(length % 4096, 0u);
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(memory) % 512, 0u);
    ASSERT_LE(offset + length, now_.size());
  }

  mutable std::mutex mutex_;
  Bytes now_;
  Bytes stable_;
  std::vector<std::pair<std::uint64_t, Sector>> sectors_; // not flushed, in order
  std::uint64_t operations_ = 0;
  std::uint64_t cut_at_ = ~0ULL - 1;
  std::uint64_t flushes_ = 0;
  bool flushes_fail_ = false;
};

} // namespace rc::io
