// SPDX-License-Identifier: GPL-2.0-or-later
// Roles, acknowledgement and deadline, lazy closing, the copy's ioctls, power cut. Follows
// kmod/dm-rc-{hold,region,target}.c.
#include "tests/sim/sim_target.hpp"

#include <algorithm>

namespace rc::sim {

// ---- roles

void SimTarget::load_primary(std::uint64_t generation, std::uint64_t lineage_id,
                             std::function<void(std::string error)> done) {
  if (map_.stable_super().update) {
    done("update in progress");
    return;
  }
  map_.store_super(
      [this, generation](Super& super) {
        const Era first = Era::of(generation, 1);
        era_ = std::max(first, Era{super.ceiling.value + 1});
        super.generation = generation;
        super.ceiling = Era{era_.value + 16};
        super.alone = false;
      },
      [this, generation, lineage_id, done = std::move(done)] {
        role_ = Role::Primary;
        fenced_ = false;
        generation_ = generation;
        lineage_id_ = lineage_id;
        map_.adopt(true, era_);
        logical_ = disk_.content();
        sync_ = alone_ = stopped_ = false;
        close_later();
        done({});
      });
}

void SimTarget::load_secondary() {
  if (capturing_)
    end_hold(false);
  // Writes under way ended with the suspend that came before; the stream ends with the role.
  capturing_ = false;
  stream_ = read_stream_ = {};
  reserved_ = tail_ = freed_ = lost_at_ = 0;
  slots_.clear();
  ++epoch_;
  sync_ = alone_ = stopped_ = false;
  waiting_.clear();
  if (role_ == Role::Primary) {
    disk_.end_all();
    disk_.end_flush(disk_.begin_flush());
    map_.close_all_now();
  }
  role_ = Role::Secondary;
  fenced_ = false;
  map_.adopt(false, {});
}

void SimTarget::fence() {
  fenced_ = true;
  if (capturing_)
    end_hold(false);
  std::multimap<Seq, HostWritePtr> waiting;
  waiting.swap(waiting_);
  for (auto& [seq, write] : waiting)
    complete(write, Completion::Free, false);
}

// ---- acknowledgement

Seq SimTarget::limit() const { return sync_ && !alone_ ? std::max(acked_, since_) : ~Seq{0}; }

Time SimTarget::oldest_waiting() const {
  Time oldest = 0;
  for (const auto& [seq, write] : waiting_)
    oldest = oldest ? std::min(oldest, write->on_disk) : write->on_disk;
  return oldest;
}

// What the running stream does not carry counts like what was numbered when waiting began.
Seq SimTarget::key(const HostWrite& write) const {
  if (write.seq && write.epoch == epoch_)
    return write.seq;
  return capturing_ ? before_ : ~Seq{0};
}

void SimTarget::sweep() {
  while (!waiting_.empty() && waiting_.begin()->first <= limit()) {
    const auto write = waiting_.begin()->second;
    const Seq key = waiting_.begin()->first;
    waiting_.erase(waiting_.begin());
    complete(write, !sync_          ? Completion::Free
                    : alone_        ? Completion::Alone
                    : key <= acked_ ? Completion::Acknowledged
                                    : Completion::Free);
  }
  if (stopped_)
    while (!waiting_.empty()) {
      const auto write = waiting_.begin()->second;
      waiting_.erase(waiting_.begin());
      complete(write, Completion::Free, false);
    }
}

bool SimTarget::deadline_passed() const {
  return sync_ && !alone_ && !stopped_ && environment_.boot_ns() >= alone_after_ns_;
}

void SimTarget::set_deadline(std::uint64_t at) {
  alone_after_ns_ = at;
  environment_.at_boot(at, [this, at] {
    if (alone_after_ns_ == at)
      deadline();
  });
}

void SimTarget::deadline() {
  if (!deadline_passed())
    return;
  if (fence_stop_) {
    stopped_ = true;
    environment_.trace("deadline: writes fail (fence stop)");
    sweep();
    return;
  }
  const Era era = era_;
  map_.store_super(
      [era](Super& super) {
        super.alone = true;
        super.alone_since = era;
      },
      [this, era] {
        if (deadline_passed()) {
          alone_ = true;
          alone_since_ = era;
          environment_.trace("deadline: alone since " + to_string(era));
          environment_.count("kernel went alone");
          sweep();
        } else {
          map_.store_super([](Super& super) { super.alone = false; }, nullptr);
        }
      });
}

void SimTarget::ack(Seq acked, std::uint64_t alone_after_ns) {
  if (acked > reserved_)
    throw Violation("contract", "the core acknowledges what was not captured");
  acked_ = std::max(acked_, acked);
  if (sync_ && alone_after_ns > alone_after_ns_)
    set_deadline(alone_after_ns);
  sweep();
}

Seq SimTarget::set_sync(bool wait, bool stop, std::uint64_t alone_after_ns) {
  if (wait && (!sync_ || alone_ || stopped_))
    since_ = reserved_;
  if (wait) {
    before_ = reserved_;
    while (!waiting_.empty() && waiting_.rbegin()->first == ~Seq{0}) {
      const auto write = waiting_.rbegin()->second;
      waiting_.erase(std::prev(waiting_.end()));
      waiting_.emplace(before_, write);
    }
  }
  if (alone_ || map_.super().alone)
    map_.store_super([](Super& super) { super.alone = false; }, nullptr);
  sync_ = wait;
  fence_stop_ = stop;
  alone_ = stopped_ = false;
  alone_since_ = {};
  if (wait)
    set_deadline(alone_after_ns);
  sweep();
  return since_;
}

// ---- lazy close

// One pass at a time, from its timer until its last write of the map: what a later one picked has no flush
// yet.
void SimTarget::close_later() {
  if (closer_running_)
    return;
  closer_running_ = true;
  environment_.later(settings_.close_every, [this] {
    if (role_ == Role::Primary)
      close();
    else
      closer_running_ = false;
  });
}

void SimTarget::close() {
  const auto end = [this] {
    closer_running_ = false;
    close_later();
  };
  bool picked = false;
  for (std::uint32_t v = 0; v < settings_.shape.volumes; ++v)
    for (std::uint32_t r = 0; r < settings_.shape.regions; ++r) {
      Region& word = map_.word(map_.index(v, r));
      if (!word.open || word.sticky)
        continue;
      if (word.touched) {
        word.touched = false;
        continue;
      }
      if (in_flight({v, r * region_blocks, (r + 1) * region_blocks - 1}))
        continue;
      word.closing = true;
      picked = true;
    }
  if (!picked)
    return end();
  const bool flush = environment_.mutation() != ModelMutation::CloseWithoutFlush;
  environment_.later(flush ? environment_.flush_time() : 0, [this, end, flush, begun = disk_.begin_flush()] {
    if (flush)
      disk_.end_flush(begun);
    if (role_ == Role::Primary)
      map_.close_picked(end);
    else
      closer_running_ = false;
  });
}

// ---- the copy's agent

std::function<void()> SimTarget::call(std::function<void()> done) {
  ++calls_;
  return [this, boot = boots_, done = std::move(done)] {
    if (boot == boots_)
      --calls_;
    done();
  };
}

void SimTarget::settle(std::vector<format::Extent> extents, bool redo, std::function<void()> done) {
  environment_.later(environment_.flush_time(), [this, extents = std::move(extents), redo,
                                                 done = call(std::move(done)), begun = disk_.begin_flush()] {
    disk_.end_flush(begun);
    map_.settle(extents, redo, done);
  });
}

void SimTarget::set_update(bool in_progress, std::function<void()> done) {
  map_.store_super([in_progress](Super& super) { super.update = in_progress; }, call(std::move(done)));
}

// ---- faults

void SimTarget::power_cut() {
  disk_.power_cut(environment_.random());
  map_.power_cut(environment_.random());
  role_ = Role::None;
  fenced_ = false;
  capturing_ = false;
  stream_ = read_stream_ = {};
  reserved_ = tail_ = freed_ = lost_at_ = 0;
  data_head_ = data_tail_ = 0;
  copies_ = 0;
  slots_.clear();
  copy_slots_.assign(copy_slots_.size(), {});
  ranges_.clear();
  deferred_.clear();
  cold_.clear();
  throttled_.clear();
  throttle_ = 0;
  looking_ = false;
  opening_ = closer_running_ = false;
  sync_ = alone_ = stopped_ = false;
  waiting_.clear();
  held_.clear();
  hold_ = {};
  ++holds_;
  since_ = acked_ = 0;
  alone_since_ = {};
  alone_after_ns_ = 0;
  calls_ = 0;
  ++boots_;
  ++epoch_;
}

} // namespace rc::sim
