// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/sim/region_map.hpp"

#include <algorithm>

namespace rc::sim {

RegionMap::RegionMap(Shape shape, Hooks hooks)
    : shape_(shape), hooks_(std::move(hooks)), words_(count()), stable_(count()) {}

void RegionMap::push(Write write) {
  queue_.push_back(std::move(write));
  if (!writing_)
    begin_next();
}

void RegionMap::begin_next() {
  if (queue_.empty())
    return;
  writing_ = true;
  queue_.front().prepare();
  std::sort(dirty_.begin(), dirty_.end());
  dirty_.erase(std::unique(dirty_.begin(), dirty_.end()), dirty_.end());
  under_way_.clear();
  for (const auto index : dirty_) {
    const Region& word = words_[index];
    under_way_.push_back({index, {word.era, word.open || word.closing}});
  }
  dirty_.clear();
  super_under_way_ = super_;
  hooks_.later(hooks_.write_time(), [this] {
    for (const auto& [index, value] : under_way_) {
      stable_[index] = value;
      if (value.open && !words_[index].open) {
        words_[index].open = true;
        words_[index].closing = false;
      }
    }
    under_way_.clear();
    stable_super_ = super_under_way_;
    const auto done = std::move(queue_.front().done);
    queue_.pop_front();
    writing_ = false;
    if (done)
      done();
    if (!writing_)
      begin_next();
  });
}

void RegionMap::open(std::vector<std::uint32_t> regions, std::function<void()> done) {
  push({[this, regions = std::move(regions)] {
          for (const auto index : regions)
            if (!words_[index].open) {
              words_[index].closing = true;
              mark_dirty(index);
            }
        },
        std::move(done)});
}

void RegionMap::close_picked(std::function<void()> done) {
  push({[this] {
          for (std::uint32_t index = 0; index < count(); ++index) {
            Region& word = words_[index];
            if (!word.open || !word.closing)
              continue;
            word.closing = false;
            if (word.sticky)
              continue;
            word.open = false;
            mark_dirty(index);
          }
        },
        std::move(done)});
}

void RegionMap::settle(std::vector<format::Extent> extents, bool redo, std::function<void()> done) {
  push({[this, extents = std::move(extents), redo] {
          std::vector<std::uint32_t> met;
          for (const auto& extent : extents) {
            const std::uint64_t first = extent.sector / region_sectors;
            const std::uint64_t last = (extent.sector + extent.sectors - 1) / region_sectors;
            for (std::uint64_t r = first; r <= last; ++r) {
              const auto at = index(extent.volume, static_cast<std::uint32_t>(r));
              Region& word = words_[at];
              const bool whole = extent.sector <= r * region_sectors &&
                                 extent.sector + extent.sectors >= (r + 1) * region_sectors;
              Era era = extent.era;
              if (!whole || word.touched)
                era = std::max(era, word.era);
              if (!(word.sticky && !whole && !redo)) {
                word.open = word.sticky = false;
                word.closing = false;
              }
              word.era = era;
              word.touched = true;
              met.push_back(at);
              mark_dirty(at);
            }
          }
          for (const auto at : met)
            words_[at].touched = false;
        },
        std::move(done)});
}

void RegionMap::store_super(std::function<void(Super&)> change, std::function<void()> done) {
  push({[this, change = std::move(change)] { change(super_); }, std::move(done)});
}

void RegionMap::adopt(bool primary, Era era) {
  for (Region& word : words_) {
    if (!word.open)
      continue;
    if (primary) {
      word = {std::max(word.era, era), true, false, true, false};
    } else {
      word.sticky = true;
    }
  }
}

void RegionMap::close_all_now() {
  for (std::uint32_t index = 0; index < count(); ++index) {
    Region& word = words_[index];
    if (!word.open || word.sticky)
      continue;
    word = {word.era, false, false, false, false};
    stable_[index] = {word.era, false};
  }
}

Era RegionMap::max_era() const {
  Era highest{};
  for (const Region& word : words_)
    highest = std::max(highest, word.era);
  return highest;
}

std::vector<format::Extent> RegionMap::dirty(Era since) const {
  std::vector<format::Extent> extents;
  for (std::uint32_t v = 0; v < shape_.volumes; ++v)
    for (std::uint32_t r = 0; r < shape_.regions; ++r) {
      const Region& word = words_[index(v, r)];
      const Era era = word.open || word.closing ? Era::open() : word.era;
      if (era.value == 0 || era <= since)
        continue;
      const std::uint64_t sector = std::uint64_t{r} * region_sectors;
      if (!extents.empty() && extents.back().volume == v && extents.back().era == era &&
          extents.back().sector + extents.back().sectors == sector)
        extents.back().sectors += region_sectors;
      else
        extents.push_back({static_cast<VolumeNumber>(v), sector, region_sectors, era});
    }
  return extents;
}

bool RegionMap::settled(std::uint32_t volume, std::uint32_t region, const Disk& disk) const {
  if (stable_[index(volume, region)].open)
    return true;
  for (std::uint32_t b = 0; b < region_blocks; ++b)
    if (disk.unflushed(block_index(volume, region * region_blocks + b)))
      return false;
  return true;
}

void RegionMap::power_cut(Random& random) {
  if (writing_) {
    for (const auto& [index, value] : under_way_)
      if (random.chance(0.5))
        stable_[index] = value;
    if (random.chance(0.5))
      stable_super_ = super_under_way_;
  }
  queue_.clear();
  writing_ = false;
  under_way_.clear();
  dirty_.clear();
  super_ = stable_super_;
  for (std::uint32_t index = 0; index < count(); ++index)
    words_[index] = {stable_[index].era, stable_[index].open, false, false, false};
}

const char* to_string(ModelMutation mutation) {
  switch (mutation) {
  case ModelMutation::None:
    return "none";
  case ModelMutation::CaptureBeforeOpen:
    return "model_capture_before_open";
  case ModelMutation::CloseWithoutFlush:
    return "model_close_without_flush";
  case ModelMutation::EraNotStable:
    return "model_era_not_stable";
  case ModelMutation::ApplyBeforeMark:
    return "model_apply_before_mark";
  }
  return "?";
}

ModelMutation model_mutation_from(const std::string& name) {
  for (const auto mutation : {ModelMutation::CaptureBeforeOpen, ModelMutation::CloseWithoutFlush,
                              ModelMutation::EraNotStable, ModelMutation::ApplyBeforeMark})
    if (name == to_string(mutation))
      return mutation;
  return ModelMutation::None;
}

} // namespace rc::sim
