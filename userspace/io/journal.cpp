// SPDX-License-Identifier: GPL-2.0-or-later
// The journal as its owner sees it: admits appends and stores in order, hands them to the commit thread,
// reports what is durable. What the owner may be told at once (room, contiguity) is reckoned here without
// touching the disk.
#include "io/journal.hpp"

#include "base/log.hpp"
#include "format/group_state_codec.hpp"
#include "io/journal_writer.hpp"
#include "io/worker.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace rc::io {
namespace {

using format::GroupState;
using format::Record;
using format::RecordsMessage;
using format::Segment;

constexpr std::size_t commit_data_bytes_max = 16 << 20;
constexpr auto idle_before_trim = std::chrono::milliseconds(500);
constexpr std::uint64_t slots_per_block = format::journal_block_bytes / sizeof(Record);

struct StoreRequest {
  GroupState state;
  JournalChange change;
  std::function<void()> done;
};
using Request = std::variant<RecordsMessage, StoreRequest, JournalTrim>;

std::size_t data_size(const RecordsMessage& records) { return records.data ? records.data->size() : 0; }

// What posted callbacks reach the owner through; cleared by the destructor in the owner's thread.
struct Callbacks {
  JournalEvents events;
  bool alive = true;
};

class DiskJournal final : public Journal {
public:
  DiskJournal(std::shared_ptr<Disk> disk, Executor executor, JournalEvents events, RecoveredJournal recovered,
              std::unique_ptr<JournalWriter> writer)
      : disk_(std::move(disk)), executor_(std::move(executor)), callbacks_(std::make_shared<Callbacks>()),
        geometry_(recovered.superblock.geometry), journal_id_(recovered.superblock.journal_id),
        state_(recovered.superblock.state),
        writer_(std::move(writer)), control_area_{disk_.get(), format::control_area_offset,
                                                  geometry_.control_bytes()},
        data_area_{disk_.get(), geometry_.data_offset, geometry_.data_bytes} {
    callbacks_->events = std::move(events);
    held_ = writer_->segments();
    marks_ = writer_->marks();
    in_slot_ = marks_.in_slot;
    in_data_ = marks_.in_data;
    for (std::size_t i = 0; i < held_.size(); i++)
      admitted_.push_back({held_[i].stream, held_[i].first, held_[i].first + slots_of(i) - 1});
    recovery_ = {state_,
                 {admitted_.begin(), admitted_.end()},
                 recovered.checked_records,
                 recovered.checked_bytes,
                 recovered.dropped_records};
    state_.segments.clear();
    thread_ = std::thread([this] { loop(); });
  }

