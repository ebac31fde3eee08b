// SPDX-License-Identifier: GPL-2.0-or-later
// The agreement rule. Everything that compares two copies comes here; nothing else compares eras of two
// sites.
#include "core/lineage.hpp"

#include "core/mutation.hpp"

#include <algorithm>

namespace rc::core {
namespace {

bool same_entry(const format::LineageEntry& a, const format::LineageEntry& b) {
  if (mutated(Mutation::GenerationWithoutId))
    return a.generation == b.generation;
  return a == b;
}

std::size_t common_entries(const std::vector<format::LineageEntry>& a,
                           const std::vector<format::LineageEntry>& b) {
  const std::size_t most = std::min(a.size(), b.size());
  std::size_t common = 0;
  while (common < most && same_entry(a[common], b[common]))
    ++common;
  return common;
}

// Where the copy left the last of `common` common entries.
Era left_at(const format::Position& position, std::size_t common) {
  return position.lineage.size() > common ? position.lineage[common].base : position.applied;
}

} // namespace

Agreement agree(const format::Position& source, const format::Position& copy) {
  if (source.lineage.empty() || copy.lineage.empty())
    return {Relation::Blank, Era{}};
  if (mutated(Mutation::BareNumbers))
    return {Relation::Same, std::min(source.applied, copy.applied)};
  const std::size_t common = common_entries(source.lineage, copy.lineage);
  if (common == 0)
    return {Relation::Unrelated, Era{}};
  const bool source_on = source.lineage.size() > common;
  const bool copy_on = copy.lineage.size() > common;
  const Relation relation = source_on && copy_on ? Relation::Branched
                            : source_on          ? Relation::SourceAhead
                            : copy_on            ? Relation::CopyAhead
                                                 : Relation::Same;
  return {relation, std::min(left_at(source, common), left_at(copy, common))};
}

std::uint64_t newest_generation(const std::vector<format::LineageEntry>& lineage) {
  std::uint64_t newest = 0;
  for (const auto& entry : lineage)
    newest = std::max(newest, entry.generation);
  return newest;
}

FeedCheck may_feed(const format::Position& source, const format::Position& copy) {
  if (copy.lineage.empty())
    return {};
  switch (agree(source, copy).relation) {
  case Relation::Blank:
  case Relation::Same:
  case Relation::SourceAhead:
    return {};
  case Relation::Unrelated:
    return {false, false,
            "the copy holds another history (" + to_string(copy.lineage) + "), not one of " +
                to_string(source.lineage),
            "remove the pair and create it again if the copy's data is not needed"};
  case Relation::CopyAhead:
    return {false, true,
            "the copy knows a newer generation (" + to_string(copy.lineage) + "): another site took over",
            "do not write here: make this node a secondary of the new primary"};
  case Relation::Branched:
    break;
  }
  const std::uint64_t source_newest = newest_generation(source.lineage);
  const std::uint64_t copy_newest = newest_generation(copy.lineage);
  if (copy_newest > source_newest)
    return {false, true,
            "the copy knows a newer generation on another branch (" + to_string(copy.lineage) + ")",
            "do not write here: make this node a secondary of the new primary"};
  if (copy_newest == source_newest)
    return {false, false,
            "two sites took over independently (" + to_string(source.lineage) + " and " +
                to_string(copy.lineage) + ")",
            "decide which branch is lost and make its node a secondary by command"};
  return {}; // the copy's branch was given up when its node was made a secondary by command
}

std::string to_string(const std::vector<format::LineageEntry>& lineage) {
  if (lineage.empty())
    return "blank";
  std::string text;
  for (const auto& entry : lineage) {
    if (!text.empty())
      text += ' ';
    text += std::to_string(entry.generation) + '@' + entry.site;
    if (entry.base.value != 0)
      text += "(base " + rc::to_string(entry.base) + ')';
  }
  return text;
}

} // namespace rc::core
