// SPDX-License-Identifier: GPL-2.0-or-later
// What really happened, known to nobody in the cluster: every write in its order, the image after each record
// of each stream, the image of each checkpoint, what was promised to the application. The checks compare the
// cluster's copies with it.
#pragma once

#include "format/lineage.hpp"
#include "format/record.hpp"
#include "tests/sim/image.hpp"
#include "tests/sim/violation.hpp"

#include <map>
#include <optional>
#include <vector>

namespace rc::sim {

struct GhostStream {
  StreamId id{};
  std::size_t order = 0; // of all streams of the history: 0, 1, 2...
  int host = 0;
  std::uint64_t generation = 0;
  std::uint64_t lineage_id = 0; // entry that its eras belong to
  std::vector<Image> images;    // [seq]: after the record; [0]: what the source held when it began
};

struct GhostCheckpoint {
  StreamId stream{};
  Seq marker = 0;
  bool judged = false; // its verdict is there
};

// All writes up to seq that completed while the copy at `host` was current: they must be in its takeover
// image.
struct Promise {
  std::size_t stream_order = 0;
  StreamId stream{};
  Seq seq = 0;
};

// A write and when it was issued and completed (0: not yet): W2 depends on W1 if W1 had completed when W2 was
// issued.
struct Dated {
  std::uint64_t generation = 0;
  int host = 0;
  std::size_t stream_order = 0; // seq 0: not captured, after this stream
  Seq seq = 0;
  std::uint64_t issued = 0;
  std::uint64_t completed = 0;
};

// The newest write that the life named by a lineage entry has completed.
struct Completed {
  std::size_t stream_order = 0;
  StreamId stream{};
  Seq seq = 0;
  bool uncaptured = false; // after it writes completed that no stream carries
};

class Ghost {
public:
  // Content of a record, for its data_crc.
  std::uint32_t add_payload(const Payload& payload) {
    payloads_.push_back(payload);
    return static_cast<std::uint32_t>(payloads_.size());
  }
  const Payload& payload(std::uint32_t name) const { return payloads_.at(name - 1); }

  void begin_stream(StreamId id, int host, std::uint64_t generation, std::uint64_t lineage_id,
                    const Image& base);
  // `image`: what the volumes hold with this record and all before it.
  void captured(StreamId id, const format::Record& record, const Image& image);
  const GhostStream* stream(StreamId id) const;
  const Image& image(StreamId id, Seq seq) const; // Violation when no such record was ever captured

  // Image of checkpoint `era` in the life named by the lineage entry; nullptr: there is none.
  const Image* checkpoint(std::uint64_t lineage_id, Era era) const;
  // The id of the entry that an era belongs to, 0: none.
  static std::uint64_t entry_of(const std::vector<format::LineageEntry>& lineage, Era era);
  Era last_checkpoint(std::uint64_t lineage_id) const;

  const GhostCheckpoint* find_checkpoint(std::uint64_t lineage_id, Era era) const;
  void completed(std::uint64_t lineage_id, StreamId stream, Seq seq); // seq 0: not captured, after `stream`
  const Completed* last_completed(std::uint64_t lineage_id) const;

  // `write`: a HostWrite. Between hosts: see Fleet.
  template <typename Write> void note_issue(const Write& write) {
    const GhostStream* found = stream(write.stream);
    if (!found)
      return; // before the first stream of this life
    dates_of_[&write] = dates_.size();
    dates_.push_back({found->generation, found->host, found->order, write.seq, write.issued, 0});
  }
  template <typename Write> void note_completion(const Write& write, std::uint64_t now) {
    const auto found = dates_of_.find(&write);
    if (found == dates_of_.end())
      return;
    dates_[found->second].completed = now;
    dates_of_.erase(found);
  }
  const std::vector<Dated>& dates() const { return dates_; }

  void promise(int host, StreamId stream, Seq seq);
  void forget_promises(int host) { promises_.erase(host); }
  const Promise* promised(int host) const {
    const auto found = promises_.find(host);
    return found == promises_.end() ? nullptr : &found->second;
  }
  std::size_t streams() const { return streams_.size(); }

private:
  std::vector<Payload> payloads_;
  std::vector<GhostStream> streams_;
  std::map<std::uint64_t, std::size_t> by_id_;
  std::map<std::pair<std::uint64_t, Era>, GhostCheckpoint> checkpoints_;
  std::map<int, Promise> promises_;
  std::map<std::uint64_t, Completed> completed_;
  std::vector<Dated> dates_;
  std::map<const void*, std::size_t> dates_of_; // of writes under way
};

} // namespace rc::sim
