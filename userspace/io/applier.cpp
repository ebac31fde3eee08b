// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/applier.hpp"

#include "io/apply_plan.hpp"
#include "io/worker.hpp"

#include <algorithm>
#include <atomic>
#include <thread>

namespace rc::io {
namespace {

constexpr std::uint64_t sector_bytes = 512;
constexpr std::size_t run_bytes = 1 << 20; // adjacent pieces are gathered into writes of at most this size
constexpr std::size_t window_records = 65536;

using Applied = std::map<VolumeNumber, AppliedVolume>;

struct Run { // adjacent pieces, all data or all zeroes
  VolumeNumber volume = 0;
  std::span<const ApplyPiece> pieces;
  std::uint64_t sectors = 0;
};

std::vector<Run> runs_of(const ApplyPlan& plan) {
  std::vector<Run> runs;
  for (const auto& [volume, pieces] : plan.pieces)
    for (std::size_t begin = 0; begin < pieces.size();) {
      std::size_t end = begin + 1;
      std::uint64_t sectors = pieces[begin].sectors;
      while (end < pieces.size() && pieces[begin].data && pieces[end].data &&
             pieces[end].sector == pieces[end - 1].sector + pieces[end - 1].sectors &&
             (sectors + pieces[end].sectors) * sector_bytes <= run_bytes)
        sectors += pieces[end++].sectors;
      runs.push_back({volume, std::span(pieces).subspan(begin, end - begin), sectors});
      begin = end;
    }
  return runs;
}

Status write_run(Disk& disk, const Run& run, AlignedBuffer& buffer) {
  const std::uint64_t offset = run.pieces.front().sector * sector_bytes;
  const std::size_t bytes = static_cast<std::size_t>(run.sectors * sector_bytes);
  if (offset % disk.alignment() != 0 || bytes % disk.alignment() != 0)
    return Error{ErrorCode::Failed,
                 disk.name() + " has blocks of " + std::to_string(disk.alignment()) +
                     " bytes; the primary writes smaller ones",
                 "give the copy a device with blocks as small as the primary's"};
  if (!run.pieces.front().data)
    return disk.zero(offset, bytes, run.pieces.front().may_unmap);
  if (buffer.size() < bytes)
    buffer = AlignedBuffer(std::max(bytes, run_bytes));
  std::size_t at = 0;
  for (const auto& piece : run.pieces) {
    std::memcpy(buffer.data() + at, piece.data, piece.sectors * sector_bytes);
    at += piece.sectors * sector_bytes;
  }
  return disk.write(offset, buffer.view().first(bytes));
}

std::vector<format::Extent> extents_of(VolumeNumber volume, const std::map<std::uint64_t, Era>& regions,
                                       std::uint32_t region_sectors, std::uint64_t volume_sectors) {
  std::vector<format::Extent> extents;
  for (const auto& [region, era] : regions) {
    const std::uint64_t sector = region * region_sectors;
    const std::uint64_t sectors = std::min<std::uint64_t>(region_sectors, volume_sectors - sector);
    if (!extents.empty() && extents.back().era == era &&
        extents.back().sector + extents.back().sectors == sector)
      extents.back().sectors += sectors;
    else
      extents.push_back({.volume = volume, .sector = sector, .sectors = sectors, .era = era});
  }
  return extents;
}

class JournalApplier : public Applier {
public:
  JournalApplier(Executor executor, ApplierOptions options)
      : executor_(std::move(executor)), options_(options), state_(std::make_shared<State>()),
        worker_("rc-apply") {}

  ~JournalApplier() override {
    state_->gone = true;
    stopping_ = true;
  }

  void apply(Job job, std::function<void(Result<ApplyResult>)> done,
             std::function<void(std::uint64_t)> progress) override {
    const auto segments = job.journal->segments(); // asked on the owner's thread
    worker_.run([this, job = std::make_shared<Job>(std::move(job)), segments, done = std::move(done),
                 progress = std::move(progress)] {
      auto result = std::make_shared<Result<ApplyResult>>(run(*job, segments, progress));
      tell([done, result] { done(std::move(*result)); });
    });
  }

private:
  struct State {
    std::atomic<bool> gone{false};
  };

  void tell(std::function<void()> function) {
    post(executor_, [state = state_, function = std::move(function)] {
      if (!state->gone)
        function();
    });
  }

