// SPDX-License-Identifier: GPL-2.0-or-later
// The agent's end of a group's ring, /dev/remotecopy (docs/ring.md). Decides nothing: says what is committed,
// where its bytes lie, and passes the ioctls on. One object is one open file attached to one group; closing
// it ends the stream for nobody: the next one reads on at freed + 1. Threads: reading, set_freed and wake-ups
// from one thread (the owner); the VolumeControl calls from any.
#pragma once

#include "io/volume_control.hpp"

#include <memory>
#include <optional>
#include <string>

namespace rc::io {

// A group of secondaries has no ring: all are 0 but region_sectors. Attach again when its first primary was
// loaded.
struct RingGeometry {
  std::uint32_t slots = 0;
  std::uint64_t data_bytes = 0;
  std::uint32_t copy_slots = 0;
  std::uint32_t copy_slot_bytes = 0;
  std::uint32_t region_sectors = 0;
};

struct CheckpointPut {
  Era checkpoint{}; // the era that ended
  Era next{};       // the era that began
  Seq marker_seq = 0;
  std::uint64_t time_ns = 0;
};

class RingSource {
public:
  virtual ~RingSource() = default;

  virtual const RingGeometry& geometry() const = 0;
  virtual Result<dmrc_state> state() = 0;

  // Random id, low 32 bits not 0. Returns the current era. Afterwards the next record to read is the first of
  // the stream.
  virtual Result<Era> start(StreamId stream) = 0;
  virtual Status stop() = 0;
  // Of the stream that is read, from attach or start; at attach also one that a loss has ended, as state()
  // tells. 0: at attach there was none; records of one that was ended on purpose may still be there.
  virtual StreamId stream() const = 0;
  // Where reading begins: freed + 1 at attach, or the first seq after start.
  virtual Seq first_unread() const = 0;

  // Highest seq given out: records up to it are or soon will be committed.
  virtual Seq reserved() const = 0;
  // Is the record committed? Then it is copied to `record` (CRCs are still 0) and stays in place until
  // set_freed passes it.
  virtual bool load(Seq seq, format::Record& record) const = 0;
  // Bytes of a loaded record where they lie in the ring, valid until set_freed passes it. Empty without data.
  // Corrupt: the record points outside of the ring.
  virtual Result<ByteView> data(const format::Record& record) const = 0;
  virtual void set_freed(Seq freed) = 0;
  // All up to it were read: poll_fd() is readable again when a later one is there.
  virtual void set_read(Seq read) = 0;

  // Readable (POLLIN) while a record beyond set_read() is committed, urgent (POLLPRI) while the group's state
  // has changed since state() was called last; to be watched with FdWatch. For records it wakes only as
  // request_wakeup() asked.
  virtual int poll_fd() const = 0;
  // Wake the poller when so many records wait or 1 ms after the first one. Look once more at the ring after
  // calling it.
  virtual void request_wakeup(std::uint32_t records) = 0;
  virtual void cancel_wakeup() = 0;

  virtual Status ack(Seq acked, std::uint64_t alone_after_ns) = 0;
  // Returns since_seq: writes with a higher seq wait.
  virtual Result<Seq> set_sync(bool wait, bool fence_stop, std::uint64_t alone_after_ns) = 0;
  // How long a write may wait for room in a full ring before the stream ends; 0: not at all.
  virtual Status throttle(std::uint32_t max_wait_ms) = 0;
  // `epoch`: of the copyset's table, goes into the marker; 0 for a group on its own.
  virtual Result<CheckpointPut> checkpoint(std::uint64_t n, std::uint64_t max_hold_us, Epoch epoch) = 0;
  virtual Status lift(std::uint64_t n) = 0;
  // Again: no copy slot is free; one is when its copy record was freed.
  virtual Status copy(VolumeNumber volume, std::uint64_t sector, std::uint32_t sectors,
                      std::uint32_t tag) = 0;
  // End of copying (tag: the links) or seal.
  virtual Result<Seq> put(format::RecordType type, std::uint32_t tag) = 0;
};

// Both faces of one attached group.
class Ring : public RingSource, public VolumeControl {};

// NotFound: no such group (no volume loaded), no module. Refused: another process has it. Failed: ABI, mmap.
Result<std::shared_ptr<Ring>> attach_ring(const std::string& group,
                                          const std::string& device = "/dev/remotecopy");

// Copies the committed records from `from` on, with their data, out of the ring and seals them: at most
// max_bytes of data (but at least one record) and max_records. Empty when nothing is committed. This is the
// one copy that a record's data sees on its way to links and spill.
Result<format::RecordsMessage> take_records(const RingSource& ring, Seq from, std::size_t max_bytes,
                                            std::size_t max_records);

// Is the kernel module loaded?
bool ring_device_present(const std::string& device = "/dev/remotecopy");

} // namespace rc::io
