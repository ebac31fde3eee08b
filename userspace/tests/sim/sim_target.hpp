// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel target of one host, as kmod/ builds it: ring with capacity, open-before-capture, one step for
// seq and era, lazy close by a flush that began later, era ceiling, streams, overflow, acknowledgement with a
// deadline of its own, copy slots, marks, roles. Lives as long as the host has power, whether an agent runs
// or not. Time passes through its environment only.
#pragma once

#include "tests/sim/disk.hpp"
#include "tests/sim/ghost.hpp"
#include "tests/sim/region_map.hpp"

#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>

namespace rc::sim {

struct HostWrite {
  std::uint32_t volume = 0;
  std::uint32_t block = 0;
  std::uint32_t blocks = 1;
  format::RecordType type = format::RecordType::Write;
  Payload payload;
  std::function<void(bool ok)> completed; // to the application
  Time issued = 0;
  // the kernel's
  Seq seq = 0; // 0: not captured
  StreamId stream{};
  std::uint64_t epoch = 0;
  Time on_disk = 0;   // when the backing write ended
  Time throttled = 0; // since when it has waited for room, 0: never
};
using HostWritePtr = std::shared_ptr<HostWrite>;

enum class Role { None, Secondary, Primary };
enum class Completion { Free, Acknowledged, Alone }; // why a write was allowed to complete

// What a SimTarget needs of its host.
class KernelEnvironment {
public:
  virtual ~KernelEnvironment() = default;
  virtual Time now() const = 0;
  virtual void later(Time delay, std::function<void()> what) = 0; // unless the power fails; waits in a pause
  virtual void at_boot(std::uint64_t boot_ns, std::function<void()> what) = 0;
  virtual std::uint64_t boot_ns() const = 0;
  virtual std::uint64_t real_ns() const = 0;
  virtual Time disk_time() = 0;
  virtual Time flush_time() = 0;
  virtual Time meta_time() = 0;
  virtual Random& random() = 0;
  virtual Ghost& ghost() = 0;
  virtual int host() const = 0;
  virtual ModelMutation mutation() const = 0;
  virtual void ring_committed() = 0; // to the agent, if one is there
  virtual void write_completed(const HostWrite& write, Completion why) = 0;
  virtual void trace(const std::string& what) = 0;
  virtual void count(const char* what) = 0;
};

struct TargetSettings {
  Shape shape;
  std::uint64_t ring_bytes = 1 << 20;
  std::uint32_t slots = 256;
  std::uint32_t copy_slots = 4;
  Time close_every = second;
};

struct CheckpointResult {
  Era checkpoint{};
  Seq marker = 0;
  std::uint64_t time_ns = 0;
  bool holding = false;
  std::string error;
};

struct CheckpointRequest {
  Era n{};            // 0: the open era
  Time most_held = 0; // 0: marker and verdict in one step
  Epoch epoch{};      // goes into the marker
};

class SimTarget {
public:
  SimTarget(TargetSettings settings, KernelEnvironment& environment, const Image& content);

  // ---- dm: load, suspend
  void load_primary(std::uint64_t generation, std::uint64_t lineage_id,
                    std::function<void(std::string error)> done);
  void load_secondary();
  void fence(); // primary: refuse all host I/O from now on
  Role role() const { return role_; }
  bool accepts_writes() const { return role_ == Role::Primary && !fenced_; }
  std::uint64_t generation() const { return generation_; }
  std::uint64_t lineage_id() const { return lineage_id_; }

  // ---- the application
  void submit(HostWritePtr write);

  // ---- ioctls of a source's agent
  StreamId stream() const { return stream_; }
  StreamId read_stream() const { return read_stream_; } // also when it ended: what is in the ring
  Era era() const { return era_; }
  Seq reserved() const { return reserved_; }
  Seq freed() const { return freed_; }
  Seq acked() const { return acked_; }
  Seq lost_at() const { return lost_at_; }
  Seq written() const;
  bool sync_wait() const { return sync_; }
  bool alone() const { return alone_; }
  Era alone_since() const { return alone_since_; }
  std::uint64_t alone_after_ns() const { return sync_ ? alone_after_ns_ : 0; }
  std::size_t waiting() const { return waiting_.size(); }
  Time oldest_waiting() const; // when the first of them was on disk, 0: none waits
  const TargetSettings& settings() const { return settings_; }
  std::string start_stream(StreamId id); // "" or why not
  void ack(Seq acked, std::uint64_t alone_after_ns);
  Seq set_sync(bool wait, bool stop, std::uint64_t alone_after_ns);
  void set_throttle(Time longest) { throttle_ = longest; }
  void checkpoint(CheckpointRequest request, std::function<void(CheckpointResult)> done);
  bool lift(Era n); // false: the hold has ended by itself
  bool copy(std::uint32_t volume, std::uint64_t sector, std::uint32_t sectors,
            std::uint32_t tag); // false: refused
  bool put(format::RecordType type, std::uint32_t tag);
  std::vector<format::Extent> dirty(Era since) const { return map_.dirty(since); }
  const format::Record* load(Seq seq) const; // committed and not freed, or nullptr
  void set_freed(Seq freed);

