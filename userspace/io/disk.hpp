// SPDX-License-Identifier: GPL-2.0-or-later
// A place of storage as journal and applier see it: a block device or a file (block_device.hpp), or a test's
// disk in memory that loses power. All calls block and may come from several threads at once (for ranges that
// do not overlap). After a failed flush nothing about the writes before it is known: the caller stops using
// the disk.
#pragma once

#include "base/bytes.hpp"
#include "base/result.hpp"

#include <memory>
#include <span>
#include <string>

namespace rc::io {

class Disk {
public:
  virtual ~Disk() = default;
  virtual std::string name() const = 0; // for messages: its path
  virtual std::uint64_t bytes() const = 0;
  virtual std::uint32_t alignment() const = 0; // of offset, length and memory: 512 or 4096

  virtual Status read(std::uint64_t offset, MutableByteView into) = 0;
  // Gathers the pieces at one offset, in order. Not durable before flush().
  virtual Status write(std::uint64_t offset, std::span<const ByteView> pieces) = 0;
  Status write(std::uint64_t offset, ByteView bytes) { return write(offset, std::span(&bytes, 1)); }
  // Reads as zeroes afterwards. may_unmap: space may be given back.
  virtual Status zero(std::uint64_t offset, std::uint64_t length, bool may_unmap) = 0;
  virtual Status flush() = 0;
};

// Memory for direct I/O: aligned to 4096, size a multiple of it, contents undefined. Not resizable.
class AlignedBuffer {
public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t bytes);
  std::byte* data() { return memory_.get(); }
  const std::byte* data() const { return memory_.get(); }
  std::size_t size() const { return size_; }
  MutableByteView view() { return {memory_.get(), size_}; }
  ByteView view() const { return {memory_.get(), size_}; }

private:
  struct Free {
    void operator()(std::byte* memory) const;
  };
  std::unique_ptr<std::byte[], Free> memory_;
  std::size_t size_ = 0;
};

} // namespace rc::io
