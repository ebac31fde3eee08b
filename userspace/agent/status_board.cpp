// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/status_board.hpp"

#include "agent/clock.hpp"
#include "agent/version.hpp"
#include "base/log.hpp"

namespace rc::agent {
namespace {

constexpr std::size_t readings_kept = 11; // one a second: about ten seconds

std::string key_of(const control::PairStatus& pair) { return pair.group + "@" + pair.target; }

} // namespace

StatusBoard::StatusBoard(Context& context, Peers& peers, Groups& groups, const Copysets& copysets)
    : context_(context), peers_(peers), groups_(groups), copysets_(copysets) {}

control::StatusReply StatusBoard::report(const std::string& only) {
  control::StatusReply reply;
  reply.time = io::utc_now();
  reply.node = context_.config.node;
  reply.site = context_.config.site;
  reply.version = product_version;
  const auto topology = context_.inventory.load();
  if (!topology) {
    log::error("cannot read the inventory: " + topology.error().text());
    return reply;
  }
  for (const auto& row : topology->groups) {
    if (!only.empty() && row.name != only)
      continue;
    control::GroupStatus group;
    group.name = row.name;
    group.role = row.role;
    group.primary_node = row.primary_node;
    group.generation = row.generation;
    groups_.fill_status(row.name, group);
    copysets_.fill_status(row.name, group);
    for (const auto& volume : topology->volumes)
      if (volume.group == row.name && volume.node == context_.config.node) {
        control::VolumeStatus status;
        status.name = volume.name;
        status.number = volume.number;
        status.bytes = volume.bytes;
        status.path = control::device_path(volume.group, volume.name);
        status.device = volume.device;
        status.update_in_progress = group.state == control::GroupState::Updating;
        group.volumes.push_back(std::move(status));
      }
    for (auto& pair : group.pairs)
      add_rates(pair);
    reply.groups.push_back(std::move(group));
  }
  for (const auto& node : topology->nodes)
    if (!node.self)
      reply.links.push_back(peers_.status(node.name));
  return reply;
}

void StatusBoard::add_rates(control::PairStatus& pair) {
  const auto found = readings_.find(key_of(pair));
  if (found == readings_.end() || found->second.empty())
    return;
  const Reading& old = found->second.front();
  const double seconds = static_cast<double>(now().boot_ns - old.boot_ns) / 1e9;
  if (seconds <= 0)
    return;
  if (pair.progress && old.bytes_left > pair.progress->bytes_left) {
    pair.progress->bytes_per_second =
        static_cast<double>(old.bytes_left - pair.progress->bytes_left) / seconds;
    pair.progress->seconds_left =
        static_cast<double>(pair.progress->bytes_left) / pair.progress->bytes_per_second;
  }
  if (pair.journal && pair.journal->used > old.journal_used) {
    const double rate = static_cast<double>(pair.journal->used - old.journal_used) / seconds;
    pair.journal->seconds_to_full = static_cast<double>(pair.journal->bytes - pair.journal->used) / rate;
  }
}

void StatusBoard::take_reading(const control::PairStatus& pair) {
  auto& readings = readings_[key_of(pair)];
  const std::uint64_t left = pair.progress ? pair.progress->bytes_left : 0;
  if (!readings.empty() && left > readings.back().bytes_left)
    readings.clear(); // another resync
  readings.push_back({now().boot_ns, left, pair.journal ? pair.journal->used : 0});
  if (readings.size() > readings_kept)
    readings.pop_front();
}

void StatusBoard::refresh() {
  auto status = report("");
  for (const auto& group : status.groups)
    for (const auto& pair : group.pairs)
      take_reading(pair);
  context_.writer->store(std::move(status));
}

int StatusBoard::follow(std::function<void()> follower) {
  followers_.emplace(next_id_, std::move(follower));
  return next_id_++;
}

void StatusBoard::unfollow(int id) { followers_.erase(id); }

void StatusBoard::changed() {
  if (telling_)
    return;
  telling_ = true;
  io::post(context_.executor(), [this] {
    telling_ = false;
    refresh();
    const auto followers = followers_;
    for (const auto& [id, follower] : followers)
      if (followers_.contains(id))
        follower();
  });
}

} // namespace rc::agent
