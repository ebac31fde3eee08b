// SPDX-License-Identifier: GPL-2.0-or-later
// /dev/remotecopy: attach, map, ioctls. What the kernel wrote is believed to be well meant, but positions are
// checked before they become addresses.
#include "io/ring.hpp"

#include "io/ring_barriers.hpp"

#include <algorithm>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace rc::io {
namespace {

using format::Extent;
using format::Record;

constexpr std::uint32_t extents_per_call = 4096;

class KernelRing final : public Ring {
public:
  explicit KernelRing(int fd) : fd_(fd) {}
  KernelRing(const KernelRing&) = delete;
  ~KernelRing() override {
    if (map_)
      munmap(const_cast<std::byte*>(map_), map_bytes_);
    if (consumer_)
      munmap(consumer_, DMRC_PAGE_BYTES);
    close(fd_);
  }

  Status attach(const std::string& group) {
    group_ = group;
    dmrc_attach attach{};
    attach.abi_version = DMRC_ABI_VERSION;
    if (group.size() >= sizeof attach.group)
      return Error{ErrorCode::Usage, "the group name '" + group + "' is too long", "at most 63 bytes"};
    std::memcpy(attach.group, group.data(), group.size());
    if (ioctl(fd_, DMRC_IOC_ATTACH, &attach) != 0)
      return attach_failed(attach);
    geometry_ = {attach.slots, attach.data_bytes, attach.copy_slots, attach.copy_slot_bytes,
                 attach.region_sectors};
    stream_ = StreamId{attach.stream ? attach.stream : attach.ended_stream};
    first_unread_ = attach.freed + 1;
    return map(attach);
  }

  const RingGeometry& geometry() const override { return geometry_; }
  StreamId stream() const override { return stream_; }
  Seq first_unread() const override { return first_unread_; }
  int poll_fd() const override { return fd_; }

  Result<dmrc_state> state() override {
    dmrc_state state{};
    if (Status done = control(DMRC_IOC_STATE, &state, "state"); !done)
      return done.error();
    return state;
  }

  Result<Era> start(StreamId stream) override {
    dmrc_start start{};
    start.stream = stream.value;
    if (Status done = control(DMRC_IOC_START, &start, "start of a stream"); !done)
      return done.error();
    stream_ = stream;
    first_unread_ = 1;
    return Era{start.era};
  }
  Status stop() override { return control(DMRC_IOC_STOP, nullptr, "stop of the stream"); }

  Seq reserved() const override { return ring::load_reserved(info_); }

  bool load(Seq seq, Record& record) const override {
    if (geometry_.slots == 0)
      return false;
    const dmrc_record* slot = slots_ + (seq & (geometry_.slots - 1));
    if (ring::load_seq(slot) != seq)
      return false;
    record = *slot;
    return stream_.value == 0 || record.stream == static_cast<std::uint32_t>(stream_.value);
  }

  Result<ByteView> data(const Record& record) const override {
    const std::uint32_t length = format::data_bytes(record);
    if (length == 0)
      return ByteView{};
    if (record.flags & DMRC_F_COPY_SLOT) {
      const std::uint64_t area = std::uint64_t{geometry_.copy_slots} * geometry_.copy_slot_bytes;
      if (length > area || record.data_pos > area - length)
        return outside(record);
      return ByteView(map_ + copy_offset_ + record.data_pos, length);
    }
    if (length > geometry_.data_bytes)
      return outside(record);
    return ByteView(map_ + data_offset_ + record.data_pos % geometry_.data_bytes, length);
  }

  void set_freed(Seq freed) override { ring::store_freed(consumer_, freed); }
  void set_read(Seq read) override { ring::store_read(consumer_, read); }
  void request_wakeup(std::uint32_t records) override { ring::store_wish(consumer_, true, records); }
  void cancel_wakeup() override { ring::store_wish(consumer_, false, 0); }

  Status ack(Seq acked, std::uint64_t alone_after_ns) override {
    dmrc_ack ack{acked, alone_after_ns};
    return control(DMRC_IOC_ACK, &ack, "acknowledgement");
  }

  Result<Seq> set_sync(bool wait, bool fence_stop, std::uint64_t alone_after_ns) override {
    dmrc_sync sync{};
    sync.mode = wait ? DMRC_SYNC_WAIT : DMRC_SYNC_OFF;
    sync.fence = fence_stop ? DMRC_FENCE_STOP : DMRC_FENCE_GO;
    sync.alone_after_ns = alone_after_ns;
    if (Status done = control(DMRC_IOC_SYNC, &sync, "switch of waiting for acknowledgements"); !done)
      return done.error();
    return sync.since_seq;
  }