  // ---- ioctls of a copy's agent, and its writes to the backing devices
  void mark(std::vector<std::uint32_t> regions, std::function<void()> done) {
    map_.open(std::move(regions), call(std::move(done)));
  }
  void settle(std::vector<format::Extent> extents, bool redo, std::function<void()> done);
  void set_update(bool in_progress, std::function<void()> done);
  // A call of an agent, alive or killed, is under way: the process ends, and a new one attaches, only after
  // it.
  bool called() const { return calls_ != 0; }
  Disk& disk() { return disk_; }
  const Disk& disk() const { return disk_; }
  const RegionMap& map() const { return map_; }
  bool update_in_progress() const { return map_.stable_super().update; }

  void forget_update() {
    map_.store_super([](Super& super) { super.update = false; }, nullptr);
  } // by command

  // ---- faults
  void power_cut();
  void agent_gone() {
    disk_.end_all();
    end_hold(false);
  }

private:
  std::function<void()> call(std::function<void()> done);
  struct Slot {
    format::Record record;
    std::uint64_t data_end;
    bool done;
    bool committed;
  };
  struct Range {
    std::uint32_t volume, first, last; // blocks
    bool meets(const Range& other) const {
      return volume == other.volume && first <= other.last && other.first <= last;
    }
  };
  struct CopyRequest {
    std::uint32_t volume;
    std::uint64_t sector;
    std::uint32_t sectors;
    std::uint32_t tag;
    std::uint64_t epoch;
    std::uint32_t slot;
  };
  struct CopySlot {
    bool busy = false;
    Seq seq = 0; // of its record, while that is not freed
    std::uint64_t epoch = 0;
  };
  using Waiter = std::variant<HostWritePtr, CopyRequest>;

  bool in_flight(const Range& range) const;
  void leave(const Range& range);
  void run_deferred();
  void step_write(const HostWritePtr& write, bool turn = false);
  bool has_room(const HostWrite& write);
  bool throttle(const HostWritePtr& write, bool turn);
  void look_for_room();
  void reserve_write(HostWrite& write);
  void backing_write(const HostWritePtr& write);
  void end_write(const HostWritePtr& write);
  void step_copy(const CopyRequest& copy);
  void end_copy(const CopyRequest& copy);
  Slot* reserve(format::Record& record, std::uint64_t bytes, std::uint32_t keep);
  void commit(Seq seq);
  void reclaim();
  void lose(const char* why);
  void put_marker(const CheckpointRequest& request, const std::function<void(CheckpointResult)>& done);
  void end_hold(bool held);
  void ended(const HostWritePtr& write);
  void complete(const HostWritePtr& write, Completion why, bool ok = true);
  Seq limit() const;
  Seq key(const HostWrite& write) const;
  void sweep();
  void deadline();
  bool deadline_passed() const;
  void set_deadline(std::uint64_t at);
  void close_later();
  void close();

  TargetSettings settings_;
  KernelEnvironment& environment_;
  Disk disk_;
  RegionMap map_;
  Role role_ = Role::None;
  bool fenced_ = false;
  std::uint64_t generation_ = 0;
  std::uint64_t lineage_id_ = 0;
  Image logical_{}; // with all writes that were numbered, in their order

  bool capturing_ = false;
  StreamId stream_{}, read_stream_{};
  std::uint64_t epoch_ = 0;
  std::uint64_t boots_ = 0;
  unsigned calls_ = 0;
  Seq reserved_ = 0, tail_ = 0, freed_ = 0, lost_at_ = 0;
  std::uint64_t data_head_ = 0, data_tail_ = 0;
  std::uint64_t time_ns_ = 0;
  Era era_{};
  std::uint32_t copies_ = 0;
  std::deque<Slot> slots_; // tail_ + 1 ... reserved_
  std::vector<CopySlot> copy_slots_;

  std::list<Range> ranges_;
  std::deque<Waiter> deferred_;
  std::vector<HostWritePtr> cold_;
  std::deque<HostWritePtr> throttled_; // without room, in order
  Time throttle_ = 0;
  bool looking_ = false;
  bool opening_ = false;
  bool closer_running_ = false;

  Era hold_{}; // checkpoint whose later writes are withheld, 0: none
  Seq hold_from_ = 0;
  std::uint64_t holds_ = 0;
  std::vector<HostWritePtr> held_;

  bool sync_ = false, fence_stop_ = false, alone_ = false, stopped_ = false;
  Seq since_ = 0, acked_ = 0, before_ = ~Seq{0};
  Era alone_since_{};
  std::uint64_t alone_after_ns_ = 0;
  std::multimap<Seq, HostWritePtr> waiting_;
};

} // namespace rc::sim
