// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/journal_area.hpp"

#include <algorithm>

namespace rc::io {
namespace {
constexpr std::uint64_t block = format::journal_block_bytes;
constexpr std::size_t bounce_bytes = 1 << 20;

std::uint64_t down(std::uint64_t position) { return position / block * block; }
std::uint64_t up(std::uint64_t position) { return down(position + block - 1); }
} // namespace

Status JournalArea::write_blocks(std::uint64_t position, ByteView blocks) const {
  RC_ASSERT(position % block == 0 && blocks.size() % block == 0 && blocks.size() <= bytes);
  while (!blocks.empty()) {
    const std::uint64_t at = position % bytes;
    const std::size_t part = static_cast<std::size_t>(std::min<std::uint64_t>(blocks.size(), bytes - at));
    if (Status done = disk->write(offset + at, blocks.first(part)); !done)
      return done;
    position += part;
    blocks = blocks.subspan(part);
  }
  return {};
}

Status JournalArea::read_blocks(std::uint64_t position, MutableByteView blocks) const {
  RC_ASSERT(position % block == 0 && blocks.size() % block == 0 && blocks.size() <= bytes);
  while (!blocks.empty()) {
    const std::uint64_t at = position % bytes;
    const std::size_t part = static_cast<std::size_t>(std::min<std::uint64_t>(blocks.size(), bytes - at));
    if (Status done = disk->read(offset + at, blocks.first(part)); !done)
      return done;
    position += part;
    blocks = blocks.subspan(part);
  }
  return {};
}

Status JournalArea::read(std::uint64_t position, MutableByteView into) const {
  if (into.empty())
    return {};
  AlignedBuffer bounce(static_cast<std::size_t>(
      std::min<std::uint64_t>({up(position + into.size()) - down(position), bounce_bytes, bytes})));
  while (!into.empty()) {
    const std::uint64_t begin = down(position);
    const std::uint64_t end = std::min(up(position + into.size()), begin + bounce.size());
    if (Status done = read_blocks(begin, bounce.view().first(static_cast<std::size_t>(end - begin))); !done)
      return done;
    const std::size_t part = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), end - position));
    std::memcpy(into.data(), bounce.data() + (position - begin), part);
    position += part;
    into = into.subspan(part);
  }
  return {};
}

AreaWriter::AreaWriter(JournalArea area, std::uint64_t position, std::size_t staging_bytes)
    : area_(area), staging_(static_cast<std::size_t>(std::min<std::uint64_t>(staging_bytes, area.bytes))),
      base_(down(position)), fill_(static_cast<std::size_t>(position - base_)), written_(fill_) {}

Result<AreaWriter> AreaWriter::open(JournalArea area, std::uint64_t position, std::size_t staging_bytes) {
  AreaWriter writer(area, position, staging_bytes);
  if (writer.fill_ > 0)
    if (Status done = area.read_blocks(writer.base_, writer.staging_.view().first(block)); !done)
      return done.error();
  return writer;
}

Status AreaWriter::append(ByteView bytes) {
  while (!bytes.empty()) {
    const std::size_t part = std::min(bytes.size(), staging_.size() - fill_);
    std::memcpy(staging_.data() + fill_, bytes.data(), part);
    fill_ += part;
    bytes = bytes.subspan(part);
    if (fill_ == staging_.size())
      if (Status done = finish(); !done)
        return done;
  }
  return {};
}

Status AreaWriter::finish() {
  if (written_ == fill_)
    return {};
  const std::size_t from = static_cast<std::size_t>(down(written_));
  const std::size_t to = static_cast<std::size_t>(up(fill_));
  std::memset(staging_.data() + fill_, 0, to - fill_);
  if (Status done = area_.write_blocks(base_ + from, staging_.view().subspan(from, to - from)); !done)
    return done;
  const std::size_t whole = static_cast<std::size_t>(down(fill_));
  if (whole > 0) {
    std::memmove(staging_.data(), staging_.data() + whole, fill_ - whole);
    base_ += whole;
    fill_ -= whole;
  }
  written_ = fill_;
  return {};
}

AreaReader::AreaReader(JournalArea area, std::size_t window_bytes)
    : area_(area),
      window_(static_cast<std::size_t>(std::min<std::uint64_t>(window_bytes + block, area.bytes))) {}

Result<ByteView> AreaReader::view(std::uint64_t position, std::size_t length) {
  if (position < begin_ || position + length > end_) {
    begin_ = end_ = down(position);
    if (up(position + length) - begin_ > window_.size())
      return Error{ErrorCode::Corrupt, "a record is longer than the area it lies in", ""};
    if (Status done = area_.read_blocks(begin_, window_.view()); !done)
      return done.error();
    end_ = begin_ + window_.size();
  }
  return ByteView(window_.view()).subspan(static_cast<std::size_t>(position - begin_), length);
}

} // namespace rc::io
