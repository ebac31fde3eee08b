// SPDX-License-Identifier: GPL-2.0-or-later
// Files and block devices with direct I/O. A file system without O_DIRECT (tmpfs) is used through the page
// cache: the flush is then what makes writes stable, as with a disk's cache.
#include "io/block_device.hpp"

#include "base/log.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

namespace rc::io {
namespace {

constexpr std::size_t pieces_per_call = 256;

// The power-cut test must fail with an agent that forgets to flush: tests/faulty builds one.
#ifdef RC_SKIP_FLUSHES
constexpr bool skip_flushes = true;
#else
constexpr bool skip_flushes = false;
#endif

class Descriptor {
public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0)
      close(fd_);
  }
  int get() const { return fd_; }

private:
  int fd_;
};

class FileDisk final : public Disk {
public:
  FileDisk(std::string path, Descriptor fd, bool block_device, std::uint64_t bytes, std::uint32_t alignment)
      : path_(std::move(path)), fd_(std::move(fd)), block_device_(block_device), bytes_(bytes),
        alignment_(alignment) {}

  std::string name() const override { return path_; }
  std::uint64_t bytes() const override { return bytes_; }
  std::uint32_t alignment() const override { return alignment_; }

  Status read(std::uint64_t offset, MutableByteView into) override {
    while (!into.empty()) {
      const ssize_t got = pread(fd_.get(), into.data(), into.size(), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR)
        continue;
      if (got < 0)
        return failed("read", offset, into.size());
      if (got == 0)
        return Error{ErrorCode::Failed, path_ + ": ends at byte " + std::to_string(offset), ""};
      offset += static_cast<std::uint64_t>(got);
      into = into.subspan(static_cast<std::size_t>(got));
    }
    return {};
  }

  using Disk::write;
  Status write(std::uint64_t offset, std::span<const ByteView> pieces) override {
    std::array<iovec, pieces_per_call> vectors;
    while (!pieces.empty()) {
      const std::size_t count = std::min(pieces.size(), pieces_per_call);
      std::size_t length = 0;
      for (std::size_t i = 0; i < count; i++) {
        vectors[i] = {const_cast<std::byte*>(pieces[i].data()), pieces[i].size()};
        length += pieces[i].size();
      }
      if (Status done = write_vectors(offset, std::span(vectors).first(count)); !done)
        return done;
      offset += length;
      pieces = pieces.subspan(count);
    }
    return {};
  }

  Status zero(std::uint64_t offset, std::uint64_t length, bool may_unmap) override {
    if (length == 0)
      return {};
    if (block_device_) {
      // fallocate on a block device zeroes for certain, by unmapping where it may (BLKZEROOUT never unmaps).
      const int mode = FALLOC_FL_KEEP_SIZE | (may_unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
      if (fallocate(fd_.get(), mode, static_cast<off_t>(offset), static_cast<off_t>(length)) == 0)
        return {};
      std::uint64_t range[2] = {offset, length};
      if (ioctl(fd_.get(), BLKZEROOUT, range) == 0)
        return {};
    } else if (fallocate(fd_.get(), FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                         static_cast<off_t>(length)) == 0) {
      return {};
    }
    return write_zeroes(offset, length);
  }

  Status flush() override {
    if (skip_flushes)
      return {};
    if (fdatasync(fd_.get()) != 0)
      return failed("flush", 0, 0);
    return {};
  }

private:
  Error failed(const char* what, std::uint64_t offset, std::uint64_t length) const {
    const int number = errno;
    std::string text = path_ + ": " + what;
    if (length)
      text += " of " + std::to_string(length) + " bytes at " + std::to_string(offset);
    return errno_error(text, number);
  }

  Status write_vectors(std::uint64_t offset, std::span<iovec> vectors) {
    while (!vectors.empty()) {
      const ssize_t put =
          pwritev(fd_.get(), vectors.data(), static_cast<int>(vectors.size()), static_cast<off_t>(offset));
      if (put < 0 && errno == EINTR)
        continue;
      if (put <= 0) {
        if (put == 0)
          errno = ENOSPC;
        return failed("write", offset, vectors[0].iov_len);
      }
      offset += static_cast<std::uint64_t>(put);
      std::size_t left = static_cast<std::size_t>(put);
      while (!vectors.empty() && left >= vectors[0].iov_len) {
        left -= vectors[0].iov_len;
        vectors = vectors.subspan(1);
      }
      if (left > 0) {
        vectors[0].iov_base = static_cast<std::byte*>(vectors[0].iov_base) + left;
        vectors[0].iov_len -= left;
      }
    }
    return {};
  }

  Status write_zeroes(std::uint64_t offset, std::uint64_t length) {
    AlignedBuffer zeroes(static_cast<std::size_t>(std::min<std::uint64_t>(length, 1 << 20)));
    std::memset(zeroes.data(), 0, zeroes.size());
    while (length > 0) {
      const std::size_t part = static_cast<std::size_t>(std::min<std::uint64_t>(length, zeroes.size()));
      if (Status done = write(offset, ByteView(zeroes.view()).first(part)); !done)
        return done;
      offset += part;
      length -= part;
    }
    return {};
  }

  const std::string path_;
  const Descriptor fd_;
  const bool block_device_;
  const std::uint64_t bytes_;
  const std::uint32_t alignment_;
};

Status reserve(int fd, const std::string& path, std::uint64_t bytes) {
  if (fallocate(fd, 0, 0, static_cast<off_t>(bytes)) == 0)
    return {};
  return errno_error(path + ": cannot reserve " + std::to_string(bytes) + " bytes")
      .then("choose a file system with more free space");
}

} // namespace