  Result<ApplyResult> run(const Job& job, const std::vector<JournalSegment>& segments,
                          const std::function<void(std::uint64_t)>& progress) {
    ApplyResult result;
    Applied applied;
    bool reached = false;
    for (const auto& segment : segments) {
      // A stream may lie in two stretches; the last one that is needed holds job.last.
      const bool is_last = segment.stream == job.stream && job.last <= segment.last;
      const Seq last = is_last ? job.last : segment.last;
      for (Seq next = segment.first; next <= last;) {
        if (stopping_)
          return Error{ErrorCode::Again, "apply: stopped", ""};
        auto window = job.journal->read(segment.stream, next, last, options_.window_bytes, window_records);
        if (!window)
          return window.error().because("apply");
        next = window->records.back().seq + 1;
        if (Status done = apply_window(job, *window, applied, result); !done)
          return done.error().because("apply");
        if (progress)
          tell([progress, bytes = result.data_bytes] { progress(bytes); });
      }
      if (is_last) {
        reached = true;
        break;
      }
    }
    if (!reached)
      return Error{ErrorCode::NotFound, "apply: the journal does not hold the stream to be applied", ""};
    for (const auto& [volume, part] : applied) {
      const auto extents =
          settle_extents(volume, part, options_.region_sectors, job.volume_sectors.at(volume));
      if (Status settled = job.control->settle(volume, extents, job.redo); !settled)
        return settled.error().because("apply: closing the regions of volume " + std::to_string(volume));
      result.regions += part.regions.size();
    }
    return result;
  }

  Status apply_window(const Job& job, const format::RecordsMessage& window, Applied& applied,
                      ApplyResult& result) {
    const auto plan = plan_apply(window, options_.region_sectors, job.volume_sectors);
    if (!plan)
      return plan.error();
    result.records += window.records.size();
    result.data_bytes += plan->data_bytes;
    // Open on stable storage before a byte of it changes.
    for (const auto& [volume, touched] : plan->regions) {
      std::map<std::uint64_t, Era> cold;
      for (const auto& [region, era] : touched) {
        const auto [known, is_new] = applied[volume].regions.try_emplace(region, era);
        if (is_new)
          cold.emplace(region, Era{});
        else
          known->second = std::max(known->second, era);
      }
      if (cold.empty())
        continue;
      const auto extents = extents_of(volume, cold, options_.region_sectors, job.volume_sectors.at(volume));
      if (Status marked = job.control->mark(volume, extents); !marked)
        return marked.error().because("opening the regions of volume " + std::to_string(volume));
    }
    for (const auto& [volume, pieces] : plan->pieces)
      for (const ApplyPiece& piece : pieces)
        applied[volume].sectors.add(piece.sector, piece.sector + piece.sectors, [](auto, auto) {});
    return write_all(job, runs_of(*plan), result);
  }

  // The runs of a window do not overlap, so their order does not matter.
  Status write_all(const Job& job, const std::vector<Run>& runs, ApplyResult& result) {
    std::atomic<std::size_t> next{0};
    std::atomic<bool> failed{false};
    std::mutex mutex;
    Status status;
    const auto writer = [&] {
      AlignedBuffer buffer;
      for (std::size_t i = next++; i < runs.size() && !failed; i = next++) {
        const auto disk = job.volumes.find(runs[i].volume);
        const Status done =
            disk == job.volumes.end()
                ? Status(Error{ErrorCode::Failed,
                               "no backing device for volume " + std::to_string(runs[i].volume), ""})
                : write_run(*disk->second, runs[i], buffer);
        if (!done) {
          failed = true;
          const std::lock_guard lock(mutex);
          status = done;
        }
      }
    };
    const std::size_t helpers = std::min<std::size_t>(options_.writers, runs.size() / 4);
    std::vector<std::thread> threads;
    for (std::size_t i = 1; i < helpers; i++)
      threads.emplace_back([&] {
        begin_thread("rc-apply-io");
        writer();
      });
    writer();
    for (auto& thread : threads)
      thread.join();
    for (const auto& run : runs)
      result.written_bytes += run.sectors * sector_bytes;
    return status;
  }

  const Executor executor_;
  const ApplierOptions options_;
  std::shared_ptr<State> state_;
  std::atomic<bool> stopping_{false};
  Worker worker_; // last: its thread uses the rest
};

} // namespace

std::unique_ptr<Applier> Applier::create(Executor executor, ApplierOptions options) {
  return std::make_unique<JournalApplier>(std::move(executor), options);
}

} // namespace rc::io