  Status throttle(std::uint32_t max_wait_ms) override {
    dmrc_throttle throttle{max_wait_ms, 0};
    return control(DMRC_IOC_THROTTLE, &throttle, "what a full ring does");
  }

  Result<CheckpointPut> checkpoint(std::uint64_t n, std::uint64_t max_hold_us, Epoch epoch) override {
    dmrc_checkpoint put{};
    put.n = n;
    put.epoch = epoch.value;
    put.max_hold_us = max_hold_us;
    if (Status done = control(DMRC_IOC_CHECKPOINT, &put, "checkpoint"); !done)
      return done.error();
    const Era next{put.era};
    return CheckpointPut{Era::of(next.generation(), put.n), next, put.marker_seq, put.time_ns};
  }

  Status lift(std::uint64_t n) override {
    __u64 number = n;
    return control(DMRC_IOC_LIFT, &number, "lift");
  }

  Status copy(VolumeNumber volume, std::uint64_t sector, std::uint32_t sectors, std::uint32_t tag) override {
    dmrc_copy copy{};
    copy.sector = sector;
    copy.sectors = sectors;
    copy.tag = tag;
    copy.volume = volume;
    return control(DMRC_IOC_COPY, &copy, "copy");
  }

  Result<Seq> put(format::RecordType type, std::uint32_t tag) override {
    dmrc_put put{};
    put.type = static_cast<std::uint32_t>(type);
    put.tag = tag;
    if (Status done = control(DMRC_IOC_PUT, &put, "put of a record"); !done)
      return done.error();
    return put.seq;
  }

  // --- VolumeControl ---

  Status mark(VolumeNumber volume, std::span<const Extent> extents) override {
    return regions(DMRC_IOC_MARK, volume, extents, 0, "mark");
  }
  Status settle(VolumeNumber volume, std::span<const Extent> extents, bool redone) override {
    return regions(DMRC_IOC_SETTLE, volume, extents, redone ? DMRC_REGIONS_REDONE : 0, "settle");
  }

  Status set_update(VolumeNumber volume, bool in_progress, Era release) override {
    dmrc_update update{};
    update.volume = volume;
    update.in_progress = in_progress;
    update.era = release.value;
    return control(DMRC_IOC_UPDATE, &update, "update in progress");
  }

  Result<std::vector<Extent>> dirty(VolumeNumber volume, Era since) override {
    std::vector<Extent> all;
    std::vector<dmrc_extent> part(extents_per_call);
    dmrc_dirty dirty{};
    dirty.since = since.value;
    dirty.volume = volume;
    dirty.extents = reinterpret_cast<std::uintptr_t>(part.data());
    dirty.max_extents = extents_per_call;
    while (dirty.start_sector != ~0ULL) {
      if (Status done = control(DMRC_IOC_DIRTY, &dirty, "dirty"); !done)
        return done.error();
      for (std::uint32_t i = 0; i < dirty.nr_extents; i++)
        all.push_back({volume, part[i].sector, part[i].sectors, Era{part[i].era}});
      dirty.start_sector = dirty.next_sector;
    }
    return all;
  }

  Result<std::vector<VolumeInfo>> volumes() override {
    std::vector<VolumeInfo> all;
    for (std::uint32_t lowest = 0; lowest <= 0xffff;) {
      dmrc_volume volume{};
      volume.volume = static_cast<__u16>(lowest);
      if (ioctl(fd_, DMRC_IOC_VOLUME, &volume) != 0) {
        if (errno == ENOENT)
          break;
        return failed("list of volumes");
      }
      all.push_back({volume.volume, volume.flags, volume.major, volume.minor, volume.sectors,
                     volume.generation, Era{volume.alone_since}});
      lowest = std::uint32_t{volume.volume} + 1;
    }
    return all;
  }

private:
  Error attach_failed(const dmrc_attach& attach) const {
    const int number = errno;
    const std::string what = "group " + group_ + ": attach";
    switch (number) {
    case ENOENT:
      return Error{ErrorCode::NotFound, what + ": no volume of the group is loaded", ""};
    case EBUSY:
      return Error{ErrorCode::Refused, what + ": another process has it", "stop the other agent"};
    case EPROTONOSUPPORT:
      return Error{ErrorCode::Failed,
                   what + ": the kernel module speaks ABI version " + std::to_string(attach.abi_version) +
                       ", this program " + std::to_string(DMRC_ABI_VERSION),
                   "install module and agent of one version"};
    default:
      return errno_error(what, number);
    }
  }

