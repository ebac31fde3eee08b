// SPDX-License-Identifier: GPL-2.0-or-later
#include "causal/writer.hpp"

#include "causal/peers.hpp"

#include <algorithm>
#include <cstdlib>
#include <fcntl.h>
#include <memory>
#include <random>
#include <thread>
#include <unistd.h>
#include <utility>

namespace rc::causal {
namespace {

class File {
public:
  explicit File(int fd = -1) : fd_(fd) {}
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~File() {
    if (fd_ > 2)
      ::close(fd_);
  }
  int fd() const { return fd_; }

private:
  int fd_;
};

struct Device {
  std::string path;
  File file;
  std::uint64_t bytes = 0;
};

struct FreeMemory {
  void operator()(std::byte* memory) const { std::free(memory); }
};

Result<std::vector<Device>> open_devices(const WriteOptions& options) {
  std::vector<Device> devices;
  for (const std::string& path : options.devices) {
    Device device{path, File(::open(path.c_str(), O_RDWR | O_CLOEXEC | (options.direct ? O_DIRECT : 0))), 0};
    if (device.file.fd() < 0)
      return errno_error("open " + path);
    const off_t end = ::lseek(device.file.fd(), 0, SEEK_END);
    if (end < 0)
      return errno_error("size of " + path);
    device.bytes = static_cast<std::uint64_t>(end);
    devices.push_back(std::move(device));
  }
  return devices;
}

Result<Shape> shape_of(const WriteOptions& options, const std::vector<Device>& devices) {
  Shape shape{.run = options.run,
              .seed = options.seed,
              .hosts = options.hosts,
              .lanes = static_cast<std::uint16_t>(options.writers * options.queue_depth),
              .devices = static_cast<std::uint16_t>(devices.size()),
              .sizes = options.sizes,
              .span = 1};
  std::random_device random;
  while (shape.run == 0)
    shape.run = (std::uint64_t{random()} << 32) | random();
  if (const Status status = shape.valid(); !status)
    return status.error();
  std::uint64_t span = options.span_bytes;
  for (const Device& device : devices) {
    if (options.span_bytes > device.bytes)
      return Error{ErrorCode::Usage,
                   device.path + " has " + std::to_string(device.bytes) + " bytes, less than --span",
                   "use a smaller --span"};
    if (options.span_bytes == 0)
      span = std::min<std::uint64_t>(span ? span : 64ULL << 20, device.bytes);
  }
  shape.span = static_cast<std::uint32_t>(std::min<std::uint64_t>(span / shape.stride(), ~0U));
  if (const Status status = shape.valid(); !status)
    return status.error();
  return shape;
}

Status append_all(int fd, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return errno_error("append to the completion log");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

class Run {
public:
  Run(const WriteOptions& options, const Shape& shape, std::vector<Device> devices, File log,
      const std::atomic<bool>& stop)
      : options_(options), shape_(shape), devices_(std::move(devices)), log_(std::move(log)), stop_(stop),
        maker_(shape, options.payload),
        board_(shape, options.host, [this](ByteView bytes) { return append_all(log_.fd(), bytes); }) {}

  Result<WriteSummary> go();

private:
  void lane(std::uint32_t own);
  bool wait_for_turn();
  bool ended() const;
  bool write_block(const Device& device, std::uint64_t offset, ByteView bytes);
  bool flush(const Device& device);
  bool failed(const std::string& what);

  const WriteOptions& options_;
  const Shape shape_;
  const std::vector<Device> devices_; // of this host
  const File log_;
  const std::atomic<bool>& stop_;
  const BlockMaker maker_;
  Board board_;
  std::uint64_t start_ns_ = 0;
  std::uint64_t end_ns_ = ~0ULL;
  std::atomic<std::uint64_t> turns_ = 0;   // taken by lanes
  std::atomic<std::uint64_t> late_ns_ = 0; // how far the rate's timetable has been moved back
  std::atomic<std::uint64_t> retried_ = 0;
};

bool Run::ended() const { return stop_.load(std::memory_order_relaxed) || monotonic_ns() >= end_ns_; }

// Every write of the host has its time in one timetable. After a stall the timetable moves: no burst to catch
// up, which would be another load than the one asked for.
bool Run::wait_for_turn() {
  const std::uint64_t turn = turns_.fetch_add(1, std::memory_order_relaxed);
  if (options_.count != 0 && turn >= options_.count)
    return false;
  if (options_.rate == 0)
    return !ended();
  const std::uint64_t planned = start_ns_ + static_cast<std::uint64_t>(1e9 * static_cast<double>(turn) /
                                                                       static_cast<double>(options_.rate));
  for (;;) {
    if (ended())
      return false;
    const std::uint64_t late = late_ns_.load(std::memory_order_relaxed);
    const std::uint64_t now = monotonic_ns();
    constexpr std::uint64_t tolerated_ns = 100'000'000;
    if (now >= planned + late) {
      if (now > planned + late + tolerated_ns)
        late_ns_.store(now - planned, std::memory_order_relaxed);
      return true;
    }
    // In steps, so that a signal is heeded soon.
    const std::uint64_t sleep = std::min<std::uint64_t>(planned + late - now, 50'000'000);
    std::this_thread::sleep_for(std::chrono::nanoseconds(sleep));
  }
}

// True: try again.
bool Run::failed(const std::string& what) {
  const Error error = errno_error(what);
  if (!options_.retry_errors) {
    board_.fail(error.then("--on-error retry repeats failed writes"));
    return false;
  }
  if (ended()) // given up: the place of this write stays busy, so nobody may go on
    board_.fail(error.because("the run ended while a write kept failing"));
  if (board_.error())
    return false;
  retried_++;
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  return true;
}

bool Run::write_block(const Device& device, std::uint64_t offset, ByteView bytes) {
  for (;;) {
    const ssize_t n = ::pwrite(device.file.fd(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n == static_cast<ssize_t>(bytes.size()))
      return true;
    if (n >= 0)
      errno = EIO; // a short write of an aligned block is a failed one
    if (errno != EINTR && !failed("write " + device.path + " at " + std::to_string(offset)))
      return false;
  }
}

bool Run::flush(const Device& device) {
  while (::fdatasync(device.file.fd()) != 0)
    if (errno != EINTR && !failed("flush " + device.path))
      return false;
  return true;
}

void Run::lane(std::uint32_t own) {
  const std::unique_ptr<std::byte[], FreeMemory> memory(
      static_cast<std::byte*>(std::aligned_alloc(4096, std::max<std::size_t>(4096, shape_.stride()))));
  Block block{.shape = shape_, .id = {}, .place = {}, .clock = {}};
  block.id.lane = options_.host * shape_.lanes + own;
  for (;;) {
    if (!wait_for_turn())
      return;
    block.id.number++;
    block.place = shape_.place_of(block.id);
    if (!board_.begin(block))
      return;
    block.issued_ns = realtime_ns();
    const std::uint64_t issued = monotonic_ns();
    const MutableByteView bytes(memory.get(), shape_.size_at(block.place.slot));
    maker_.make(block, bytes);
    const Device& device = devices_[block.place.device - options_.host * shape_.devices];
    if (!write_block(device, shape_.offset_of(block.place.slot), bytes))
      return;
    const bool flush_now = options_.fsync_every != 0 && block.id.number % options_.fsync_every == 0;
    if (flush_now && !flush(device))
      return;
    const Completion done{
        .id = block.id,
        .place = block.place,
        .done_ns = realtime_ns(),
        .took_us = static_cast<std::uint32_t>(std::min<std::uint64_t>((monotonic_ns() - issued) / 1000, ~0U)),
        .flushed = flush_now};
    if (!board_.complete(done, static_cast<std::uint32_t>(bytes.size())))
      return;
  }
}

Result<WriteSummary> Run::go() {
  if (const Status status = append_all(log_.fd(), encode(LogHeader{shape_, options_.host, realtime_ns()}));
      !status)
    return status.error();
  Peers peers(shape_, options_.host, board_);
  if (const Status status = peers.start(options_.listen, options_.peers); !status)
    return status.error();

  start_ns_ = monotonic_ns();
  if (options_.seconds > 0)
    end_ns_ = start_ns_ + static_cast<std::uint64_t>(options_.seconds * 1e9);
  board_.start(start_ns_);
  std::vector<std::thread> lanes;
  for (std::uint32_t own = 0; own < shape_.lanes; own++)
    lanes.emplace_back([this, own] { lane(own); });
  for (std::thread& thread : lanes)
    thread.join();
  const std::uint64_t ended = monotonic_ns();
  peers.stop();

  if (const std::optional<Error> error = board_.error())
    return *error;
  Bytes end(log_record_bytes);
  encode_end(realtime_ns(), end);
  if (const Status status = append_all(log_.fd(), end); !status)
    return status.error();
  return WriteSummary{.shape = shape_,
                      .host = options_.host,
                      .stats = board_.stats(ended),
                      .seconds = static_cast<double>(ended - start_ns_) * 1e-9,
                      .retried = retried_,
                      .messages_sent = peers.sent(),
                      .messages_received = peers.received()};
}

} // namespace

Result<WriteSummary> run_writer(const WriteOptions& options, const std::atomic<bool>& stop) {
  Result<std::vector<Device>> devices = open_devices(options);
  if (!devices)
    return devices.error();
  const Result<Shape> shape = shape_of(options, *devices);
  if (!shape)
    return shape.error();
  File log(options.log == "-" ? STDOUT_FILENO
                              : ::open(options.log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
  if (log.fd() < 0)
    return errno_error("open completion log " + options.log);
  Run run(options, *shape, std::move(*devices), std::move(log), stop);
  return run.go();
}

} // namespace rc::causal
