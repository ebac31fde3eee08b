// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/site_takeover.hpp"

#include "agent/site_plan.hpp"
#include "agent/wait_until.hpp"
#include "base/log.hpp"
#include "core/copyset_table.hpp"

#include <algorithm>

namespace rc::agent {

using namespace rc::control;

struct SiteTakeover::Work {
  TakeoverRequest request;                   // for the master's group
  std::string named;                         // the group that the operator named
  std::optional<Reply<TakeoverReply>> reply; // none: resumed after a restart
  std::string copyset;
  std::vector<core::SeatHolder> seats; // of this site
  TakeoverReply shown;
  std::int64_t stored_plan = 0;
  bool began = false; // the copy has stored that a takeover has begun
  bool ended = false;
};

namespace {
constexpr auto patience = std::chrono::seconds(10);    // of a question to a node
constexpr auto takeover_most = std::chrono::hours(24); // a roll forward must complete
constexpr auto others_most = std::chrono::minutes(10); // from this node's promotion to the last one's
constexpr const char* plan_method = "takeover.plan";
} // namespace

SiteTakeover::SiteTakeover(Context& context, Peers& peers, NodeCalls& calls, Groups& groups,
                           Copysets& copysets, PlanHere plan_here, std::function<void()> changed)
    : context_(context), peers_(peers), calls_(calls), groups_(groups), copysets_(copysets),
      plan_here_(std::move(plan_here)), changed_(std::move(changed)) {
  calls_.serve(plan_method, [this](const std::string&, const Json& told, const NodeCalls::Answer& answer) {
    auto request = from_json<TakeoverRequest>(told);
    if (!request) {
      answer(request.error());
      return;
    }
    plan_here_(std::move(*request), [answer](const Result<TakeoverReply>& plan) {
      answer(plan ? Result<Json>(to_json(*plan)) : Result<Json>(plan.error()));
    });
  });
}

void SiteTakeover::run(const TakeoverRequest& request, Reply<TakeoverReply> reply) {
  const format::CopysetTable* table = copysets_.table_of(request.group);
  const std::string& site = context_.config.site;
  const format::Seat* master = table ? core::master_of(*table, site) : nullptr;
  const auto holders = table ? copysets_.holders_of(table->name) : std::vector<core::SeatHolder>{};
  const std::string* node = master ? core::holder_of(holders, *master) : nullptr;
  if (!node) {
    reply(Error{ErrorCode::Failed,
                "it is not known who leads site " + site + " of the copyset of group " + request.group,
                "repeat rcctl copyset create with the copyset's name and groups"});
    return;
  }
  if (*node != context_.config.node) {
    forward(request, *node, master->group, reply);
    return;
  }
  auto work = std::make_shared<Work>();
  work->request = request;
  work->request.group = master->group;
  work->named = request.group;
  work->reply = reply;
  work->copyset = table->name;
  const auto* groups = core::groups_at(*table, table->epoch);
  for (const auto& holder : holders)
    if (holder.seat.site == site && groups &&
        std::find(groups->begin(), groups->end(), holder.seat.group) != groups->end())
      work->seats.push_back(holder);
  ask_seats(work,
            [this, work](const std::vector<Result<TakeoverReply>>& answers) { planned(work, answers); });
}

void SiteTakeover::forward(const TakeoverRequest& request, const std::string& node, const std::string& master,
                           Reply<TakeoverReply> reply) {
  if (!peers_.link(node)) {
    const auto link = peers_.status(node);
    reply(Error{ErrorCode::Refused,
                "group " + request.group + " takes over with its whole site, led by node " + node +
                    ", which can't be reached: " + link.reason,
                "start rcagent on node " + node + ": a site takes over when all of its nodes are up"});
    return;
  }
  TakeoverRequest there = request;
  there.group = master;
  calls_.call(
      node, TakeoverRequest::method, to_json(there),
      [reply, node, group = request.group](const Result<Json>& answer) {
        auto told = answer ? from_json<TakeoverReply>(*answer) : Result<TakeoverReply>(answer.error());
        if (!told) {
          reply(told.error().because("node " + node + ", which leads the site"));
          return;
        }
        told->group = group;
        reply(*told);
      },
      takeover_most);
}

// Answers in the order of the seats.
void SiteTakeover::ask_seats(const std::shared_ptr<Work>& work,
                             std::function<void(std::vector<Result<TakeoverReply>>)> then) {
  struct Round {
    std::vector<Result<TakeoverReply>> answers;
    std::size_t open = 1;
    std::function<void(std::vector<Result<TakeoverReply>>)> then;
  };
  auto round = std::make_shared<Round>();
  round->answers.assign(work->seats.size(), Error{ErrorCode::Failed, "not asked", ""});
  round->open += work->seats.size();
  round->then = std::move(then);
  const auto over = [round] {
    if (--round->open == 0)
      round->then(std::move(round->answers));
  };
  for (std::size_t i = 0; i < work->seats.size(); ++i) {
    TakeoverRequest of_seat = work->request;
    of_seat.group = work->seats[i].seat.group;
    of_seat.dry_run = true;
    if (work->seats[i].node == context_.config.node)
      plan_here_(of_seat, [round, over, i](Result<TakeoverReply> plan) {
        round->answers[i] = std::move(plan);
        over();
      });
    else
      calls_.call(
          work->seats[i].node, plan_method, to_json(of_seat),
          [round, over, i](const Result<Json>& told) {
            round->answers[i] = told ? from_json<TakeoverReply>(*told) : Result<TakeoverReply>(told.error());
            over();
          },
          patience);
  }
  over();
}

void SiteTakeover::planned(const std::shared_ptr<Work>& work,
                           const std::vector<Result<TakeoverReply>>& answers) {
  std::vector<SeatPlan> plans;
  for (std::size_t i = 0; i < work->seats.size(); ++i) {
    if (!answers[i]) {
      (*work->reply)(Error{ErrorCode::Refused,
                           "node " + work->seats[i].node + " holds " +
                               format::to_string(work->seats[i].seat) +
                               " and can't say what it has: " + answers[i].error().what,
                           "start rcagent there: a site takes over when all of its nodes are up"});
      return;
    }
    plans.push_back({work->seats[i].seat.group, work->seats[i].node, *answers[i]});
  }
  work->shown = site_plan(work->copyset, context_.config.site, work->named, context_.config.node, plans);
  if (work->request.dry_run || work->shown.complete) {
    work->shown.dry_run = work->request.dry_run;
    (*work->reply)(work->shown);
    return;
  }
  if (!work->shown.allowed) {
    (*work->reply)(Error{ErrorCode::Refused, work->shown.refusal, work->shown.next_action});
    return;
  }
  work->shown.dry_run = false;
  work->shown.next_action.clear();
  context_.events.add(Severity::Warning, EventKind::Call, "copyset " + work->copyset, work->request.group,
                      "takeover of site " + context_.config.site +
                          " begins: " + work->shown.forecast.in_words);
  execute(work);
}

void SiteTakeover::execute(const std::shared_ptr<Work>& work) {
  const auto stored =
      context_.inventory.store_plan({.id = work->stored_plan, .request = work->request, .plan = work->shown});
  if (stored)
    work->stored_plan = work->shown.plan = *stored;
  else
    log::error("cannot store the plan of the takeover: " + stored.error().text());
  if (groups_.target(work->request.group))
    copysets_.take_over(work->request.group, [this, work](const Error& refused) { end(work, refused); });
  follow(work);
}

// What the master says it is doing, until this node's own hosts may write.
void SiteTakeover::follow(const std::shared_ptr<Work>& work) {
  const std::string group = work->request.group;
  const auto over = [this, work, group] {
    if (work->ended)
      return true;
    GroupStatus status;
    groups_.fill_status(group, status);
    copysets_.fill_status(group, status);
    const bool active = groups_.source(group) && status.state == GroupState::Active;
    // What is stored says how far it is: a copy that stands for nothing any more was given up.
    const auto& journal = groups_.journal(group);
    const bool stands =
        journal && (journal->state().takeover || journal->state().role == format::Role::Primary);
    work->began = work->began || stands;
    std::string doing = status.copyset ? status.copyset->step : status.reason;
    if (status.copyset && !status.copyset->waits.empty())
      doing += ", waits for " + status.copyset->waits;
    if (!active && doing != work->shown.next_action) {
      for (auto& step : work->shown.steps)
        if (step.kind == "store_lineage")
          step.state = StepState::Running;
      work->shown.next_action = doing;
      if (work->reply)
        work->reply->progress(work->shown);
    }
    return active || (work->began && !stands) || status.state == GroupState::Failed;
  };
  wait_until(context_, over, takeover_most, [this, work, group](bool) {
    if (work->ended)
      return;
    GroupStatus status;
    groups_.fill_status(group, status);
    if (status.state == GroupState::Active)
      await_others(work);
    else
      end(work,
          Error{ErrorCode::Failed,
                "takeover of site " + context_.config.site + " stopped: group " + group + " is " +
                    to_token(status.state) + (status.reason.empty() ? "" : ": " + status.reason),
                status.next_action.empty() ? "rcctl events; then repeat the command" : status.next_action});
  });
}

void SiteTakeover::await_others(const std::shared_ptr<Work>& work) {
  const auto until = std::chrono::steady_clock::now() + others_most;
  auto ask = std::make_shared<std::function<void()>>();
  *ask = [this, work, until, again = std::weak_ptr(ask)] {
    ask_seats(
        work, [this, work, until, ask = again.lock()](const std::vector<Result<TakeoverReply>>& answers) {
          std::vector<std::string> devices;
          std::optional<Error> missing;
          for (std::size_t i = 0; i < answers.size(); ++i) {
            const std::string& node = work->seats[i].node;
            if (!answers[i] || !answers[i]->complete)
              missing = Error{ErrorCode::Failed,
                              "the takeover is decided, but " + format::to_string(work->seats[i].seat) +
                                  " on node " + node + " does not take writes yet" +
                                  (answers[i] ? "" : ": " + answers[i].error().what),
                              "it goes on by itself when that node is up: rcctl status " +
                                  work->seats[i].seat.group + " there"};
            else
              for (const std::string& device : answers[i]->devices)
                devices.push_back(node == context_.config.node ? device : node + ":" + device);
          }
          if (!missing) {
            work->shown.devices = devices;
            end(work, std::nullopt);
          } else if (std::chrono::steady_clock::now() >= until) {
            end(work, missing);
          } else {
            auto timer =
                std::make_shared<boost::asio::steady_timer>(context_.loop, std::chrono::milliseconds(500));
            timer->async_wait([timer, ask](boost::system::error_code) { (*ask)(); });
          }
        });
  };
  (*ask)();
}

void SiteTakeover::end(const std::shared_ptr<Work>& work, const std::optional<Error>& error) {
  if (std::exchange(work->ended, true))
    return;
  for (auto& step : work->shown.steps)
    step.state = step.kind != "store_lineage"
                     ? StepState::Skipped // said by the primaries, or for somebody to do
                 : error ? StepState::Failed
                         : StepState::Done;
  work->shown.complete = !error;
  work->shown.next_action = error ? "" : "start the application on all nodes of the site; rcctl status there";
  if (work->stored_plan != 0)
    if (const auto stored = context_.inventory.store_plan(
            {.id = work->stored_plan, .ended = true, .request = work->request, .plan = work->shown});
        !stored)
      log::error("cannot store the plan of the takeover: " + stored.error().text());
  context_.events.add(error ? Severity::Error : Severity::Notice, EventKind::Response,
                      "copyset " + work->copyset, work->request.group,
                      error ? "takeover failed: " + error->what
                            : "takeover of site " + context_.config.site + " complete",
                      error ? error->next : work->shown.next_action);
  changed_();
  if (!work->reply)
    return;
  if (error)
    (*work->reply)(*error);
  else
    (*work->reply)(work->shown);
}

void SiteTakeover::resume(const io::PlanRow& stored) {
  auto work = std::make_shared<Work>();
  work->request = stored.request;
  work->named = stored.plan.group;
  work->shown = stored.plan;
  work->stored_plan = stored.id;
  const std::string group = stored.request.group;
  context_.events.note(5, "group " + group, group,
                       "the takeover of the site that a stop of the agent interrupted goes on");
  wait_until(
      context_, [this, group] { return copysets_.table_of(group) != nullptr; }, std::chrono::minutes(10),
      [this, work, group](bool ready) {
        if (!ready) {
          end(work, Error{ErrorCode::Failed, "group " + group + " does not run", "rcctl status " + group});
          return;
        }
        work->copyset = copysets_.table_of(group)->name;
        for (const auto& holder : copysets_.holders_of(work->copyset))
          if (holder.seat.site == context_.config.site)
            work->seats.push_back(holder);
        execute(work);
      });
}

} // namespace rc::agent