  ~DiskJournal() override {
    callbacks_->alive = false;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

  const JournalRecovery& recovery() const override { return recovery_; }

  std::vector<JournalSegment> segments() const override { return {admitted_.begin(), admitted_.end()}; }

  Status append(const RecordsMessage& records) override {
    if (Status good = usable(); !good)
      return good;
    if (records.records.empty())
      return {};
    if (admitted_.empty() || admitted_.back().stream != records.stream)
      return refused("records of a stream whose segment was not begun");
    Seq expected = admitted_.back().last + 1;
    std::size_t bytes = 0;
    for (const Record& record : records.records) {
      if (record.seq != expected)
        return refused("record seq=" + std::to_string(record.seq) + " where " + std::to_string(expected) +
                       " was to come");
      expected++;
      bytes += format::data_bytes(record);
    }
    if (bytes != data_size(records))
      return refused("records whose data is not as long as they say");
    const std::lock_guard lock(mutex_);
    if (up(in_slot_ + records.records.size(), slots_per_block) >
            down(marks_.out_slot, slots_per_block) + geometry_.control_slots ||
        up(in_data_ + bytes, format::journal_block_bytes) >
            down(marks_.out_data, format::journal_block_bytes) + geometry_.data_bytes)
      return Error{ErrorCode::Full, "journal " + disk_->name() + " is full",
                   "wait until the copy has taken over what it holds, or give it more space"};
    in_slot_ += records.records.size();
    in_data_ += bytes;
    admitted_.back().last = expected - 1;
    queue_.emplace_back(records);
    changed_.notify_one();
    return {};
  }

  Status store(const GroupState& state, const JournalChange& change, std::function<void()> done) override {
    if (Status good = usable(); !good)
      return good;
    std::deque<JournalSegment> after = admitted_;
    if (change.trim) {
      if (Status good = trim_list(after, *change.trim); !good)
        return good;
    }
    if (change.empty)
      after.clear();
    if (change.begin) {
      const JournalSegmentStart& start = *change.begin;
      const auto short_id = [](StreamId id) { return static_cast<std::uint32_t>(id.value); };
      if (start.first == 0 || short_id(start.stream) == 0)
        return refused("a segment without stream or first seq");
      if (!after.empty() && after.back().last < after.back().first)
        after.pop_back();
      for (const JournalSegment& segment : after)
        if (short_id(segment.stream) == short_id(start.stream) &&
            (segment.stream != start.stream || segment.last >= start.first))
          return refused("a segment of a stream that begins before the end of what it holds of it");
      after.push_back({start.stream, start.first, start.first - 1});
    }
    if (format::encode_group_state(state).size() + (after.size() + 1) * sizeof(Segment) + 4096 >
        format::superblock_slot_bytes)
      return Error{ErrorCode::Full,
                   "the group's state is too large for the superblock of journal " + disk_->name(),
                   "let the resync begin anew: its list of copied extents has too many pieces"};
    admitted_ = std::move(after);
    state_ = state;
    const std::lock_guard lock(mutex_);
    queue_.emplace_back(StoreRequest{state, change, std::move(done)});
    changed_.notify_one();
    return {};
  }

  Status trim(const JournalTrim& trim) override {
    if (Status good = usable(); !good)
      return good;
    if (Status good = trim_list(admitted_, trim); !good)
      return good;
    const std::lock_guard lock(mutex_);
    queue_.emplace_back(trim);
    changed_.notify_one();
    return {};
  }

  const GroupState& state() const override { return state_; }

  Seq appended(StreamId stream) const override {
    for (auto segment = admitted_.rbegin(); segment != admitted_.rend(); ++segment)
      if (segment->stream == stream)
        return segment->last;
    return 0;
  }

  Seq durable(StreamId stream) const override {
    const std::lock_guard lock(mutex_);
    return durable_locked(stream);
  }

  JournalUse use() const override {
    const std::lock_guard lock(mutex_);
    return {in_data_ - down(marks_.out_data, format::journal_block_bytes),
            geometry_.data_bytes - format::journal_block_bytes,
            in_slot_ - down(marks_.out_slot, slots_per_block), geometry_.control_slots - slots_per_block};
  }

  std::uint64_t journal_id() const override { return journal_id_; }

  Result<std::vector<Record>> read_headers(StreamId stream, Seq from, Seq through,
                                           std::size_t max_records) override {
    auto stored = read_slots(stream, from, through, max_records);
    if (stored)
      for (Record& record : *stored)
        restore_data_pos(record);
    return stored;
  }

  Result<RecordsMessage> read(StreamId stream, Seq from, Seq through, std::size_t max_bytes,
                              std::size_t max_records) override {
    auto stored = read_slots(stream, from, through, max_records);
    if (!stored)
      return stored.error();
    RecordsMessage message;
    message.stream = stream;
    std::uint64_t begin = 0;
    std::size_t bytes = 0;
    for (Record& record : *stored) {
      const std::size_t length = format::data_bytes(record);
      if (!message.records.empty() && bytes + length > max_bytes)
        break;
      if (length > 0) {
        const std::uint64_t position = record.data_pos & format::data_pos_mask;
        if (bytes == 0)
          begin = position;
        if (position != begin + bytes || length > geometry_.data_bytes)
          return corrupt(record.seq, Error{ErrorCode::Corrupt, "its data is not where it should be", ""});
      }
      bytes += length;
      restore_data_pos(record);
      message.records.push_back(record);
    }
    if (bytes > 0) {
      auto data = std::make_shared<Bytes>(bytes);
      if (Status done = data_area_.read(begin, *data); !done)
        return done.error();
      message.data = std::move(data);
    }
    ByteView left = message.data ? ByteView(*message.data) : ByteView();
    for (const Record& record : message.records) {
      const std::size_t length = format::data_bytes(record);
      if (Status good = format::check_data(record, left.first(length)); !good)
        return corrupt(record.seq, good.error());
      left = left.subspan(length);
    }
    return message;
  }

private:
  static std::uint64_t down(std::uint64_t value, std::uint64_t unit) { return value / unit * unit; }
  static std::uint64_t up(std::uint64_t value, std::uint64_t unit) { return down(value + unit - 1, unit); }

  Error refused(const std::string& why) const {
    return Error{ErrorCode::Refused, "journal " + disk_->name() + " takes no " + why, ""};
  }
  Error corrupt(Seq seq, const Error& why) const {
    return Error{ErrorCode::Corrupt,
                 "journal " + disk_->name() + ": record seq=" + std::to_string(seq) +
                     " is damaged: " + why.what,
                 "replace the disk, format the journal, and resynchronise this copy"};
  }

  Status usable() const {
    const std::lock_guard lock(mutex_);
    return failure_ ? Status(*failure_) : Status();
  }

  // Of a stream that lies in several segments: the newest one that begins at or before the record.
  Status trim_list(std::deque<JournalSegment>& list, const JournalTrim& trim) const {
    const auto found = std::find_if(list.rbegin(), list.rend(), [&](const JournalSegment& s) {
      return s.stream == trim.stream && s.first <= trim.through;
    });
    if (found == list.rend())
      return {}; // trimmed already
    const auto segment = std::prev(found.base());
    if (trim.through > segment->last)
      return refused("trim beyond its end");
    const bool whole = trim.through == segment->last && std::next(segment) != list.end();
    segment->first = trim.through + 1;
    list.erase(list.begin(), whole ? std::next(segment) : segment);
    return {};
  }

  // --- under mutex_ or before the thread runs ---

  std::uint64_t slots_of(std::size_t segment) const {
    const std::uint64_t end = segment + 1 < held_.size() ? held_[segment + 1].first_slot : marks_.in_slot;
    return end - held_[segment].first_slot;
  }

  Seq durable_of(std::size_t segment) const {
    const std::uint64_t begin = held_[segment].first_slot;
    const std::uint64_t end = std::min(begin + slots_of(segment), marks_.flushed_slot);
    return held_[segment].first + (std::max(end, begin) - begin) - 1;
  }

  Seq durable_locked(StreamId stream) const {
    for (std::size_t i = held_.size(); i-- > 0;)
      if (held_[i].stream == stream)
        return durable_of(i);
    return 0;
  }

  Result<std::vector<Record>> read_slots(StreamId stream, Seq from, Seq through, std::size_t max_records) {
    std::uint64_t slot = 0;
    {
      const std::lock_guard lock(mutex_);
      if (failure_)
        return *failure_;
      const auto held = std::find_if(held_.rbegin(), held_.rend(),
                                     [&](const Segment& s) { return s.stream == stream && s.first <= from; });
      if (held == held_.rend() || through < from ||
          through > durable_of(static_cast<std::size_t>(std::prev(held.base()) - held_.begin())))
        return Error{ErrorCode::NotFound,
                     "journal " + disk_->name() + " does not hold seq " + std::to_string(from) + " to " +
                         std::to_string(through) + " of that stream",
                     ""};
      slot = held->first_slot + (from - held->first);
    }
    const std::size_t count =
        static_cast<std::size_t>(std::min<std::uint64_t>(through - from + 1, max_records));
    std::vector<Record> records(count);
    if (Status done = control_area_.read(slot * sizeof(Record), std::as_writable_bytes(std::span(records)));
        !done)
      return done.error();
    for (std::size_t i = 0; i < count; i++)
      if (Status good = check_slot(records[i], {stream, from + i}); !good)
        return corrupt(from + i, good.error());
    return records;
  }

  // --- commit thread ---

  void loop() {
    begin_thread("journal");
    bool trim_waits = false;
    for (;;) {
      std::deque<Request> taken;
      {
        std::unique_lock lock(mutex_);
        const auto ready = [&] { return stopping_ || !queue_.empty(); };
        if (trim_waits ? !changed_.wait_for(lock, idle_before_trim, ready)
                       : (changed_.wait(lock, ready), false)) {
          lock.unlock();
          if (Status done = writer_->store(); !done)
            return fail(done.error());
          publish({});
          trim_waits = false;
          continue;
        }
        if (queue_.empty())
          return; // stopping, all done
        taken.swap(queue_);
      }
      if (Status done = execute(taken); !done)
        return fail(done.error());
      trim_waits = writer_->untrimmed_slots() > 0;
      if (writer_->untrimmed_bytes() > geometry_.data_bytes / 8 ||
          writer_->untrimmed_slots() > geometry_.control_slots / 8) {
        if (Status done = writer_->store(); !done)
          return fail(done.error());
        publish({});
        trim_waits = false;
      }
    }
  }

  Status execute(std::deque<Request>& requests) {
    std::size_t data_bytes = 0;
    std::uint64_t slots = 0;
    std::vector<std::function<void()>> dones;
    bool store_waits = false;
    const auto finish_store = [&]() -> Status {
      if (!store_waits)
        return {};
      store_waits = false;
      if (Status done = writer_->store(); !done)
        return done;
      publish(std::exchange(dones, {}));
      return {};
    };
    const auto finish_commit = [&]() -> Status {
      data_bytes = 0;
      slots = 0;
      if (!writer_->uncommitted())
        return {};
      if (Status done = writer_->commit(); !done)
        return done;
      publish({});
      return {};
    };
    for (Request& request : requests) {
      if (auto* records = std::get_if<RecordsMessage>(&request)) {
        if (Status done = finish_store(); !done)
          return done;
        if (data_bytes + data_size(*records) > commit_data_bytes_max ||
            slots + records->records.size() > commit_slots_max)
          if (Status done = finish_commit(); !done)
            return done;
        if (Status done = writer_->append(*records); !done)
          return done;
        data_bytes += data_size(*records);
        slots += records->records.size();
        *records = {}; // the shared data may go
      } else if (auto* store = std::get_if<StoreRequest>(&request)) {
        // A segment must end on stable storage before a superblock says where it ends.
        if (Status done = finish_commit(); !done)
          return done;
        if (store->change.trim)
          if (Status done = writer_->trim(*store->change.trim); !done)
            return done;
        if (store->change.empty)
          writer_->empty();
        if (store->change.begin)
          writer_->begin(*store->change.begin);
        writer_->set_state(std::move(store->state));
        if (store->done)
          dones.push_back(std::move(store->done));
        store_waits = true;
      } else if (Status done = writer_->trim(std::get<JournalTrim>(request)); !done) {
        return done;
      }
    }
    if (Status done = finish_store(); !done)
      return done;
    return finish_commit();
  }

  // Lets readers and the owner see the writer's marks; posts what they mean.
  void publish(std::vector<std::function<void()>> dones) {
    StreamId stream{};
    Seq durable = 0;
    {
      const std::lock_guard lock(mutex_);
      const std::uint64_t flushed_before = marks_.flushed_slot;
      held_ = writer_->segments();
      marks_ = writer_->marks();
      if (marks_.flushed_slot > flushed_before && !held_.empty()) {
        stream = held_.back().stream;
        durable = durable_locked(stream);
      }
    }
    if (durable == 0 && dones.empty())
      return;
    post(executor_, [callbacks = callbacks_, stream, durable, dones = std::move(dones)] {
      if (!callbacks->alive)
        return;
      if (durable != 0 && callbacks->events.durable)
        callbacks->events.durable(stream, durable);
      for (const auto& done : dones)
        if (callbacks->alive)
          done();
    });
  }

  void fail(const Error& error) {
    const Error whole = error.because("journal " + disk_->name() + " has failed")
                            .then("replace or repair the disk, then start the agent again");
    log::error(whole.text());
    {
      const std::lock_guard lock(mutex_);
      failure_ = whole;
      queue_.clear();
    }
    post(executor_, [callbacks = callbacks_, whole] {
      if (callbacks->alive && callbacks->events.failed)
        callbacks->events.failed(whole);
    });
  }

  const std::shared_ptr<Disk> disk_;
  const Executor executor_;
  const std::shared_ptr<Callbacks> callbacks_;
  const format::JournalGeometry geometry_;
  const std::uint64_t journal_id_;
  JournalRecovery recovery_;

  // Owner's thread: as it will be when everything queued is done.
  GroupState state_;
  std::deque<JournalSegment> admitted_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Request> queue_;
  std::optional<Error> failure_;
  bool stopping_ = false;
  std::uint64_t in_slot_ = 0; // with what is queued
  std::uint64_t in_data_ = 0;
  std::vector<Segment> held_; // as the commit thread published them last
  JournalWriter::Marks marks_;

  std::unique_ptr<JournalWriter> writer_; // commit thread
  const JournalArea control_area_;
  const JournalArea data_area_;
  std::thread thread_;
};

} // namespace

std::uint64_t JournalUse::used_bytes() const {
  if (slots == 0)
    return data_used;
  const long double of_slots = static_cast<long double>(slots_used) / static_cast<long double>(slots);
  return std::max(data_used, static_cast<std::uint64_t>(of_slots * static_cast<long double>(data_bytes)));
}

Status Journal::format(Disk& disk, const GroupState& state, std::uint64_t journal_id) {
  const auto geometry = format::geometry_for(disk.bytes());
  if (!geometry)
    return geometry.error().because("journal " + disk.name());
  const AlignedBuffer zeroes(format::journal_block_bytes);
  std::memset(const_cast<std::byte*>(zeroes.data()), 0, zeroes.size());
  // Both old superblocks must be gone before the new one counts: its serial starts anew.
  for (const std::uint64_t offset : format::superblock_offset)
    if (Status done = disk.write(offset, zeroes.view()); !done)
      return done;
  if (Status done = disk.flush(); !done)
    return done;
  format::Superblock superblock;
  superblock.serial = 1;
  superblock.journal_id = journal_id;
  superblock.geometry = *geometry;
  superblock.state = state;
  superblock.state.segments.clear();
  const auto bytes = format::encode_superblock(superblock);
  if (!bytes)
    return bytes.error();
  AlignedBuffer memory(bytes->size());
  std::memcpy(memory.data(), bytes->data(), bytes->size());
  if (Status done = disk.write(format::superblock_offset[1], memory.view()); !done)
    return done;
  return disk.flush();
}

Result<std::unique_ptr<Journal>> Journal::open(std::shared_ptr<Disk> disk, Executor executor,
                                               JournalEvents events) {
  RC_ASSERT(disk->alignment() <= format::journal_block_bytes);
  auto recovered = recover_journal(*disk);
  if (!recovered)
    return recovered.error();
  auto writer = JournalWriter::open(disk, *recovered);
  if (!writer)
    return writer.error().because("journal " + disk->name());
  return std::unique_ptr<Journal>(std::make_unique<DiskJournal>(
      std::move(disk), std::move(executor), std::move(events), std::move(*recovered), std::move(*writer)));
}

} // namespace rc::io
