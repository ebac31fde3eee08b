// SPDX-License-Identifier: GPL-2.0-or-later
// A ring in memory: what add() puts in is committed, nothing is ever freed.
#pragma once

#include "io/ring.hpp"

#include <map>

namespace rc::io {

class MemoryRing : public RingSource {
public:
  void add(std::uint8_t type, Bytes data, std::uint8_t flags = 0) {
    format::Record record{};
    record.type = type;
    record.flags = flags;
    record.stream = 9;
    record.seq = records_.size() + 1;
    record.length = static_cast<std::uint32_t>(data.size());
    record.data_pos = type == DMRC_FAILED ? 3 : 1000 + record.seq;
    if (type == DMRC_FAILED)
      record.length = 512;
    data_[record.seq] = std::move(data);
    records_.push_back(record);
  }

  const RingGeometry& geometry() const override { return geometry_; }
  Result<dmrc_state> state() override { return dmrc_state{}; }
  Result<Era> start(StreamId) override { return Era{}; }
  Status stop() override { return {}; }
  StreamId stream() const override { return StreamId{9}; }
  Seq first_unread() const override { return 1; }
  Seq reserved() const override { return records_.size(); }
  bool load(Seq seq, format::Record& record) const override {
    if (seq == 0 || seq > records_.size())
      return false;
    record = records_[seq - 1];
    return true;
  }
  Result<ByteView> data(const format::Record& record) const override {
    return format::has_data(record) ? ByteView(data_.at(record.seq)) : ByteView();
  }
  void set_freed(Seq) override {}
  void set_read(Seq) override {}
  int poll_fd() const override { return -1; }
  void request_wakeup(std::uint32_t) override {}
  void cancel_wakeup() override {}
  Status ack(Seq, std::uint64_t) override { return {}; }
  Result<Seq> set_sync(bool, bool, std::uint64_t) override { return Seq{0}; }
  Status throttle(std::uint32_t) override { return {}; }
  Result<CheckpointPut> checkpoint(std::uint64_t, std::uint64_t, Epoch) override { return CheckpointPut{}; }
  Status lift(std::uint64_t) override { return {}; }
  Status copy(VolumeNumber, std::uint64_t, std::uint32_t, std::uint32_t) override { return {}; }
  Result<Seq> put(format::RecordType, std::uint32_t) override { return Seq{0}; }

private:
  RingGeometry geometry_;
  std::vector<format::Record> records_;
  std::map<Seq, Bytes> data_;
};

} // namespace rc::io
