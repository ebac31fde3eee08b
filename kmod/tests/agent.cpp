// SPDX-License-Identifier: GPL-2.0-or-later
// The tests' agent; see docs/ring.md for the order of loads and stores.
#include "agent.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace kt {

Agent::Agent(const std::string& group) : fd_(open("/dev/remotecopy", O_RDWR | O_CLOEXEC)) {
  if (fd_ < 0)
    fail_errno("/dev/remotecopy");
  attach_.abi_version = DMRC_ABI_VERSION;
  strncpy(attach_.group, group.c_str(), sizeof(attach_.group) - 1);
  if (ioctl(fd_, DMRC_IOC_ATTACH, &attach_)) {
    int error = errno;
    close(fd_);
    errno = error;
    fail_errno("attach to " + group);
  }
  void* all = mmap(nullptr, attach_.map_bytes, PROT_READ, MAP_SHARED, fd_, 0);
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, attach_.consumer_offset);
  if (all == MAP_FAILED || page == MAP_FAILED)
    fail_errno("mmap of the ring");
  map_ = static_cast<const uint8_t*>(all);
  consumer_ = static_cast<dmrc_consumer_page*>(page);
  read_ = attach_.freed;
}

Agent::~Agent() {
  munmap(const_cast<uint8_t*>(map_), attach_.map_bytes);
  munmap(consumer_, 4096);
  close(fd_);
}

const dmrc_record* Agent::next() {
  if (!attach_.slots)
    return nullptr;
  uint64_t seq = read_ + 1;
  auto* slots = reinterpret_cast<const dmrc_record*>(map_ + attach_.control_offset);
  const dmrc_record* record = &slots[seq & (attach_.slots - 1)];
  if (__atomic_load_n(&record->seq, __ATOMIC_ACQUIRE) != seq)
    return nullptr;
  read_ = seq;
  __atomic_store_n(&consumer_->read, seq, __ATOMIC_RELEASE);
  return record;
}

const uint8_t* Agent::data(const dmrc_record& record) const {
  if (record.flags & DMRC_F_COPY_SLOT)
    return map_ + attach_.copy_offset + record.data_pos;
  return map_ + attach_.data_offset + record.data_pos % attach_.data_bytes;
}

void Agent::free_to(uint64_t seq) { __atomic_store_n(&consumer_->freed, seq, __ATOMIC_RELEASE); }

bool Agent::wait(int ms, uint32_t wake_records) {
  __atomic_store_n(&consumer_->wake_records, wake_records, __ATOMIC_RELAXED);
  __atomic_store_n(&consumer_->need_wakeup, 1, __ATOMIC_SEQ_CST);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  pollfd p{fd_, POLLIN, 0};
  bool ready = poll(&p, 1, ms) == 1 && (p.revents & POLLIN);
  __atomic_store_n(&consumer_->need_wakeup, 0, __ATOMIC_RELAXED);
  return ready;
}

int Agent::try_ioctl(unsigned long command, void* argument) { return ioctl(fd_, command, argument) ? errno : 0; }

int Agent::try_start(uint64_t stream) {
  dmrc_start s{};
  s.stream = stream;
  int error = try_ioctl(DMRC_IOC_START, &s);
  if (!error) {
    attach_.stream = stream;
    attach_.era = s.era;
    read_ = 0;
  }
  return error;
}

uint64_t Agent::start(uint64_t stream) {
  if (int error = try_start(stream))
    fail(std::string("start of a stream: ") + strerror(error));
  return attach_.era;
}

void Agent::stop() {
  if (int error = try_ioctl(DMRC_IOC_STOP))
    fail(std::string("stop: ") + strerror(error));
}

uint64_t Agent::checkpoint(uint64_t n) {
  dmrc_checkpoint c{};
  c.n = n;
  if (int error = try_ioctl(DMRC_IOC_CHECKPOINT, &c))
    fail("checkpoint " + std::to_string(n) + ": " + strerror(error));
  return c.n;
}

int Agent::try_copy(uint16_t volume, uint64_t sector, uint32_t sectors, uint32_t tag) {
  dmrc_copy c{};
  c.volume = volume;
  c.sector = sector;
  c.sectors = sectors;
  c.tag = tag;
  return try_ioctl(DMRC_IOC_COPY, &c);
}

void Agent::ack(uint64_t seq, uint64_t alone_after_ns) {
  dmrc_ack a{seq, alone_after_ns};
  if (int error = try_ioctl(DMRC_IOC_ACK, &a))
    fail(std::string("ack: ") + strerror(error));
}

uint64_t Agent::sync(uint32_t mode, uint32_t fence, uint64_t alone_after_ns) {
  dmrc_sync s{};
  s.mode = mode;
  s.fence = fence;
  s.alone_after_ns = alone_after_ns;
  if (int error = try_ioctl(DMRC_IOC_SYNC, &s))
    fail(std::string("sync: ") + strerror(error));
  return s.since_seq;
}