  Status map(const dmrc_attach& attach) {
    map_bytes_ = attach.map_bytes;
    data_offset_ = attach.data_offset;
    copy_offset_ = attach.copy_offset;
    void* all = mmap(nullptr, map_bytes_, PROT_READ, MAP_SHARED, fd_, 0);
    if (all == MAP_FAILED)
      return errno_error("group " + group_ + ": map of the ring");
    map_ = static_cast<const std::byte*>(all);
    void* page = mmap(nullptr, DMRC_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd_,
                      static_cast<off_t>(attach.consumer_offset));
    if (page == MAP_FAILED)
      return errno_error("group " + group_ + ": map of the consumer page");
    consumer_ = static_cast<dmrc_consumer_page*>(page);
    info_ = reinterpret_cast<const dmrc_info_page*>(map_);
    slots_ = reinterpret_cast<const dmrc_record*>(map_ + attach.control_offset);
    return {};
  }

  Error outside(const Record& record) const {
    return Error{ErrorCode::Corrupt,
                 "group " + group_ + ": " + format::to_string(record) + " points outside of the ring",
                 "install module and agent of one version"};
  }

  Error failed(const char* what) const {
    const int number = errno;
    Error error = errno_error("group " + group_ + ": " + what, number);
    if (number == EBUSY)
      error.code = ErrorCode::Again;
    if (number == EINVAL || number == EROFS || number == ENOLINK)
      error.code = ErrorCode::Refused;
    return error;
  }

  Status control(unsigned long request, void* argument, const char* what) {
    while (ioctl(fd_, request, argument) != 0)
      if (errno != EINTR)
        return failed(what);
    return {};
  }

  Status regions(unsigned long request, VolumeNumber volume, std::span<const Extent> extents, __u16 flags,
                 const char* what) {
    std::vector<dmrc_extent> part;
    for (std::size_t at = 0; at < extents.size(); at += part.size()) {
      part.clear();
      for (const Extent& extent :
           extents.subspan(at, std::min<std::size_t>(extents_per_call, extents.size() - at)))
        part.push_back({extent.sector, extent.sectors, extent.era.value});
      dmrc_regions regions{};
      regions.extents = reinterpret_cast<std::uintptr_t>(part.data());
      regions.nr_extents = static_cast<std::uint32_t>(part.size());
      regions.volume = volume;
      regions.flags = flags;
      if (Status done = control(request, &regions, what); !done)
        return done;
    }
    return {};
  }

  const int fd_;
  std::string group_;
  RingGeometry geometry_;
  StreamId stream_{};
  Seq first_unread_ = 1;
  const std::byte* map_ = nullptr;
  std::size_t map_bytes_ = 0;
  const dmrc_info_page* info_ = nullptr;
  dmrc_consumer_page* consumer_ = nullptr;
  const dmrc_record* slots_ = nullptr;
  std::uint64_t data_offset_ = 0;
  std::uint64_t copy_offset_ = 0;
};

} // namespace

Result<std::shared_ptr<Ring>> attach_ring(const std::string& group, const std::string& device) {
  const int fd = open(device.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0)
    return errno_error("cannot open " + device).then("load the kernel module: modprobe dm-remotecopy");
  auto ring = std::make_shared<KernelRing>(fd);
  if (Status done = ring->attach(group); !done)
    return done.error();
  return std::shared_ptr<Ring>(std::move(ring));
}

namespace {

bool all_zero(ByteView bytes) {
  return !bytes.empty() && bytes[0] == std::byte{0} &&
         std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

} // namespace

Result<format::RecordsMessage> take_records(const RingSource& ring, Seq from, std::size_t max_bytes,
                                            std::size_t max_records) {
  format::RecordsMessage message;
  message.stream = ring.stream();
  std::size_t bytes = 0;
  Record record;
  while (message.records.size() < max_records && ring.load(from + message.records.size(), record)) {
    bytes += format::data_bytes(record);
    if (bytes > max_bytes && !message.records.empty()) {
      bytes -= format::data_bytes(record);
      break;
    }
    message.records.push_back(record);
  }
  Bytes all;
  all.reserve(bytes);
  for (Record& taken : message.records) {
    const auto data = ring.data(taken);
    if (!data)
      return data.error();
    const std::size_t begin = all.size();
    taken.flags &= static_cast<std::uint8_t>(~DMRC_F_COPY_SLOT);
    // Much of a new volume is zero: that is told, not carried.
    if (taken.type == DMRC_COPY && all_zero(*data))
      taken.flags |= DMRC_F_ZERO;
    else
      append_bytes(all, *data);
    if (taken.type != DMRC_FAILED)
      taken.data_pos = 0;
    format::seal_record(taken, ByteView(all).subspan(begin));
  }
  if (!all.empty())
    message.data = std::make_shared<const Bytes>(std::move(all));
  return message;
}

bool ring_device_present(const std::string& device) { return access(device.c_str(), F_OK) == 0; }

} // namespace rc::io
