// SPDX-License-Identifier: GPL-2.0-or-later
// Capture: the path of a write, the ring, streams, copies. Follows kmod/dm-rc-{capture,ring,copy}.c.
#include "tests/sim/sim_target.hpp"

#include <algorithm>

namespace rc::sim {

namespace {
constexpr std::uint32_t reserved_slots = 3; // never taken by writes and copies: marker, verdict, loss
constexpr std::uint32_t block_bytes = block_sectors * 512;
constexpr Time look_every = 2 * ms;
} // namespace

SimTarget::SimTarget(TargetSettings settings, KernelEnvironment& environment, const Image& content)
    : settings_(settings), environment_(environment), disk_(content),
      map_(settings.shape,
           {[this](Time delay, std::function<void()> what) { environment_.later(delay, std::move(what)); },
            [this] { return environment_.meta_time(); }}),
      copy_slots_(settings.copy_slots) {}

// ---- ranges in flight

bool SimTarget::in_flight(const Range& range) const {
  return std::any_of(ranges_.begin(), ranges_.end(), [&](const Range& other) { return other.meets(range); });
}

void SimTarget::leave(const Range& range) {
  for (auto other = ranges_.begin(); other != ranges_.end(); ++other)
    if (other->volume == range.volume && other->first == range.first && other->last == range.last) {
      ranges_.erase(other);
      break;
    }
  run_deferred();
}

void SimTarget::run_deferred() {
  std::deque<Waiter> waiters;
  waiters.swap(deferred_);
  for (auto& waiter : waiters)
    if (auto* write = std::get_if<HostWritePtr>(&waiter))
      step_write(*write);
    else
      step_copy(std::get<CopyRequest>(waiter));
}

// ---- writes

void SimTarget::submit(HostWritePtr write) {
  if (!accepts_writes() || stopped_) {
    complete(write, Completion::Free, false);
    return;
  }
  write->issued = environment_.now();
  step_write(write);
}

void SimTarget::step_write(const HostWritePtr& write, bool turn) {
  if (!accepts_writes() || stopped_) { // it waited, meanwhile the role changed
    complete(write, Completion::Free, false);
    return;
  }
  const Range range{write->volume, write->block, write->block + write->blocks - 1};
  if (in_flight(range)) {
    deferred_.push_back(write);
    return;
  }
  const auto region = map_.index(write->volume, write->block / region_blocks);
  const bool open_first = environment_.mutation() != ModelMutation::CaptureBeforeOpen;
  if (!map_.word(region).open && open_first) {
    cold_.push_back(write);
    if (opening_)
      return;
    opening_ = true;
    environment_.later(0, [this] {
      opening_ = false;
      std::vector<HostWritePtr> writes;
      writes.swap(cold_);
      std::vector<std::uint32_t> regions;
      for (const auto& cold : writes)
        regions.push_back(map_.index(cold->volume, cold->block / region_blocks));
      map_.open(regions, [this, writes] {
        for (const auto& cold : writes)
          deferred_.push_back(cold);
        run_deferred();
      });
    });
    return;
  }
  if (throttle(write, turn))
    return;
  ranges_.push_back(range);
  reserve_write(*write);
  if (!map_.word(region).open) // only the mutation comes here: the mark follows the record
    map_.open({region}, nullptr);
  if (write->seq)
    commit(write->seq);
  backing_write(write);
}

bool SimTarget::has_room(const HostWrite& write) {
  reclaim();
  const std::uint64_t bytes = write.type == format::RecordType::Write ? write.blocks * block_bytes : 0;
  const auto keep = reserved_slots + (throttle_ ? settings_.copy_slots : copies_);
  return settings_.slots - slots_.size() > keep && data_head_ + bytes - data_tail_ <= settings_.ring_bytes;
}

// kmod/dm-rc-throttle.c. True: the write waits for room.
bool SimTarget::throttle(const HostWritePtr& write, bool turn) {
  if (!capturing_ || throttle_ == 0 || ((turn || throttled_.empty()) && has_room(*write)))
    return false;
  if (write->throttled == 0) {
    write->throttled = environment_.now();
    environment_.count("throttled");
  }
  if (environment_.now() - write->throttled >= throttle_) {
    lose("the ring stayed full for as long as writes may wait");
    return false;
  }
  if (turn)
    throttled_.push_front(write);
  else
    throttled_.push_back(write);
  if (!looking_) {
    looking_ = true;
    environment_.later(look_every, [this] { look_for_room(); });
  }
  return true;
}

void SimTarget::look_for_room() {
  while (!throttled_.empty()) {
    const auto write = throttled_.front();
    throttled_.pop_front();
    step_write(write, true);
    if (!throttled_.empty() && throttled_.front() == write)
      break;
  }
  looking_ = !throttled_.empty();
  if (looking_)
    environment_.later(look_every, [this] { look_for_room(); });
}

void SimTarget::reserve_write(HostWrite& write) {
  Region& word = map_.word(map_.index(write.volume, write.block / region_blocks));
  word.era = std::max(word.era, era_);
  word.touched = true;
  if (word.open)
    word.closing = false;
  for (std::uint32_t b = 0; b < write.blocks; ++b)
    logical_[block_index(write.volume, write.block + b)] = write.payload.values[b];
  write.stream = read_stream_; // uncaptured: after it
  if (!capturing_) {
    environment_.ghost().note_issue(write);
    return;
  }
  const bool data = write.type == format::RecordType::Write;
  format::Record record{};
  record.type = static_cast<std::uint8_t>(write.type);
  record.volume = static_cast<std::uint16_t>(write.volume);
  record.length = write.blocks * block_bytes;
  record.sector = std::uint64_t{write.block} * block_sectors;
  record.data_crc = data ? environment_.ghost().add_payload(write.payload) : 0;
  if (!reserve(record, data ? record.length : 0, reserved_slots + copies_)) {
    lose("the ring is full");
    environment_.ghost().note_issue(write);
    return;
  }
  write.seq = record.seq;
  write.stream = stream_;
  write.epoch = epoch_;
  environment_.ghost().note_issue(write);
}

void SimTarget::backing_write(const HostWritePtr& write) {
  std::vector<Disk::Ticket> tickets;
  for (std::uint32_t b = 0; b < write->blocks; ++b)
    tickets.push_back(disk_.begin(block_index(write->volume, write->block + b), write->payload.values[b]));
  environment_.later(environment_.disk_time(), [this, write, tickets] {
    for (std::uint32_t b = 0; b < write->blocks; ++b)
      disk_.end(block_index(write->volume, write->block + b), tickets[b]);
    end_write(write);
  });
}

void SimTarget::end_write(const HostWritePtr& write) {
  write->on_disk = environment_.now();
  if (write->seq && write->epoch == epoch_ && write->seq > tail_)
    slots_[write->seq - tail_ - 1].done = true;
  leave({write->volume, write->block, write->block + write->blocks - 1});
  if (hold_.value != 0 && write->epoch == epoch_ && write->seq > hold_from_)
    held_.push_back(write);
  else
    ended(write);
}

// On disk, and no hold withholds it.
void SimTarget::ended(const HostWritePtr& write) {
  if (role_ != Role::Primary) // the suspend before a demotion waits for it, and it for its acknowledgement
    return complete(write, Completion::Free, false);
  const Seq key = this->key(*write);
  const bool free = !sync_ || alone_;
  if (key <= limit())
    complete(write, !sync_                 ? Completion::Free
                    : free                 ? Completion::Alone
                    : write->seq <= since_ ? Completion::Free
                                           : Completion::Acknowledged);
  else if (stopped_)
    complete(write, Completion::Free, false);
  else
    waiting_.emplace(key, write);
}

void SimTarget::complete(const HostWritePtr& write, Completion why, bool ok) {
  if (ok)
    environment_.ghost().note_completion(*write, environment_.now());
  if (ok)
    environment_.write_completed(*write, why);
  if (write->completed)
    write->completed(ok);
}

// ---- ring

void SimTarget::reclaim() {
  while (!slots_.empty() && tail_ < freed_ && slots_.front().done && slots_.front().committed) {
    data_tail_ = slots_.front().data_end;
    slots_.pop_front();
    ++tail_;
  }
}

SimTarget::Slot* SimTarget::reserve(format::Record& record, std::uint64_t bytes, std::uint32_t keep) {
  reclaim();
  if (settings_.slots - slots_.size() <= keep ||
      (bytes && data_head_ + bytes - data_tail_ > settings_.ring_bytes))
    return nullptr;
  record.seq = ++reserved_;
  record.stream = static_cast<std::uint32_t>(stream_.value);
  time_ns_ = std::max(time_ns_, environment_.real_ns());
  record.time_ns = time_ns_;
  if (record.era == 0)
    record.era = era_.value;
  data_head_ += bytes;
  slots_.push_back({record, data_head_, false, false});
  environment_.ghost().captured(stream_, record, logical_);
  return &slots_.back();
}

void SimTarget::commit(Seq seq) {
  if (seq > tail_)
    slots_[seq - tail_ - 1].committed = true;
  environment_.ring_committed();
}

void SimTarget::lose(const char* why) {
  end_hold(false);
  format::Record record{};
  record.type = DMRC_LOSS;
  if (Slot* slot = reserve(record, 0, 0)) {
    slot->done = true;
    lost_at_ = record.seq;
    commit(record.seq);
  } else {
    throw Violation("model", "no slot was left for the loss record");
  }
  capturing_ = false;
  stream_ = {};
  environment_.trace(std::string("stream lost: ") + why);
  environment_.count("overflow");
  environment_.ring_committed();
}

const format::Record* SimTarget::load(Seq seq) const {
  if (seq <= tail_ || seq > reserved_ || seq <= freed_)
    return nullptr;
  const Slot& slot = slots_[seq - tail_ - 1];
  return slot.committed ? &slot.record : nullptr;
}

void SimTarget::set_freed(Seq freed) {
  if (freed > reserved_)
    throw Violation("contract", "the core frees what was not captured");
  freed_ = std::max(freed_, freed);
  reclaim();
}

Seq SimTarget::written() const {
  Seq written = tail_;
  for (const Slot& slot : slots_) {
    if (!slot.done || !slot.committed)
      break;
    ++written;
  }
  return written;
}

std::string SimTarget::start_stream(StreamId id) {
  if (role_ != Role::Primary)
    return "the volumes are not primary";
  reclaim();
  if (capturing_ || tail_ != reserved_ || copies_)
    return "a stream runs, or the ring is not wholly freed";
  ++epoch_;
  reserved_ = tail_ = freed_ = lost_at_ = 0;
  data_head_ = data_tail_ = 0;
  slots_.clear();
  stream_ = read_stream_ = id;
  acked_ = since_ = 0;
  before_ = ~Seq{0};
  std::multimap<Seq, HostWritePtr> waiting;
  for (auto& [seq, write] : waiting_)
    waiting.emplace(~Seq{0}, write);
  waiting_.swap(waiting);
  capturing_ = true;
  environment_.ghost().begin_stream(id, environment_.host(), generation_, lineage_id_, logical_);
  return {};
}

bool SimTarget::put(format::RecordType type, std::uint32_t tag) {
  if (!capturing_)
    return false;
  format::Record record{};
  record.type = static_cast<std::uint8_t>(type);
  record.tag = tag;
  Slot* slot = reserve(record, 0, reserved_slots + copies_);
  if (!slot)
    return false;
  slot->done = true;
  commit(record.seq);
  return true;
}

void SimTarget::checkpoint(CheckpointRequest request, std::function<void(CheckpointResult)> done) {
  if (!capturing_) {
    done({.error = "no stream"});
    return;
  }
  if (request.n.value == 0)
    request.n = era_;
  const Era next{request.n.value + 1};
  const auto put = [this, request, done = std::move(done)] { put_marker(request, done); };
  if (map_.stable_super().ceiling >= next || environment_.mutation() == ModelMutation::EraNotStable)
    put();
  else
    map_.store_super([next](Super& super) { super.ceiling = std::max(super.ceiling, Era{next.value + 16}); },
                     put);
}

// kmod/dm-rc-checkpoint.c: one step under the capture lock.
void SimTarget::put_marker(const CheckpointRequest& request,
                           const std::function<void(CheckpointResult)>& done) {
  if (!capturing_ || request.n < era_ || hold_.value != 0) {
    done({.error = !capturing_        ? "no stream"
                   : request.n < era_ ? "the number is not above all that were used"
                                      : "a hold is on"});
    return;
  }
  format::Record marker{};
  marker.type = DMRC_MARKER;
  marker.era = request.n.value;
  marker.sector = request.epoch.value;
  Slot* slot = reserve(marker, 0, 2 + copies_);
  if (!slot) {
    done({.error = "the ring has no room for marker and verdict"});
    return;
  }
  slot->done = true;
  era_ = Era{request.n.value + 1};
  hold_ = request.n;
  hold_from_ = marker.seq;
  if (request.most_held == 0) {
    end_hold(true);
  } else {
    environment_.later(request.most_held, [this, hold = ++holds_] {
      if (hold == holds_)
        end_hold(false);
    });
    environment_.count("hold");
  }
  commit(marker.seq);
  done({request.n, marker.seq, marker.time_ns, hold_.value != 0, {}});
}

bool SimTarget::lift(Era n) {
  if (hold_ != n || n.value == 0)
    return false;
  end_hold(true);
  return true;
}

void SimTarget::end_hold(bool held) {
  if (hold_.value == 0)
    return;
  format::Record verdict{};
  verdict.type = held ? DMRC_HELD : DMRC_VOID;
  verdict.era = hold_.value;
  environment_.count(held ? "held" : "void");
  hold_ = {};
  ++holds_;
  Slot* slot = reserve(verdict, 0, 1);
  if (!slot)
    throw Violation("model", "no slot was left for the verdict");
  slot->done = true;
  commit(verdict.seq);
  std::vector<HostWritePtr> writes;
  writes.swap(held_);
  for (const auto& write : writes)
    ended(write);
}

// ---- copies

bool SimTarget::copy(std::uint32_t volume, std::uint64_t sector, std::uint32_t sectors, std::uint32_t tag) {
  if (sectors == 0 || sectors > region_sectors || sector % block_sectors || sectors % block_sectors ||
      sector / region_sectors != (sector + sectors - 1) / region_sectors ||
      sector + sectors > settings_.shape.sectors())
    throw Violation("contract", "the core asks for a copy that no kernel would make: sector " +
                                    std::to_string(sector) + ", " + std::to_string(sectors) + " sectors");
  if (!capturing_)
    return false;
  reclaim();
  if (settings_.slots - slots_.size() <= reserved_slots + copies_)
    return false;
  for (std::uint32_t n = 0; n < copy_slots_.size(); ++n) {
    CopySlot& slot = copy_slots_[n];
    if (slot.busy || (slot.seq > freed_ && slot.epoch == epoch_))
      continue;
    slot = {true, 0, epoch_};
    ++copies_;
    step_copy({volume, sector, sectors, tag, epoch_, n});
    return true;
  }
  return false;
}

void SimTarget::step_copy(const CopyRequest& copy) {
  const auto first = static_cast<std::uint32_t>(copy.sector / block_sectors);
  const Range range{copy.volume, first, first + copy.sectors / block_sectors - 1};
  if (in_flight(range)) {
    deferred_.push_back(copy);
    return;
  }
  ranges_.push_back(range);
  environment_.later(environment_.disk_time(), [this, copy] { end_copy(copy); });
}

void SimTarget::end_copy(const CopyRequest& copy) {
  const auto first = static_cast<std::uint32_t>(copy.sector / block_sectors);
  const std::uint32_t blocks = copy.sectors / block_sectors;
  --copies_;
  CopySlot& slot = copy_slots_[copy.slot];
  slot.busy = false;
  if (capturing_ && epoch_ == copy.epoch) {
    Payload payload;
    for (std::uint32_t b = 0; b < blocks; ++b)
      payload.values[b] = disk_.read(block_index(copy.volume, first + b));
    format::Record record{};
    record.type = DMRC_COPY;
    record.flags = DMRC_F_COPY_SLOT;
    record.volume = static_cast<std::uint16_t>(copy.volume);
    record.tag = copy.tag;
    record.sector = copy.sector;
    record.length = copy.sectors * 512;
    record.data_crc = environment_.ghost().add_payload(payload);
    Region& word = map_.word(map_.index(copy.volume, first / region_blocks));
    record.era = word.era.value;
    const bool unwritten = record.era == 0; // 0 would be taken for "now" by reserve()
    if (unwritten)
      record.era = 1;
    Slot* put = reserve(record, 0, 1 + copies_);
    if (!put)
      throw Violation("model", "no slot for a copy record");
    if (unwritten)
      put->record.era = 0;
    put->done = true;
    slot = {false, record.seq, epoch_};
    commit(record.seq);
  }
  leave({copy.volume, first, first + blocks - 1});
}

} // namespace rc::sim