dmrc_state Agent::state() {
  dmrc_state s{};
  if (int error = try_ioctl(DMRC_IOC_STATE, &s))
    fail(std::string("state: ") + strerror(error));
  return s;
}

dmrc_volume Agent::volume(uint16_t number) {
  dmrc_volume v{};
  v.volume = number;
  int error = try_ioctl(DMRC_IOC_VOLUME, &v);
  if (error || v.volume != number)
    fail("volume " + std::to_string(number) + ": " + strerror(error));
  return v;
}

std::vector<dmrc_extent> Agent::dirty(uint16_t volume, uint64_t since, uint32_t step) {
  std::vector<dmrc_extent> all, some(step);
  dmrc_dirty d{};
  do {
    d.volume = volume;
    d.since = since;
    d.start_sector = d.next_sector;
    d.extents = reinterpret_cast<uint64_t>(some.data());
    d.max_extents = step;
    if (int error = try_ioctl(DMRC_IOC_DIRTY, &d))
      fail(std::string("dirty: ") + strerror(error));
    all.insert(all.end(), some.begin(), some.begin() + d.nr_extents);
  } while (d.next_sector != ~0ULL);
  return all;
}

int Agent::regions(unsigned long command, uint16_t volume, const std::vector<dmrc_extent>& extents,
                   uint16_t flags) {
  dmrc_regions r{};
  r.extents = reinterpret_cast<uint64_t>(extents.data());
  r.nr_extents = extents.size();
  r.volume = volume;
  r.flags = flags;
  return try_ioctl(command, &r);
}

int Agent::update(uint16_t volume, bool in_progress, uint64_t era) {
  dmrc_update u{};
  u.volume = volume;
  u.in_progress = in_progress;
  u.era = era;
  return try_ioctl(DMRC_IOC_UPDATE, &u);
}

void apply(const Agent& agent, const dmrc_record& record, Replica& replica) {
  uint64_t at = record.sector * kSector;
  switch (record.type) {
  case DMRC_WRITE:
  case DMRC_COPY:
    check(at + record.length <= replica.size(), "a record beyond the end of its volume");
    memcpy(&replica[at], agent.data(record), record.length);
    break;
  case DMRC_DISCARD:
  case DMRC_ZEROES:
    check(at + record.length <= replica.size(), "a record beyond the end of its volume");
    memset(&replica[at], 0, record.length);
    break;
  default:
    break;
  }
}

Reader::Reader(Agent& agent, std::map<uint16_t, Replica>& replicas, Look look)
    : agent_(agent), replicas_(replicas), look_(std::move(look)), thread_([this] { run(); }) {}

Reader::~Reader() {
  stop_ = true;
  if (thread_.joinable())
    thread_.join();
}

void Reader::stop() {
  stop_ = true;
  thread_.join();
  if (!error_.empty())
    fail(error_);
}

void Reader::run() try {
  uint64_t end = ~0ULL;
  for (;;) {
    // What is reserved when the stop is seen will be committed: nothing reserved before may be missed.
    if (stop_ && end == ~0ULL)
      end = agent_.state().reserved;
    const dmrc_record* record = agent_.next();
    if (!record) {
      if (agent_.read_seq() >= end)
        break;
      agent_.free_read();
      agent_.wait(20, 64);
      continue;
    }
    check(record->seq == agent_.read_seq(), "seq of a record");
    check(record->stream == static_cast<uint32_t>(agent_.attached().stream), "stream of a record");
    if (record->type <= DMRC_FAILED)
      apply(agent_, *record, replicas_.at(record->volume));
    if (look_)
      look_(*record);
    if (++records_ % 256 == 0)
      agent_.free_read();
  }
  agent_.free_read();
} catch (const std::exception& e) {
  error_ = std::string("reader: ") + e.what();
}

uint64_t copy_extents(Agent& agent, uint16_t volume, const std::vector<dmrc_extent>& extents, uint32_t tag) {
  uint64_t bytes = 0;
  uint32_t region = agent.attached().region_sectors;
  for (const auto& e : extents)
    for (uint64_t at = e.sector; at < e.sector + e.sectors; at += region) {
      uint32_t part = std::min<uint64_t>(region, e.sector + e.sectors - at);
      int error;
      while ((error = agent.try_copy(volume, at, part, tag)) == EAGAIN)
        usleep(200);
      if (error)
        fail(std::string("copy: ") + strerror(error));
      bytes += part * kSector;
    }
  // The record stands behind those of all its copies.
  dmrc_put end{DMRC_END_OF_COPYING, tag, 0};
  int error;
  while ((error = agent.try_ioctl(DMRC_IOC_PUT, &end)) == EAGAIN)
    usleep(200);
  if (error)
    fail(std::string("end of copying: ") + strerror(error));
  return bytes;
}

} // namespace kt
