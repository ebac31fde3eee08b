// SPDX-License-Identifier: GPL-2.0-or-later
// The side that is asked (copyset.survey) and invited (copyset.join): says what this node holds, stores who
// holds which seat, and gives the table to its own seats.
#include "agent/copyset_creation.hpp"
#include "agent/copyset_json.hpp"
#include "agent/wait_until.hpp"
#include "base/log.hpp"
#include "core/copyset_table.hpp"
#include "core/lineage.hpp"

#include <algorithm>

namespace rc::agent {

using namespace rc::control;

CopysetCreation::CopysetCreation(Context& context, Peers& peers, NodeCalls& calls, Groups& groups,
                                 Copysets& copysets, std::function<void()> changed)
    : context_(context), peers_(peers), calls_(calls), groups_(groups), copysets_(copysets),
      changed_(std::move(changed)) {
  calls_.serve("copyset.survey",
               [this](const std::string&, const Json& told, const NodeCalls::Answer& answer) {
                 std::vector<std::string> groups;
                 const auto list = told.is_object() ? told.find("groups") : told.end();
                 if (told.is_object() && list != told.end() && list->is_array())
                   for (const auto& group : *list)
                     if (group.is_string())
                       groups.push_back(group.get<std::string>());
                 Json surveys = Json::array();
                 for (const auto& survey : own_survey(groups))
                   surveys.push_back(survey_to_json(survey));
                 answer(Json{{"surveys", std::move(surveys)}});
               });
  calls_.serve("copyset.join", [this](const std::string&, const Json& told, NodeCalls::Answer answer) {
    accept(told, std::move(answer));
  });
}

std::vector<core::GroupSurvey> CopysetCreation::own_survey(const std::vector<std::string>& groups) {
  std::vector<core::GroupSurvey> surveys;
  const auto topology = context_.inventory.load();
  for (const auto& row : topology ? topology->groups : std::vector<io::GroupRow>{}) {
    if (std::find(groups.begin(), groups.end(), row.name) == groups.end() || !groups_.runs(row.name))
      continue;
    core::GroupSurvey survey;
    survey.group = row.name;
    survey.node = context_.config.node;
    survey.site = context_.config.site;
    survey.primary = row.role == Role::Primary;
    GroupStatus status;
    groups_.fill_status(row.name, status);
    if (survey.primary && status.state != GroupState::Active)
      survey.trouble = std::string("it is ") + to_token(status.state) + ": " + status.reason;
    if (const auto& journal = groups_.journal(row.name)) {
      survey.generation = core::newest_generation(journal->state().position.lineage);
      survey.epoch = journal->state().epoch;
    }
    for (const auto& pair : topology->pairs)
      if (pair.group == row.name && pair.source == survey.node)
        survey.copies.push_back({pair.target, site_of(pair.target), pair.mode == Mode::Sync});
    if (const auto* table = copysets_.table_of(row.name); table && table->epoch.value != 0) {
      survey.table = *table;
      survey.holders = copysets_.holders_of(table->name);
    }
    surveys.push_back(std::move(survey));
  }
  return surveys;
}

// ---- joining

Status CopysetCreation::acceptable(const core::Founding& founding) {
  const auto& table = founding.table;
  if (const std::string problem = core::problem_of(table); !problem.empty() || !check_group_name(table.name))
    return Error{ErrorCode::Usage, "the table of the copyset makes no sense: " + problem,
                 "both nodes must run the same version"};
  for (const auto& seat : table.seats)
    if (!core::holder_of(founding.holders, seat))
      return Error{ErrorCode::Usage, "nobody holds " + format::to_string(seat),
                   "both nodes must run the same version"};
  const auto topology = context_.inventory.load();
  if (!topology)
    return topology.error();
  const auto& groups = table.memberships.back().groups;
  for (const auto& row : topology->groups)
    if (row.copyset == table.name && row.name == table.name &&
        std::find(groups.begin(), groups.end(), row.name) == groups.end())
      return Error{ErrorCode::Refused,
                   "node " + context_.config.node + " has a group called " + table.name +
                       " that is not in the copyset",
                   "give the copyset another name"};
  for (const auto& holder : founding.holders) {
    if (holder.node != context_.config.node)
      continue;
    const std::string seat = format::to_string(holder.seat);
    if (holder.seat.site != context_.config.site)
      return Error{ErrorCode::Refused,
                   "node " + holder.node + " is at site " + context_.config.site +
                       " by its own settings, not at " + holder.seat.site,
                   "rcctl node add " + holder.node + " --address HOST:PORT --site " + context_.config.site +
                       " on the other nodes"};
    const SourceRuntime* source = groups_.source(holder.seat.group);
    const TargetRuntime* target = groups_.target(holder.seat.group);
    if (!(source && source->started()) && !(target && target->started()))
      return Error{ErrorCode::Refused,
                   "node " + holder.node + " does not hold " + seat + ", or it does not run",
                   "rcctl status " + holder.seat.group + " on that node"};
    if (const auto* has = copysets_.table_of(holder.seat.group);
        has && !has->name.empty() && has->name != table.name)
      return Error{ErrorCode::Refused, seat + " belongs to copyset " + has->name + " already",
                   "leave it out"};
  }
  return {};
}

void CopysetCreation::learn_nodes(const Json& nodes) {
  const auto topology = context_.inventory.load();
  if (!topology || !nodes.is_array())
    return;
  for (const auto& node : nodes) {
    const io::NodeRow row{
        .name = text_of(node, "name"), .site = text_of(node, "site"), .address = text_of(node, "address")};
    const bool known = std::any_of(topology->nodes.begin(), topology->nodes.end(),
                                   [&](const io::NodeRow& each) { return each.name == row.name; });
    if (known || !check_name("node", row.name) || !check_name("site", row.site) ||
        (!row.address.empty() && !parse_address(row.address)))
      continue;
    if (const auto put = context_.inventory.put(row); !put)
      log::error("inventory: " + put.error().text());
  }
  if (const auto now = context_.inventory.load())
    peers_.set_nodes(now->nodes);
}

void CopysetCreation::accept(const Json& told, NodeCalls::Answer answer) {
  core::Founding founding;
  if (told.is_object() && told.contains("table") && told.contains("holders")) {
    founding.table = table_from_json(told["table"]);
    founding.holders = holders_from_json(told["holders"]);
  }
  if (Status good = acceptable(founding); !good) {
    answer(good.error());
    return;
  }
  if (told.contains("nodes"))
    learn_nodes(told["nodes"]);
  std::vector<io::SeatRow> rows;
  for (const auto& holder : founding.holders)
    rows.push_back({founding.table.name, holder.seat.group, holder.seat.site, holder.node});
  const std::string& registrar = *core::holder_of(founding.holders, founding.table.registrar);
  const auto put = context_.inventory.put_copyset(founding.table.name, registrar, rows);
  if (!put) {
    answer(put.error());
    return;
  }
  copysets_.holders_changed();
  joined(founding, *put, std::move(answer));
}

// The answer comes when the table is on stable storage at all seats of this node.
void CopysetCreation::joined(const core::Founding& founding, Outcome outcome, NodeCalls::Answer answer) {
  std::vector<std::string> waited;
  for (const auto& holder : founding.holders) {
    if (holder.node != context_.config.node)
      continue;
    const auto* has = copysets_.table_of(holder.seat.group);
    if (has && has->epoch >= founding.table.epoch)
      continue;
    copysets_.join(holder.seat.group, founding.table);
    waited.push_back(holder.seat.group);
    context_.events.add(Severity::Notice, EventKind::Change, "group " + holder.seat.group, holder.seat.group,
                        "joins copyset " + founding.table.name + ", epoch " +
                            std::to_string(founding.table.epoch.value));
  }
  changed_();
  wait_until(
      context_,
      [this, waited, epoch = founding.table.epoch] {
        return std::all_of(waited.begin(), waited.end(), [&](const std::string& group) {
          const auto* has = copysets_.table_of(group);
          return has && has->epoch >= epoch;
        });
      },
      std::chrono::seconds(30),
      [waited, outcome, answer = std::move(answer)](bool stored) {
        if (stored)
          answer(Json{{"changed", !waited.empty() || outcome != Outcome::Unchanged}});
        else
          answer(Error{ErrorCode::Timeout, "the table could not be stored in the journal within 30 s",
                       "look at the journal's device; repeat the command"});
      });
}

} // namespace rc::agent
