// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/witnesses.hpp"

#include "agent/knowledge_json.hpp"
#include "core/lineage.hpp"

#include <algorithm>

namespace rc::agent {

namespace {

constexpr auto patience = std::chrono::seconds(5);
constexpr const char* site_method = "copyset.witness";

std::uint64_t newest_known(const control::Json& told) {
  const auto knowledge = knowledge_from_json(told);
  const auto generation = told.find("generation");
  return std::max(
      {knowledge.copy ? core::newest_generation(knowledge.copy->position.lineage) : 0,
       knowledge.source ? core::newest_generation(knowledge.source->lineage) : 0,
       generation != told.end() && generation->is_number_unsigned() ? generation->get<std::uint64_t>() : 0});
}

} // namespace

struct Witnesses::Round {
  std::string group;
  std::size_t open = 1;
  std::uint64_t generation = 0;     // this node's
  std::vector<std::string> silent;  // nodes that could not be asked
  std::vector<std::string> holders; // of copies, or of groups that took over with it; they know nothing newer
  std::string newer;                // a node that knows a newer generation
  std::uint64_t newer_generation = 0;
};

Witnesses::Witnesses(Context& context, Peers& peers, NodeCalls& calls, Groups& groups, Copysets& copysets)
    : context_(context), peers_(peers), calls_(calls), groups_(groups), copysets_(copysets) {
  calls_.serve(site_method,
               [this](const std::string&, const control::Json& asked, const NodeCalls::Answer& answer) {
                 const auto entry = asked.is_object() ? asked.find("entry") : asked.end();
                 const bool known = entry != asked.end() && entry->is_number_unsigned();
                 answer(control::Json{
                     {"stands", known && stands(text_of(asked, "copyset"), entry->get<std::uint64_t>())}});
               });
}

void Witnesses::tick() {
  const auto topology = context_.inventory.load();
  if (!topology)
    return;
  for (const auto& group : topology->groups)
    if (const SourceRuntime* source = groups_.source(group.name);
        source && source->needs_witness() && !asking_.contains(group.name))
      ask(group.name, *topology);
}

void Witnesses::ask(const std::string& group, const io::Topology& topology) {
  asking_.insert(group);
  auto round = std::make_shared<Round>();
  round->group = group;
  round->generation = core::newest_generation(groups_.lineage(group));
  const auto answered = [this, round] {
    if (--round->open != 0)
      return;
    asking_.erase(round->group);
    conclude(*round);
  };
  for (const auto& node : topology.nodes) {
    if (node.self)
      continue;
    if (!peers_.link(node.name)) {
      round->silent.push_back(node.name);
      continue;
    }
    round->open++;
    calls_.call(
        node.name, "group.knowledge", {{"group", group}},
        [round, answered, name = node.name](const Result<control::Json>& told) {
          if (!told && told.error().code != ErrorCode::NotFound) {
            round->silent.push_back(name);
          } else if (told && told->is_object()) {
            const std::uint64_t known = newest_known(*told);
            if (known > round->generation && known > round->newer_generation) {
              round->newer = name;
              round->newer_generation = known;
            } else if (told->contains("copy") && known != 0) {
              round->holders.push_back(name);
            }
          }
          answered();
        },
        patience);
  }
  ask_site(round, answered);
  answered();
}

void Witnesses::ask_site(const std::shared_ptr<Round>& round, const std::function<void()>& answered) {
  const format::CopysetTable* table = copysets_.table_of(round->group);
  const auto lineage = groups_.lineage(round->group);
  if (!table || lineage.empty())
    return;
  for (const auto& holder : copysets_.holders_of(table->name)) {
    if (holder.seat.site != context_.config.site || holder.node == context_.config.node ||
        !peers_.link(holder.node))
      continue;
    round->open++;
    calls_.call(
        holder.node, site_method, {{"copyset", table->name}, {"entry", lineage.back().id}},
        [round, answered, name = holder.node](const Result<control::Json>& told) {
          const auto stands =
              told && told->is_object() ? told->find("stands") : control::Json::const_iterator();
          if (told && told->is_object() && stands != told->end() && stands->is_boolean() &&
              stands->get<bool>())
            round->holders.push_back(name);
          answered();
        },
        patience);
  }
}

bool Witnesses::stands(const std::string& copyset, std::uint64_t entry) const {
  const auto holders = copysets_.holders_of(copyset);
  return std::any_of(holders.begin(), holders.end(), [&](const core::SeatHolder& holder) {
    const std::string& group = holder.seat.group;
    const SourceRuntime* source = holder.node == context_.config.node ? groups_.source(group) : nullptr;
    if (!source || holder.seat.site != context_.config.site)
      return false;
    const auto lineage = groups_.lineage(group);
    control::GroupStatus status;
    groups_.fill_status(group, status);
    return status.state == control::GroupState::Active && !lineage.empty() && lineage.back().id == entry;
  });
}

void Witnesses::conclude(const Round& round) {
  SourceRuntime* source = groups_.source(round.group);
  if (!source || !source->needs_witness())
    return;
  std::string silent;
  for (const auto& name : round.silent)
    silent += (silent.empty() ? "" : ", ") + name;
  const bool vouched = round.newer.empty() && (!round.holders.empty() || round.silent.empty());
  std::string what, next;
  if (!round.newer.empty()) {
    what = "node " + round.newer + " knows generation " + std::to_string(round.newer_generation) +
           ", another site took over";
    next = "see rcctl status " + round.group +
           " there; to make this node a copy: delete volumes and group here, " +
           "then rcctl pair create on the new primary";
  } else if (vouched) {
    what = round.holders.empty() ? "no other node holds a copy or knows a newer generation"
                                 : "node " + round.holders.front() + " knows no newer generation";
  } else {
    what = "this site took over and has no pair yet, and no node that holds a copy can be asked (no link "
           "to " +
           silent + ")";
    next = "connect it; or, when no other site took over: rcctl confirm " + round.group +
           " --force; rcctl node remove forgets a node that is gone for good";
  }
  if (vouched || told_[round.group] != what) {
    told_[round.group] = what;
    source->nodes_asked(vouched, what, next);
  }
}

} // namespace rc::agent
