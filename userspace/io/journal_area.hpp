// SPDX-License-Identifier: GPL-2.0-or-later
// One ring-shaped area of a journal on a disk: positions counted without wrap in, blocks at the right offsets
// out. Knows nothing of records. The writer keeps the last, partly filled block in memory and writes it again
// whole: bytes that are durable are only ever overwritten by themselves, so a torn write of that block can't
// hurt them.
#pragma once

#include "format/journal_layout.hpp"
#include "io/disk.hpp"

namespace rc::io {

struct JournalArea {
  Disk* disk = nullptr;
  std::uint64_t offset = 0; // of the area on the disk
  std::uint64_t bytes = 0;  // a multiple of the block

  // Both may wrap once. `blocks` and `position` are whole blocks; the memory is aligned.
  Status write_blocks(std::uint64_t position, ByteView blocks) const;
  Status read_blocks(std::uint64_t position, MutableByteView blocks) const;
  // Any position and length up to the area's size, any memory.
  Status read(std::uint64_t position, MutableByteView into) const;
};

// Appends at the end. One thread.
class AreaWriter {
public:
  // Loads the partly filled block before `position`.
  static Result<AreaWriter> open(JournalArea area, std::uint64_t position, std::size_t staging_bytes);

  Status append(ByteView bytes); // writes when the staging memory is full
  Status finish();               // writes what is staged; not durable before a flush
  std::uint64_t position() const { return base_ + fill_; }

private:
  AreaWriter(JournalArea area, std::uint64_t position, std::size_t staging_bytes);

  JournalArea area_;
  AlignedBuffer staging_;
  std::uint64_t base_ = 0; // position of the staging memory's first byte: a whole block
  std::size_t fill_ = 0;
  std::size_t written_ = 0; // of fill_: already on the disk
};

// Reads forward through an area, a window at a time. One thread.
class AreaReader {
public:
  AreaReader(JournalArea area, std::size_t window_bytes);
  // Valid until the next call. `length` is at most the window.
  Result<ByteView> view(std::uint64_t position, std::size_t length);

private:
  JournalArea area_;
  AlignedBuffer window_;
  std::uint64_t begin_ = 0;
  std::uint64_t end_ = 0;
};

} // namespace rc::io
