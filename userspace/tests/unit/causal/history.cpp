// SPDX-License-Identifier: GPL-2.0-or-later
#include "history.hpp"

#include <algorithm>

namespace rc::causal::test {
namespace {
constexpr std::size_t none = ~0ULL;
constexpr std::uint64_t time_step = 1'000'000;
} // namespace

Shape small_shape(std::uint16_t hosts, std::uint16_t lanes, std::uint16_t devices, std::uint32_t span) {
  return {.run = 77,
          .seed = 5,
          .hosts = hosts,
          .lanes = lanes,
          .devices = devices,
          .sizes = 1 << 3,
          .span = span};
}

History::History(const Shape& shape, std::size_t writes, std::uint64_t seed)
    : shape_(shape), at_place_(shape.place_total()), in_flight_(shape.lane_total(), none),
      known_(shape.hosts, Clock(shape.lane_total())), seen_(shape.hosts) {
  std::mt19937_64 random(seed);
  while (writes_.size() < writes) {
    const auto lane = static_cast<std::uint32_t>(random() % shape_.lane_total());
    if (in_flight_[lane] == none)
      issue(lane);
    else if (random() % 2)
      complete(in_flight_[lane]);
    if (shape_.hosts > 1 && random() % 4 == 0) { // a message from one host to another
      const std::size_t from = random() % shape_.hosts;
      const std::size_t to = random() % shape_.hosts;
      seen_[to].resize(writes_.size());
      for (std::size_t i = 0; i < seen_[from].size(); i++)
        seen_[to][i] = seen_[to][i] || seen_[from][i];
      for (std::size_t i = 0; i < known_[to].size(); i++)
        known_[to][i] = std::max(known_[to][i], known_[from][i]);
    }
  }
}

void History::issue(std::uint32_t lane) {
  const std::size_t host = lane / shape_.lanes;
  Ghost write;
  write.block = {.shape = shape_, .id = {lane, known_[host][lane] + 1}, .place = {}, .clock = known_[host]};
  write.block.place = shape_.place_of(write.block.id);
  for (const std::size_t other : in_flight_)
    if (other != none && writes_[other].block.place == write.block.place)
      return; // as the board does: it waits for the other
  write.block.issued_ns = time_step * (completions_.size() + 1);
  write.before = seen_[host];
  auto& there = at_place_[index_of(write)];
  write.turn = there.size();
  there.push_back(writes_.size());
  in_flight_[lane] = writes_.size();
  writes_.push_back(std::move(write));
}

void History::complete(std::size_t index) {
  Ghost& write = writes_[index];
  const std::size_t host = write.block.id.lane / shape_.lanes;
  write.completed = completions_.size();
  completions_.push_back(index);
  known_[host][write.block.id.lane] = write.block.id.number;
  seen_[host].resize(writes_.size());
  seen_[host][index] = true;
  in_flight_[write.block.id.lane] = none;
}

AckLog History::log() const {
  AckLog log{.shape = shape_,
             .started_ns = time_step,
             .completions = {},
             .acked = std::vector<std::uint32_t>(shape_.lane_total())};
  for (std::size_t i = 0; i < completions_.size(); i++) {
    const Block& block = writes_[completions_[i]].block;
    log.completions.push_back({.id = block.id, .place = block.place, .done_ns = time_step * (i + 2)});
    log.acked[block.id.lane] = block.id.number;
  }
  return log;
}

History::Cut History::everything() const {
  Cut cut;
  for (const auto& there : at_place_)
    cut.push_back(there.size());
  return cut;
}

History::Cut History::up_to(const std::vector<bool>& kept) const {
  Cut cut = nothing();
  for (std::size_t i = 0; i < writes_.size(); i++)
    if (kept[i])
      cut[index_of(writes_[i])] = std::max(cut[index_of(writes_[i])], writes_[i].turn + 1);
  return cut;
}

Image History::image(const Cut& cut) const {
  Image image(shape_);
  for (Place place; place.device < shape_.device_total(); place.device++)
    for (place.slot = 0; place.slot < shape_.span; place.slot++) {
      const std::uint64_t at = shape_.place_index(place);
      if (cut[at] == 0)
        image.put(place, {});
      else
        image.put(place, {Found::Whole, writes_[at_place_[at][cut[at] - 1]].block, {}});
    }
  return image;
}

bool History::is_causal(const Cut& cut) const {
  for (const Ghost& write : writes_) {
    if (!holds(cut, write))
      continue;
    for (std::size_t i = 0; i < write.before.size(); i++)
      if (write.before[i] && !holds(cut, writes_[i]))
        return false;
  }
  return true;
}

} // namespace rc::causal::test
