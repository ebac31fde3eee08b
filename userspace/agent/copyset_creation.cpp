// SPDX-License-Identifier: GPL-2.0-or-later
// The side that makes a copyset: survey, founding, invitations. The side that is invited:
// copyset_joining.cpp.
#include "agent/copyset_creation.hpp"

#include "agent/change_reply.hpp"
#include "agent/copyset_json.hpp"
#include "core/copyset_table.hpp"

#include <algorithm>

namespace rc::agent {

using namespace rc::control;

struct CopysetCreation::Work {
  CopysetCreateRequest request;
  Reply<ChangeReply> reply;
  core::Founding founding;
  std::vector<std::string> nodes; // that are to be invited, in this order
  std::size_t next = 0;
  ChangeReply answer;
};

namespace {

constexpr auto survey_patience = std::chrono::seconds(5);
constexpr auto join_patience = std::chrono::seconds(60);

bool holds_seat(const std::vector<core::SeatHolder>& holders, const std::string& node) {
  return std::any_of(holders.begin(), holders.end(), [&](const auto& one) { return one.node == node; });
}

} // namespace

void CopysetCreation::create(const CopysetCreateRequest& request, Reply<ChangeReply> reply) {
  auto work = std::make_shared<Work>(Work{.request = request, .reply = reply});
  survey(request.groups,
         [this, work](const std::vector<core::GroupSurvey>& surveys) { found(work, surveys); });
}

void CopysetCreation::survey(const std::vector<std::string>& groups,
                             std::function<void(std::vector<core::GroupSurvey>)> then) {
  struct Round {
    std::vector<core::GroupSurvey> surveys;
    std::size_t open = 1;
    std::function<void(std::vector<core::GroupSurvey>)> then;
  };
  auto round = std::make_shared<Round>();
  round->surveys = own_survey(groups);
  round->then = std::move(then);
  const auto over = [round] {
    if (--round->open == 0)
      round->then(std::move(round->surveys));
  };
  const auto topology = context_.inventory.load();
  for (const auto& node : topology ? topology->nodes : std::vector<io::NodeRow>{}) {
    if (node.self || !peers_.link(node.name))
      continue;
    round->open++;
    calls_.call(
        node.name, "copyset.survey", {{"groups", groups}},
        [round, over, name = node.name](const Result<Json>& told) {
          const auto list = told && told->is_object() ? told->find("surveys") : Json::const_iterator();
          if (told && told->is_object() && list != told->end() && list->is_array())
            for (const auto& one : *list)
              if (auto survey = survey_from_json(one); survey.node == name) // only for itself
                round->surveys.push_back(std::move(survey));
          over();
        },
        survey_patience);
  }
  over();
}

void CopysetCreation::found(std::shared_ptr<Work> work, const std::vector<core::GroupSurvey>& surveys) {
  auto founding = core::found_copyset(work->request.name, work->request.groups, surveys);
  if (!founding) {
    work->reply(founding.error());
    return;
  }
  work->founding = std::move(*founding);
  for (const auto& holder : work->founding.holders) {
    if (std::find(work->nodes.begin(), work->nodes.end(), holder.node) != work->nodes.end())
      continue;
    if (holder.node != context_.config.node && !peers_.link(holder.node)) {
      const auto link = peers_.status(holder.node);
      work->reply(Error{ErrorCode::Unreachable,
                        "node " + holder.node + " holds " + format::to_string(holder.seat) +
                            " and can't be reached from here: " + link.reason,
                        "rcctl node add " + holder.node + " --address HOST:PORT --site " + holder.seat.site +
                            "; then repeat the command"});
      return;
    }
    work->nodes.push_back(holder.node);
  }
  work->answer.object = "copyset " + work->request.name;
  work->answer.outcome = Outcome::Unchanged;
  const auto& table = work->founding.table;
  for (const auto& holder : work->founding.holders) {
    const auto* master = core::master_of(table, holder.seat.site);
    work->answer.details.push_back(format::to_string(holder.seat) + " on node " + holder.node +
                                   (master && *master == holder.seat ? ", master of its site" : "") +
                                   (table.registrar == holder.seat ? ", registrar" : ""));
  }
  invite_next(std::move(work));
}

void CopysetCreation::invite_next(std::shared_ptr<Work> work) {
  if (work->next == work->nodes.size()) {
    work->answer.what = std::to_string(work->request.groups.size()) + " groups, epoch " +
                        std::to_string(work->founding.table.epoch.value) +
                        (work->answer.outcome == Outcome::Unchanged ? ", at all seats already" : "");
    work->answer.next_action = "rcctl copyset show " + work->request.name;
    work->reply(work->answer);
    return;
  }
  const std::string node = work->nodes[work->next++];
  invite(node, invitation(work->founding), [this, work, node](const Result<Json>& told) {
    if (!told) {
      work->reply(Error{
          told.error().code,
          "node " + node + " did not join copyset " + work->request.name + ": " + told.error().what +
              (work->next > 1 ? "; those before it have joined, and no checkpoint is made until all have"
                              : ""),
          told.error().next.empty() ? "repeat the command when the cause is gone"
                                    : told.error().next + "; then repeat the command"});
      return;
    }
    const auto changed = told->is_object() ? told->find("changed") : told->end();
    if (told->is_object() && changed != told->end() && changed->is_boolean() && changed->get<bool>())
      work->answer.outcome = work->founding.exists ? Outcome::Changed : Outcome::Created;
    invite_next(work);
  });
}

void CopysetCreation::invite(const std::string& node, const Json& invitation,
                             std::function<void(Result<Json>)> then) {
  if (node == context_.config.node)
    accept(invitation, std::move(then));
  else
    calls_.call(node, "copyset.join", invitation, std::move(then), join_patience);
}

Json CopysetCreation::invitation(const core::Founding& founding) {
  Json nodes = Json::array();
  const auto topology = context_.inventory.load();
  for (const auto& node : topology ? topology->nodes : std::vector<io::NodeRow>{})
    if (holds_seat(founding.holders, node.name))
      nodes.push_back({{"name", node.name},
                       {"site", node.site},
                       {"address", node.self ? std::string() : node.address}}); // ours is where we listen
  return {{"table", table_to_json(founding.table)},
          {"holders", holders_to_json(founding.holders)},
          {"nodes", std::move(nodes)}};
}

// ---- one copy more

std::string CopysetCreation::site_of(const std::string& node) {
  const auto topology = context_.inventory.load();
  for (const auto& row : topology ? topology->nodes : std::vector<io::NodeRow>{})
    if (row.name == node)
      return row.site;
  return {};
}

Status CopysetCreation::check_copy(const std::string& group, const std::string& node) {
  const format::CopysetTable* table = copysets_.table_of(group);
  if (!table)
    return {};
  const auto holders = copysets_.holders_of(table->name);
  const format::Seat seat{group, site_of(node)};
  const std::string* holder = core::holder_of(holders, seat);
  if (!holder || *holder != node)
    return Error{ErrorCode::Refused,
                 "group " + group + " belongs to copyset " + table->name + ", in which " +
                     (holder ? format::to_string(seat) + " is held by node " + *holder
                             : "site " + seat.site + " has no seat"),
                 holder ? "make the copy on node " + *holder : "seats can't be added to a copyset"};
  return {};
}

void CopysetCreation::join_copy(const std::string& group, const std::string& node,
                                std::function<void(Status)> then) {
  const format::CopysetTable* table = copysets_.table_of(group);
  if (!table) {
    then({});
    return;
  }
  const core::Founding founding{*table, copysets_.holders_of(table->name), true};
  invite(node, invitation(founding), [node, then = std::move(then)](const Result<Json>& told) {
    then(told ? Status{} : Status{told.error().because("node " + node + " did not join the copyset")});
  });
}

} // namespace rc::agent
