// SPDX-License-Identifier: GPL-2.0-or-later
// Devices are read past the page cache where that is possible: a device below may have changed since it was
// last read through this one.
#include "causal/image.hpp"

#include <algorithm>
#include <cstdlib>
#include <fcntl.h>
#include <functional>
#include <memory>
#include <unistd.h>

namespace rc::causal {
namespace {

constexpr std::size_t chunk_bytes = 4 << 20; // a multiple of every block size
static_assert(chunk_bytes % max_block_bytes == 0);

class Reader {
public:
  ~Reader() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  Status open(const std::string& path) {
    path_ = path;
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
    if (fd_ < 0 && errno == EINVAL)
      fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0)
      return errno_error("open " + path);
    ::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED);
    buffer_.reset(static_cast<std::byte*>(std::aligned_alloc(4096, chunk_bytes)));
    return {};
  }

  // Calls each(offset, bytes) with chunks of `limit` bytes from the start, or of all there is.
  Status each_chunk(std::uint64_t limit, const std::function<Status(std::uint64_t, ByteView)>& each) {
    for (std::uint64_t at = 0; at < limit; at += chunk_bytes) {
      std::size_t got = 0;
      while (got < chunk_bytes) {
        const ssize_t n = ::pread(fd_, buffer_.get() + got, chunk_bytes - got, static_cast<off_t>(at + got));
        if (n < 0 && errno == EINTR)
          continue;
        if (n < 0)
          return errno_error("read " + path_ + " at " + std::to_string(at + got));
        got += static_cast<std::size_t>(n);
        if (n == 0 || got % 4096 != 0) // the end; a direct read cannot go on from an odd place
          break;
      }
      const std::size_t use = static_cast<std::size_t>(std::min<std::uint64_t>(got, limit - at));
      if (const Status status = each(at, {buffer_.get(), use}); !status)
        return status;
      if (got < chunk_bytes)
        break;
    }
    return {};
  }

private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::string path_;
  int fd_ = -1;
  std::unique_ptr<std::byte[], Free> buffer_;
};

} // namespace

Image::Image(const Shape& shape)
    : shape_(shape), content_(shape.place_total(), Content::Unread), clock_at_(shape.place_total()) {}

void Image::put(Place place, const Finding& finding) {
  const std::uint64_t at = shape_.place_index(place);
  RC_ASSERT(content_[at] == Content::Unread);
  read_++;
  switch (finding.found) {
  case Found::Old:
    content_[at] = Content::Old;
    break;
  case Found::Torn:
    content_[at] = Content::Torn;
    torn_.push_back({place, finding.story});
    break;
  case Found::Misplaced: // what should be here is not: as good as old content for whoever depends on it
    content_[at] = Content::Old;
    misplaced_.push_back({place, finding.story});
    break;
  case Found::Whole:
    content_[at] = Content::Whole;
    whole_++;
    clock_at_[at] = static_cast<std::uint32_t>(ids_.size());
    ids_.push_back(finding.block.id);
    clocks_.insert(clocks_.end(), finding.block.clock.begin(), finding.block.clock.end());
    clocks_[clocks_.size() - shape_.lane_total() + finding.block.id.lane] = finding.block.id.number;
    break;
  }
}

WriteId Image::version(Place place) const {
  RC_ASSERT(content(place) == Content::Whole);
  return ids_[clock_at_[shape_.place_index(place)]];
}

std::span<const std::uint32_t> Image::clock(Place place) const {
  RC_ASSERT(content(place) == Content::Whole);
  const std::size_t lanes = shape_.lane_total();
  return std::span(clocks_).subspan(clock_at_[shape_.place_index(place)] * lanes, lanes);
}

bool Image::covers(Place place, WriteId id) const {
  return content(place) == Content::Whole && clock(place)[id.lane] >= id.number;
}

Status read_device(const std::string& path, std::uint32_t device, Image& image) {
  const Shape& shape = image.shape();
  Reader reader;
  if (const Status status = reader.open(path); !status)
    return status;
  std::uint64_t read_bytes = 0;
  std::uint64_t own = 0;
  std::optional<std::uint32_t> other;
  const Status status = reader.each_chunk(shape.device_bytes(), [&](std::uint64_t offset, ByteView bytes) {
    const auto first = static_cast<std::uint32_t>(offset / shape.stride());
    read_bytes = offset + bytes.size();
    for (std::size_t at = 0; at + shape.stride() <= bytes.size(); at += shape.stride()) {
      const Place place{device, first + static_cast<std::uint32_t>(at / shape.stride())};
      const Finding finding = examine(shape, place, bytes.subspan(at, shape.size_at(place.slot)));
      own += finding.found == Found::Whole;
      if (finding.found == Found::Misplaced && finding.block.place.device != device)
        other = finding.block.place.device;
      image.put(place, finding);
    }
    return Status();
  });
  if (!status)
    return status;
  if (read_bytes < shape.device_bytes())
    return Error{ErrorCode::Failed,
                 path + " has " + std::to_string(read_bytes) + " bytes, the run used " +
                     std::to_string(shape.device_bytes()),
                 "give the whole device"};
  if (own == 0 && other)
    return Error{ErrorCode::Usage,
                 path + " holds blocks of device " + std::to_string(*other) + " where device " +
                     std::to_string(device) + " is expected",
                 "give the devices in the order of the writer, or as --device NUMBER=PATH"};
  return {};
}

Result<Shape> discover(const std::vector<std::string>& paths, std::uint64_t run) {
  std::optional<Block> newest;
  for (const std::string& path : paths) {
    Reader reader;
    if (const Status status = reader.open(path); !status)
      return status.error();
    // A block may straddle two chunks only where another run had another grid; such a block is not needed, as
    // the runs that matter have all their blocks on a grid that divides the chunk.
    const Status status = reader.each_chunk(~0ULL >> 1, [&](std::uint64_t, ByteView bytes) {
      for (std::size_t at = 0; at + sector_bytes <= bytes.size(); at += sector_bytes)
        if (std::optional<Block> block = decode(bytes.subspan(at)))
          if ((run == 0 || block->shape.run == run) && (!newest || block->issued_ns > newest->issued_ns))
            newest = std::move(block);
      return Status();
    });
    if (!status)
      return status.error();
  }
  if (!newest)
    return Error{ErrorCode::NotFound,
                 "no block of " + (run ? "run " + hex(run) : "any run") + " on these devices",
                 "give the completion log, if the run may have lost every write"};
  return newest->shape;
}

} // namespace rc::causal
