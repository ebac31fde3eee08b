// SPDX-License-Identifier: GPL-2.0-or-later
// A small agent: attaches to a group, reads the ring as docs/ring.md says, keeps replicas. It shares only the ABI
// header with the real one, so that the tests judge the kernel and not a library.
#pragma once

#include "dm.hpp"

#include <atomic>
#include <functional>
#include <linux/dm_remotecopy.h>
#include <map>
#include <mutex>
#include <thread>

namespace kt {

class Agent {
public:
  explicit Agent(const std::string& group);
  ~Agent();
  Agent(const Agent&) = delete;

  const dmrc_attach& attached() const { return attach_; }
  int fd() const { return fd_; }
  dmrc_consumer_page* consumer() { return consumer_; }

  // The next committed record, or nullptr. The pointer is good until it is freed.
  const dmrc_record* next();
  const uint8_t* data(const dmrc_record& record) const;
  void free_to(uint64_t seq);
  void free_read() { free_to(read_); }
  uint64_t read_seq() const { return read_; }
  // Sleeps until poll says readable or `ms` have passed; true: readable.
  bool wait(int ms, uint32_t wake_records = 1);

  int try_ioctl(unsigned long command, void* argument = nullptr);
  uint64_t start(uint64_t stream = 0x1122334400000001);
  int try_start(uint64_t stream);
  void stop();
  uint64_t checkpoint(uint64_t n = 0); // returns the number that was put
  int try_copy(uint16_t volume, uint64_t sector, uint32_t sectors, uint32_t tag = 1);
  void ack(uint64_t seq, uint64_t alone_after_ns = 0);
  uint64_t sync(uint32_t mode, uint32_t fence, uint64_t alone_after_ns);
  dmrc_state state();
  dmrc_volume volume(uint16_t number);
  std::vector<dmrc_extent> dirty(uint16_t volume, uint64_t since, uint32_t step = 64);
  int regions(unsigned long command, uint16_t volume, const std::vector<dmrc_extent>& extents, uint16_t flags = 0);
  int update(uint16_t volume, bool in_progress, uint64_t era);

private:
  int fd_;
  dmrc_attach attach_{};
  const uint8_t* map_ = nullptr;
  dmrc_consumer_page* consumer_ = nullptr;
  uint64_t read_ = 0;
};

using Replica = std::vector<uint8_t>;
// What a record does to a copy of its volume.
void apply(const Agent& agent, const dmrc_record& record, Replica& replica);

// Reads, applies and frees in a thread until told to stop; stop() first drains all that was reserved by then.
class Reader {
public:
  using Look = std::function<void(const dmrc_record&)>;
  Reader(Agent& agent, std::map<uint16_t, Replica>& replicas, Look look = {});
  ~Reader();
  void stop();
  uint64_t records() const { return records_; }

private:
  void run();
  Agent& agent_;
  std::map<uint16_t, Replica>& replicas_;
  Look look_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> records_{0};
  std::string error_;
  std::thread thread_;
};

// Copies all extents of a volume by copy records while a reader runs, and puts the end of copying; returns bytes.
uint64_t copy_extents(Agent& agent, uint16_t volume, const std::vector<dmrc_extent>& extents, uint32_t tag = 1);

} // namespace kt
