// SPDX-License-Identifier: GPL-2.0-or-later
// Brings a stretch of the journal into the copy's backing devices: mark, write, flush, settle. Decides
// nothing: the owner has stored the release and set update in progress before, and stores the position after.
// Idempotent: after a crash the same stretch is applied again.
//
// Newest bytes win within the stretch; what ends up not overlapping is written in parallel. Zeroes and
// discards are applied as zeroes. Each region is settled with the highest era among its records (a copy
// record brings its source's). Threads: its own thread and a few writers; `done` and `progress` are posted to
// the owner's executor.
#pragma once

#include "io/journal.hpp"
#include "io/volume_control.hpp"

#include <map>

namespace rc::io {

struct ApplyResult {
  std::uint64_t records = 0;
  std::uint64_t data_bytes = 0;    // in the records
  std::uint64_t written_bytes = 0; // to the backing devices, after overwritten bytes were left out
  std::uint64_t regions = 0;
};

struct ApplierOptions {
  std::uint32_t region_sectors = 2048; // of the group (RingGeometry)
  std::size_t window_bytes = 8 << 20;  // read, merged and written at a time
  unsigned writers = 4;
};

class Applier {
public:
  static std::unique_ptr<Applier> create(Executor executor, ApplierOptions options = {});
  virtual ~Applier() = default; // gives up after the current window; `done` is not called then

  struct Job {
    std::shared_ptr<Journal> journal;
    std::shared_ptr<VolumeControl> control;
    std::map<VolumeNumber, std::shared_ptr<Disk>> volumes; // backing devices
    std::map<VolumeNumber, std::uint64_t>
        volume_sectors; // size of the volume on it; records beyond are Corrupt
    StreamId stream{};  // everything from the journal's beginning through this record, all segments
    Seq last = 0;
    bool redo = false; // an interrupted apply is done again from its start: closes what a crash left open
  };
  // One job at a time; a second one waits. An Error means: the copy is neither old nor new, update in
  // progress stays set, and the job must be repeated.
  virtual void apply(Job job, std::function<void(Result<ApplyResult>)> done,
                     std::function<void(std::uint64_t done_bytes)> progress = {}) = 0;
};

} // namespace rc::io
