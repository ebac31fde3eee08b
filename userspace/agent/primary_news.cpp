// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/primary_news.hpp"

#include "agent/group_settings.hpp"
#include "agent/knowledge_json.hpp"
#include "base/log.hpp"
#include "core/lineage.hpp"
#include "format/control_check.hpp"

#include <algorithm>

namespace rc::agent {

using namespace rc::control;

namespace {

constexpr auto patience = std::chrono::seconds(5);

const io::GroupRow* row_of(const io::Topology& topology, const std::string& group) {
  for (const auto& row : topology.groups)
    if (row.name == group)
      return &row;
  return nullptr;
}

} // namespace

PrimaryNews::PrimaryNews(Context& context, Peers& peers, NodeCalls& calls, Groups& groups,
                         std::function<void()> changed)
    : context_(context), peers_(peers), calls_(calls), groups_(groups), changed_(std::move(changed)) {
  calls_.serve("group.primary", [this](const std::string& peer, const Json& news, NodeCalls::Answer answer) {
    hear(peer, news, std::move(answer));
  });
}

// ---- telling

Json PrimaryNews::news_of(const std::string& group, const io::Topology& topology) {
  GroupStatus status;
  if (!groups_.source(group))
    return {};
  groups_.fill_status(group, status);
  if (status.state != GroupState::Active)
    return {};
  Json nodes = Json::array();
  for (const auto& node : topology.nodes) {
    const bool concerned =
        std::any_of(topology.pairs.begin(), topology.pairs.end(), [&](const io::PairRow& pair) {
          return pair.group == group && (pair.source == node.name || pair.target == node.name);
        });
    if (concerned && !node.self && !node.address.empty())
      nodes.push_back({{"name", node.name}, {"site", node.site}, {"address", node.address}});
  }
  Json news = {
      {"group", group}, {"lineage", lineage_to_json(groups_.lineage(group))}, {"nodes", std::move(nodes)}};
  if (const io::GroupRow* row = row_of(topology, group); row && !held_.contains(group))
    news["settings"] = to_json(settings_of(*row));
  return news;
}

void PrimaryNews::hold_settings(const std::string& group, bool hold) {
  if (hold)
    held_.insert(group);
  else
    held_.erase(group);
}

void PrimaryNews::tell_one(const std::string& group, const std::string& peer, const Json& news,
                           std::function<void(const Result<Answer>&)> then) {
  const std::pair key(peer, group);
  asked_.insert(key);
  calls_.call(
      peer, "group.primary", news,
      [this, key, news, then = std::move(then)](const Result<Json>& answer) {
        asked_.erase(key);
        // A refusal stands until there is other news or another link; what did not arrive is told again.
        if (answer || answer.error().code == ErrorCode::Refused)
          told_[key] = news;
        if (!answer && answer.error().code == ErrorCode::Refused)
          log::warning("group " + key.second + ": node " + key.first +
                       " does not take this node for its primary: " + answer.error().what);
        if (then)
          then(answer ? Result<Answer>(Answer{text_of(*answer, "role"), text_of(*answer, "command")})
                      : Result<Answer>(answer.error()));
      },
      patience);
}

void PrimaryNews::tick() {
  const auto topology = context_.inventory.load();
  if (!topology)
    return;
  for (const auto& group : topology->groups) {
    const Json news = group.role == Role::Primary ? news_of(group.name, *topology) : Json();
    if (news.is_null())
      continue;
    for (const auto& node : topology->nodes) {
      const std::pair key(node.name, group.name);
      const auto told = told_.find(key);
      if (!node.self && peers_.link(node.name) && !asked_.contains(key) &&
          (told == told_.end() || told->second != news))
        tell_one(group.name, node.name, news, {});
    }
  }
}

void PrimaryNews::tell(const std::string& group, std::function<void(const Answers&)> then) {
  struct Round {
    Answers answers;
    std::size_t open = 1;
    std::function<void(const Answers&)> then;
  };
  auto round = std::make_shared<Round>();
  round->then = std::move(then);
  const auto over = [round] {
    if (--round->open == 0)
      round->then(round->answers);
  };
  const auto topology = context_.inventory.load();
  const Json news = topology ? news_of(group, *topology) : Json();
  if (!news.is_null())
    for (const auto& node : topology->nodes)
      if (!node.self && peers_.link(node.name)) {
        round->open++;
        tell_one(group, node.name, news, [round, over, name = node.name](const Result<Answer>& answer) {
          round->answers.emplace(name, answer);
          over();
        });
      }
  over();
}

void PrimaryNews::link_down(const std::string& peer) {
  std::erase_if(told_, [&](const auto& told) { return told.first.first == peer; });
}

// ---- hearing

std::vector<std::pair<std::string, std::string>> PrimaryNews::groups_with(const std::string& node) const {
  std::vector<std::pair<std::string, std::string>> groups;
  for (const auto& [group, heard] : heard_)
    if (heard.nodes.contains(node) && groups_.runs(group) && !groups_.source(group))
      groups.emplace_back(group, heard.primary);
  return groups;
}

void PrimaryNews::learn_nodes(const std::string& peer, const std::string& group, const Json& nodes) {
  const auto topology = context_.inventory.load();
  if (!topology || !nodes.is_array())
    return;
  bool any = false;
  Heard& heard = heard_[group] = Heard{peer, {}};
  for (const auto& node : nodes) {
    const io::NodeRow row{
        .name = text_of(node, "name"), .site = text_of(node, "site"), .address = text_of(node, "address")};
    heard.nodes.insert(row.name);
    const bool known = std::any_of(topology->nodes.begin(), topology->nodes.end(),
                                   [&](const io::NodeRow& each) { return each.name == row.name; });
    if (known || !check_name("node", row.name) || !check_name("site", row.site) ||
        !parse_address(row.address))
      continue;
    if (const auto put = context_.inventory.put(row); !put) {
      log::error("inventory: " + put.error().text());
      continue;
    }
    any = true;
    context_.events.add(Severity::Info, EventKind::Create, "node " + row.name, "",
                        "learned from node " + peer + ": site " + row.site + ", address " + row.address);
  }
  if (!any)
    return;
  if (const auto now = context_.inventory.load())
    peers_.set_nodes(now->nodes);
}

// Those of the primary count at every copy: after a takeover they go on there.
void PrimaryNews::take_settings(const std::string& peer, const std::string& group, const Json& told) {
  const auto settings = from_json<GroupSetRequest>(told);
  if (!settings || settings->name != group || !check(*settings)) {
    log::warning("group " + group + ": the settings that node " + peer + " tells make no sense: ignored");
    return;
  }
  const auto taken = groups_.take_settings(*settings);
  if (!taken)
    log::error("group " + group + ": the settings of node " + peer +
               " are not taken: " + taken.error().text());
  else if (*taken)
    context_.events.add(Severity::Notice, EventKind::Change, "group " + group, group,
                        "settings of node " + peer + " taken over");
}

void PrimaryNews::hear(const std::string& peer, const Json& news, NodeCalls::Answer answer) {
  const std::string name = text_of(news, "group");
  const auto topology = context_.inventory.load();
  const io::GroupRow* row = topology ? row_of(*topology, name) : nullptr;
  if (!row || !groups_.runs(name)) {
    answer(Json{{"role", "none"}});
    return;
  }
  if (row->role == Role::Primary) { // a session of the two settles who is stale
    answer(Json{{"role", "primary"}});
    return;
  }
  const auto lineage =
      news.contains("lineage") ? lineage_from_json(news["lineage"]) : std::vector<format::LineageEntry>{};
  const auto own = groups_.lineage(name);
  const std::uint64_t told = core::newest_generation(lineage);
  const std::uint64_t known = std::max(row->generation, core::newest_generation(own));
  const bool same_history = own.empty() || !core::agree({lineage, Era::open()}, {own, Era::open()}).full();
  if (lineage.empty() || !same_history || told < known || (told == known && row->primary_node != peer)) {
    answer(Error{ErrorCode::Refused,
                 !same_history
                     ? "its copy is of another history: " + core::to_string(own)
                     : "it knows generation " + std::to_string(known) + " of node " + row->primary_node,
                 "rcctl status " + name + " on both nodes"});
    return;
  }
  if (row->primary_node != peer || row->generation != told) {
    if (const Status stored = context_.inventory.set_role(name, Role::Secondary, peer, told); !stored) {
      answer(stored.error());
      return;
    }
  }
  if (news.contains("nodes"))
    learn_nodes(peer, name, news["nodes"]);
  if (news.contains("settings"))
    take_settings(peer, name, news["settings"]);
  TargetRuntime* target = groups_.target(name);
  const bool moved = target && target->source() != peer;
  if (moved)
    target->primary_moved(peer, lineage);
  const std::string command = moved ? target->join_command() : "";
  if (row->primary_node != peer) {
    context_.events.add(Severity::Warning, EventKind::Change, "group " + name, name,
                        "node " + peer + " is the primary now, generation " + std::to_string(told) +
                            "; this node still holds the image of the one before",
                        command);
    changed_();
  }
  answer(Json{{"role", "copy"}, {"command", command}});
}

} // namespace rc::agent
