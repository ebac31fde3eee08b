// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/copyset_founding.hpp"

#include "core/copyset_table.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace rc::core {
using format::CopysetTable;
using format::Seat;

namespace {

Error refused(std::string what, std::string next) {
  return {ErrorCode::Refused, std::move(what), std::move(next)};
}

std::vector<std::string> sorted(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  return names;
}

// The newest table that a seat of these groups has stored, and who holds its seats.
Result<std::optional<Founding>> found_before(const std::string& name, const std::vector<std::string>& groups,
                                             const std::vector<GroupSurvey>& surveys) {
  std::optional<Founding> found;
  for (const GroupSurvey& one : surveys) {
    if (!one.table)
      continue;
    if (one.table->name != name)
      return refused("group " + one.group + " belongs to copyset " + one.table->name + " already",
                     "leave it out");
    if (sorted(one.table->memberships.back().groups) != groups)
      return refused("copyset " + name + " exists with other groups (group " + one.group + " knows it)",
                     "rcctl copyset show " + name + "; a group can't join a copyset that exists");
    if (!found || one.table->epoch > found->table.epoch)
      found = Founding{*one.table, one.holders, true};
  }
  return found;
}

const GroupSurvey* primary_of(const std::vector<GroupSurvey>& surveys, const std::string& group) {
  for (const GroupSurvey& one : surveys)
    if (one.group == group && one.primary)
      return &one;
  return nullptr;
}

const char* mode_name(bool sync) { return sync ? "sync" : "async"; }

// Sync or async, and the group that said so first: the mode belongs to the site (docs/copyset.md).
using Modes = std::map<std::string, std::pair<bool, std::string>>;

Status check_group(const GroupSurvey& one, const GroupSurvey& first, Modes& modes) {
  if (!one.trouble.empty())
    return refused("group " + one.group + " on node " + one.node + " can't join now: " + one.trouble,
                   "rcctl status " + one.group + " on that node");
  if (one.site != first.site)
    return refused("the primaries of groups " + first.group + " and " + one.group +
                       " are at different sites, " + first.site + " and " + one.site,
                   "a copyset needs all of its primaries at one site");
  if (one.generation != first.generation)
    return refused("groups " + first.group + " and " + one.group + " are of different generations, " +
                       std::to_string(first.generation) + " and " + std::to_string(one.generation) +
                       ": their checkpoints can't have common numbers",
                   "make the one with the lower generation anew: delete its pairs, volumes and group");
  std::set<std::string> sites{one.site};
  for (const GroupSurvey::Copy& copy : one.copies) {
    if (!sites.insert(copy.site).second)
      return refused("group " + one.group + " has two copies at site " + copy.site,
                     "a site holds one copy of a group: rcctl pair delete " + one.group + " --to " +
                         copy.node + ", or correct the site with rcctl node add");
    const auto mode = modes.emplace(copy.site, std::pair(copy.sync, one.group)).first;
    if (mode->second.first != copy.sync)
      return refused(
          "at site " + copy.site + " the copy of group " + mode->second.second + " is " +
              mode_name(mode->second.first) + " and that of group " + one.group + " is " +
              mode_name(copy.sync),
          "a site is sync for all groups or for none: delete one of the pairs and create it with the other "
          "--mode");
  }
  if (one.copies.empty())
    return refused("group " + one.group + " has no pair: there is nobody to share checkpoints with",
                   "rcctl pair create " + one.group + " --to NODE --mode async ...");
  return {};
}

} // namespace

Result<Founding> found_copyset(const std::string& name, std::vector<std::string> groups,
                               const std::vector<GroupSurvey>& surveys) {
  groups = sorted(std::move(groups));
  auto before = found_before(name, groups, surveys);
  if (!before)
    return before.error();
  if (*before)
    return std::move(**before);

  Founding founding;
  Epoch epoch{};
  std::map<std::string, std::map<std::string, std::string>> nodes; // site -> group -> node
  const GroupSurvey* first = nullptr;
  Modes modes;
  for (const GroupSurvey& one : surveys) // of copies, too
    epoch = std::max(epoch, one.epoch);
  for (const std::string& group : groups) {
    const GroupSurvey* one = primary_of(surveys, group);
    if (!one)
      return refused("no node that this one can reach is the primary of group " + group,
                     "rcctl node add makes its node known here; rcctl list nodes shows the links");
    first = first ? first : one;
    if (Status good = check_group(*one, *first, modes); !good)
      return good.error();
    nodes[one->site][group] = one->node;
    for (const GroupSurvey::Copy& copy : one->copies)
      nodes[copy.site][group] = copy.node;
  }
  founding.table.name = name;
  founding.table.epoch = Epoch{epoch.value + 1};
  founding.table.memberships = {{founding.table.epoch, groups}};
  for (const auto& [site, holders] : nodes) {
    for (const std::string& group : groups) {
      const auto holder = holders.find(group);
      if (holder == holders.end())
        return refused("site " + site + " holds no copy of group " + group +
                           ": no checkpoint could ever be whole there",
                       "rcctl pair create " + group +
                           " --to NODE of that site, or delete the other groups' "
                           "pairs with it");
      founding.table.seats.push_back({group, site});
      const auto place = site == first->site ? founding.holders.begin() : founding.holders.end();
      founding.holders.insert(place, {{group, site}, holder->second});
    }
    founding.table.masters.push_back({groups.front(), site});
  }
  // The registrar survives what a copyset is there for: the loss of the primary site.
  const auto away = std::find_if(founding.table.masters.begin(), founding.table.masters.end(),
                                 [&](const Seat& seat) { return seat.site != first->site; });
  founding.table.registrar = *away;
  if (const std::string problem = problem_of(founding.table); !problem.empty())
    return Error{ErrorCode::Failed, "the table of copyset " + name + " makes no sense: " + problem, ""};
  return founding;
}

const std::string* holder_of(const std::vector<SeatHolder>& holders, const Seat& seat) {
  for (const SeatHolder& one : holders)
    if (one.seat == seat)
      return &one.node;
  return nullptr;
}

} // namespace rc::core