Result<std::shared_ptr<Disk>> open_disk(const std::string& path, const OpenOptions& options) {
  struct stat about;
  const bool exists = stat(path.c_str(), &about) == 0;
  if (!exists && options.create_bytes == 0)
    return errno_error("cannot open " + path);
  const bool block_device = exists && S_ISBLK(about.st_mode);
  if (exists && !block_device && !S_ISREG(about.st_mode))
    return Error{ErrorCode::Usage, path + " is neither a block device nor a file",
                 "name a block device or a file"};

  int flags = O_CLOEXEC | (options.writable ? O_RDWR : O_RDONLY);
  if (!exists)
    flags |= O_CREAT;
  if (block_device && options.exclusive)
    flags |= O_EXCL;
  int opened = open(path.c_str(), flags | O_DIRECT, 0600);
  if (opened < 0 && errno == EINVAL && !block_device)
    opened = open(path.c_str(), flags, 0600);
  Descriptor fd(opened);
  if (fd.get() < 0) {
    if (errno == EBUSY)
      return Error{ErrorCode::Refused, path + " is in use (mounted, or held by another device)",
                   "unmount or release it first"};
    return errno_error("cannot open " + path);
  }
  if (options.exclusive && flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
    return Error{ErrorCode::Refused, path + " is in use by another process", "stop that process first"};

  std::uint64_t bytes = 0;
  std::uint32_t alignment = 512;
  if (block_device) {
    int sector = 512;
    if (ioctl(fd.get(), BLKGETSIZE64, &bytes) != 0 || ioctl(fd.get(), BLKSSZGET, &sector) != 0)
      return errno_error(path + ": cannot ask for its size");
    alignment = static_cast<std::uint32_t>(sector);
  } else {
    if (options.create_bytes != 0 &&
        (!exists || static_cast<std::uint64_t>(about.st_size) < options.create_bytes))
      if (Status done = reserve(fd.get(), path, options.create_bytes); !done)
        return done.error();
    if (fstat(fd.get(), &about) != 0)
      return errno_error(path + ": cannot ask for its size");
    bytes = static_cast<std::uint64_t>(about.st_size);
    // A new file's name must survive a power cut too, or all that is stored in it is lost.
    if (!exists && fsync(fd.get()) != 0)
      return errno_error(path + ": flush");
    if (!exists) {
      const std::size_t slash = path.rfind('/');
      const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
      const Descriptor directory(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (directory.get() < 0 || fsync(directory.get()) != 0)
        return errno_error(folder + ": flush");
    }
  }
  if (skip_flushes)
    log::warning(path + ": this build leaves out flushes: data will be lost");
  return std::shared_ptr<Disk>(
      std::make_shared<FileDisk>(path, std::move(fd), block_device, bytes, alignment));
}

} // namespace rc::io
