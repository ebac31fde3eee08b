// SPDX-License-Identifier: GPL-2.0-or-later
// The region map of one host's volumes as the kernel keeps it (kmod/dm-rc-region.c): words in memory, what
// the metadata devices say, and the superblock's few fields. One metadata write at a time; a power cut makes
// the one under way whole or nothing, region by region.
//
// Invariant: `stable` changes only by a write that took time; words run ahead of it.
#pragma once

#include "format/extent.hpp"
#include "tests/sim/disk.hpp"
#include "tests/sim/image.hpp"
#include "tests/sim/scheduler.hpp"

#include <deque>
#include <functional>
#include <vector>

namespace rc::sim {

// Deliberate faults of this model: they show that the checks would see them in the kernel.
enum class ModelMutation { None, CaptureBeforeOpen, CloseWithoutFlush, EraNotStable, ApplyBeforeMark };
const char* to_string(ModelMutation mutation);
ModelMutation model_mutation_from(const std::string& name);

struct Region {
  Era era{};
  bool open = false;    // stable metadata says open
  bool closing = false; // being opened (not open yet), or picked for closing (open)
  bool touched = false;
  bool sticky = false; // only a whole copy or a redo can close it
};
struct StableRegion {
  Era era{};
  bool open = false;
};
struct Super {
  std::uint64_t generation = 0;
  Era ceiling{};
  bool update = false;
  bool alone = false;
  Era alone_since{};
};

class RegionMap {
public:
  // `later`: runs after a delay unless the power fails before. `write_time`: of the next metadata write.
  struct Hooks {
    std::function<void(Time, std::function<void()>)> later;
    std::function<Time()> write_time;
  };
  RegionMap(Shape shape, Hooks hooks);

  std::uint32_t count() const { return shape_.volumes * shape_.regions; }
  std::uint32_t index(std::uint32_t volume, std::uint32_t region) const {
    return volume * shape_.regions + region;
  }
  Region& word(std::uint32_t index) { return words_[index]; }
  const Region& word(std::uint32_t index) const { return words_[index]; }
  const StableRegion& stable(std::uint32_t index) const { return stable_[index]; }
  const Super& super() const { return super_; }               // as wanted
  const Super& stable_super() const { return stable_super_; } // as stored
  bool settled(std::uint32_t volume, std::uint32_t region, const Disk& disk) const;

  // Each queues one metadata write; `done` when it is stable.
  void open(std::vector<std::uint32_t> regions, std::function<void()> done);
  void close_picked(std::function<void()> done); // after the flush
  void settle(std::vector<format::Extent> extents, bool redo, std::function<void()> done);
  void store_super(std::function<void(Super&)> change, std::function<void()> done);

  void adopt(bool primary, Era era); // what a load makes of open regions
  void close_all_now();              // suspended: no write is under way and all is flushed
  Era max_era() const;
  std::vector<format::Extent> dirty(Era since) const;
  void power_cut(Random& random); // words are read from stable storage again

private:
  struct Write {
    std::function<void()> prepare; // chooses what is written, when the write begins
    std::function<void()> done;
  };
  void push(Write write);
  void begin_next();
  void mark_dirty(std::uint32_t index) { dirty_.push_back(index); }

  Shape shape_;
  Hooks hooks_;
  std::vector<Region> words_;
  std::vector<StableRegion> stable_;
  Super super_, stable_super_;
  std::deque<Write> queue_;
  bool writing_ = false;
  std::vector<std::uint32_t> dirty_; // words to be written by the write that begins
  std::vector<std::pair<std::uint32_t, StableRegion>> under_way_; // what it carries
  Super super_under_way_;
};

} // namespace rc::sim
