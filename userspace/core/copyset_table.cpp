// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/copyset_table.hpp"

#include <algorithm>
#include <set>

namespace rc::core {
using format::CopysetTable;
using format::Seat;

namespace {
constexpr std::size_t memberships_kept = 16;

bool has(const std::vector<Seat>& seats, const Seat& seat) {
  return std::find(seats.begin(), seats.end(), seat) != seats.end();
}
} // namespace

std::string problem_of(const CopysetTable& table) {
  if (table.name.empty() || table.epoch.value == 0)
    return "a table without name or epoch";
  if (std::set<Seat>(table.seats.begin(), table.seats.end()).size() != table.seats.size())
    return "a seat is named twice";
  if (!has(table.seats, table.registrar))
    return "the registrar " + to_string(table.registrar) + " is no seat";
  std::set<std::string> sites, mastered, groups;
  for (const Seat& seat : table.seats) {
    sites.insert(seat.site);
    groups.insert(seat.group);
  }
  for (const Seat& master : table.masters) {
    if (!has(table.seats, master))
      return "the master " + to_string(master) + " is no seat";
    if (!mastered.insert(master.site).second)
      return "site " + master.site + " has two masters";
  }
  if (mastered != sites)
    return "a site has no master";
  if (table.memberships.empty())
    return "no group is in the image";
  Epoch before{};
  for (const format::Membership& membership : table.memberships) {
    if (membership.since <= before || membership.since > table.epoch || membership.groups.empty())
      return "memberships are not in order";
    before = membership.since;
  }
  for (const std::string& group : table.memberships.back().groups)
    if (!groups.count(group))
      return "group " + group + " is in the image and has no seat";
  return {};
}

std::string problem_of_swap(const CopysetTable& now, const CopysetTable& next) {
  if (next.name != now.name)
    return "the table of another copyset";
  if (next.epoch.value != now.epoch.value + 1)
    return "epoch " + std::to_string(next.epoch.value) + " does not follow " +
           std::to_string(now.epoch.value);
  return problem_of(next);
}

std::vector<Seat> seats_of(const CopysetTable& table, const std::string& site) {
  std::vector<Seat> seats;
  for (const Seat& seat : table.seats)
    if (seat.site == site)
      seats.push_back(seat);
  return seats;
}

const Seat* master_of(const CopysetTable& table, const std::string& site) {
  for (const Seat& master : table.masters)
    if (master.site == site)
      return &master;
  return nullptr;
}

const std::vector<std::string>* groups_at(const CopysetTable& table, Epoch epoch) {
  const std::vector<std::string>* groups = nullptr;
  for (const format::Membership& membership : table.memberships)
    if (membership.since <= epoch)
      groups = &membership.groups;
  return epoch > table.epoch ? nullptr : groups;
}

CopysetTable without(const CopysetTable& table, const std::string& group) {
  CopysetTable next = table;
  next.epoch.value++;
  format::Membership membership{next.epoch, table.memberships.back().groups};
  std::erase(membership.groups, group);
  next.memberships.push_back(membership);
  if (next.memberships.size() > memberships_kept)
    next.memberships.erase(next.memberships.begin());
  const auto replace = [&](Seat& seat) {
    if (seat.group != group)
      return;
    for (const Seat& other : table.seats)
      if (other.site == seat.site && other.group != group) {
        seat = other;
        return;
      }
  };
  for (Seat& master : next.masters)
    replace(master);
  replace(next.registrar);
  return next;
}

} // namespace rc::core
