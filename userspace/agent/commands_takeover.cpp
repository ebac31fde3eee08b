// SPDX-License-Identifier: GPL-2.0-or-later
// takeover: ask the other nodes, plan (core), show the forecast, execute with progress, store the plan so
// that a restarted agent goes on. The steps themselves are the Target's; each is idempotent. Papers:
// seeds/002 (takeover after update in progress), seeds/003 Fig. 14.
#include "agent/clock.hpp"
#include "agent/commands.hpp"
#include "agent/forward.hpp"
#include "agent/knowledge_json.hpp"
#include "base/log.hpp"

#include <set>

namespace rc::agent {

using namespace rc::control;

struct Commands::Takeover {
  TakeoverRequest request;
  std::optional<Reply<TakeoverReply>> reply; // none: resumed after a restart
  io::GroupRow row;
  core::PlanInput input;
  std::size_t questions = 0; // answers still outstanding
  TakeoverReply shown;
  std::int64_t stored_plan = 0;
  bool ended = false;
};

namespace {

core::NodeKnowledge own_knowledge(Context& context, Groups& groups, const std::string& group) {
  core::NodeKnowledge own;
  own.node = context.config.node;
  own.site = context.config.site;
  own.reachable = true;
  if (SourceRuntime* source = groups.source(group)) {
    own.primary = true;
    own.source = source->core_status();
    GroupStatus status;
    groups.fill_status(group, status);
    own.primary_live = status.state == GroupState::Active;
  } else if (TargetRuntime* target = groups.target(group)) {
    own.copy = target->core_status();
  }
  return own;
}

TakeoverReply show(const core::Plan& plan, const core::PlanInput& input, const TakeoverRequest& request,
                   const std::vector<io::VolumeRow>& volumes) {
  TakeoverReply reply;
  reply.group = request.group;
  reply.dry_run = request.dry_run;
  reply.allowed = plan.allowed;
  reply.needs_force = plan.needs_force;
  reply.refusal = plan.refusal;
  for (const auto& step : plan.steps)
    reply.steps.push_back({.node = step.node, .text = step.text, .kind = core::to_string(step.kind)});
  reply.forecast.current = plan.loss.none;
  if (plan.loss.seconds_ns)
    reply.forecast.lost_seconds = static_cast<double>(*plan.loss.seconds_ns) / 1e9;
  reply.forecast.lost_bytes = plan.loss.bytes;
  if (!plan.loss.none)
    for (const auto& volume : volumes)
      reply.forecast.lost_volumes.push_back(volume.name);
  reply.forecast.in_words = plan.loss.text;
  for (const auto& node : input.nodes) {
    SiteForecast site;
    site.site = node.site;
    site.node = node.node;
    site.reachable = node.reachable;
    site.image = !node.reachable          ? "unknown"
                 : node.primary           ? "primary"
                 : !node.copy             ? "none"
                 : node.copy->current     ? "seal"
                 : node.copy->restartable ? "checkpoint " + to_string(node.copy->takeover_checkpoint)
                                          : "none";
    reply.sites.push_back(std::move(site));
  }
  reply.next_action = plan.allowed ? "rcctl takeover " + request.group : plan.next_action;
  return reply;
}

} // namespace

void Commands::takeover(const TakeoverRequest& request, Reply<TakeoverReply> reply) {
  if (site_takeover_.concerns(request.group))
    site_takeover_.run(request, reply);
  else
    take_over_group(request, reply);
}

void Commands::take_over_group(const TakeoverRequest& request, Reply<TakeoverReply> reply) {
  const auto row = group_row(request.group);
  if (!row) {
    reply(row.error());
    return;
  }
  if (row->role == Role::Primary) {
    GroupStatus status;
    groups_.fill_status(request.group, status);
    TakeoverReply answer;
    answer.group = request.group;
    answer.dry_run = request.dry_run;
    answer.complete = answer.allowed = status.state == GroupState::Active;
    answer.next_action = answer.complete ? "this node is the primary already" : status.next_action;
    for (const auto& volume : volume_set(*row).volumes)
      answer.devices.push_back(device_path(volume.group, volume.name));
    if (answer.complete)
      reply(answer);
    else
      reply(Error{ErrorCode::Refused,
                  "this node is the primary of group " + request.group + ", but it is " +
                      to_token(status.state) + ": " + status.reason,
                  status.next_action});
    return;
  }
  auto work = std::make_shared<Takeover>();
  work->request = request;
  work->reply = reply;
  work->row = *row;
  gather_knowledge(std::move(work));
}

void Commands::gather_knowledge(std::shared_ptr<Takeover> work) {
  const auto topology = context_.inventory.load();
  std::map<std::string, std::string> others; // node -> site
  if (topology) {
    std::set<std::string> concerned = {work->row.primary_node};
    for (const auto& pair : topology->pairs)
      if (pair.group == work->row.name)
        concerned.insert({pair.source, pair.target});
    for (const auto& node : topology->nodes)
      if (!node.self && (concerned.contains(node.name) || peers_.link(node.name)))
        others[node.name] = node.site;
  }
  work->input.group = work->row.name;
  work->input.at = context_.config.node;
  work->input.force = work->request.force;
  work->input.accept_loss_of = work->request.accept_loss_of;
  work->input.volumes = volume_set(work->row).volumes.size();
  work->input.newest_known = work->row.generation;
  work->input.nodes.push_back(own_knowledge(context_, groups_, work->row.name));
  work->questions = others.size() + 1;
  const auto answered = [this, work] {
    if (--work->questions == 0)
      plan(work);
  };
  for (const auto& [name, site] : others)
    calls_.call(
        name, "group.knowledge", {{"group", work->row.name}},
        [work, answered, node = name, node_site = site](const Result<Json>& told) {
          core::NodeKnowledge knowledge;
          if (told)
            knowledge = knowledge_from_json(*told);
          knowledge.node = node;
          knowledge.site = node_site;
          knowledge.reachable = told.ok();
          if (!told && told.error().code != ErrorCode::NotFound) {
            knowledge.primary = node == work->row.primary_node;
            work->input.nodes.push_back(std::move(knowledge));
          } else if (told) {
            work->input.nodes.push_back(std::move(knowledge));
          }
          answered();
        },
        std::chrono::seconds(5));
  answered();
}

void Commands::plan(std::shared_ptr<Takeover> work) {
  work->input.now_real_ns = now().real_ns;
  const core::Plan plan = core::plan_takeover(work->input);
  work->shown = show(plan, work->input, work->request, volume_set(work->row).volumes);
  if (work->request.dry_run) {
    (*work->reply)(work->shown);
    return;
  }
  if (!plan.allowed) {
    (*work->reply)(Error{ErrorCode::Refused, plan.refusal, plan.next_action});
    return;
  }
  work->shown.next_action.clear();
  context_.events.add(Severity::Warning, EventKind::Call, "group " + work->row.name, work->row.name,
                      "takeover at node " + context_.config.node + " begins: " + plan.loss.text);
  execute(std::move(work));
}

void Commands::execute(std::shared_ptr<Takeover> work) {
  const auto stored = context_.inventory.store_plan({.id = 0, .request = work->request, .plan = work->shown});
  if (stored)
    work->stored_plan = work->shown.plan = *stored;
  else
    log::error("cannot store the plan of the takeover: " + stored.error().text());
  TargetRuntime* target = groups_.target(work->row.name);
  if (!target) {
    finish_takeover(
        work, Error{ErrorCode::Failed, "this node does not hold a copy of group " + work->row.name, ""});
    return;
  }
  target->take_over([this, work](const Error& refused) { finish_takeover(work, refused); });
  follow_takeover(work);
}

// The Target closes, redoes, seals, applies and stores; then a source takes its place and loads the volumes.
void Commands::follow_takeover(std::shared_ptr<Takeover> work) {
  const auto over = [this, work] {
    if (work->ended)
      return true;
    GroupStatus status;
    groups_.fill_status(work->row.name, status);
    const bool active = groups_.source(work->row.name) && status.state == GroupState::Active;
    if (!active && status.reason != work->shown.next_action) {
      for (auto& step : work->shown.steps)
        if (step.node == context_.config.node)
          step.state = StepState::Running;
      work->shown.next_action = status.reason;
      if (work->reply)
        work->reply->progress(work->shown);
    }
    return active || status.state == GroupState::Failed;
  };
  wait_until(over, std::chrono::hours(24), [this, work](bool) {
    if (work->ended)
      return;
    GroupStatus status;
    groups_.fill_status(work->row.name, status);
    finish_takeover(work, status.state == GroupState::Active
                              ? std::nullopt
                              : std::optional<Error>(Error{ErrorCode::Failed,
                                                           "takeover of group " + work->row.name +
                                                               " stopped: " + status.reason,
                                                           status.next_action}));
  });
}

void Commands::finish_takeover(const std::shared_ptr<Takeover>& work, const std::optional<Error>& error) {
  if (work->ended)
    return;
  work->ended = true;
  for (auto& step : work->shown.steps)
    if (step.node == context_.config.node)
      step.state = error ? StepState::Failed : StepState::Done;
    else
      step.state = StepState::Skipped; // for somebody to do there; it was said, not done
  work->shown.complete = !error;
  work->shown.next_action.clear();
  if (error) {
    end_takeover(work, error);
    return;
  }
  for (const auto& volume : volume_set(work->row).volumes)
    work->shown.devices.push_back(device_path(volume.group, volume.name));
  news_.tell(work->row.name, [this, work](const PrimaryNews::Answers& answers) {
    std::string join;
    for (auto& step : work->shown.steps) {
      if (step.kind != core::to_string(core::PlanStepKind::TellPeers))
        continue;
      const auto answer = answers.find(step.node);
      if (answer != answers.end() && answer->second)
        step.state = StepState::Done;
      else
        step.reason = answer != answers.end() ? answer->second.error().what
                                              : "there is no link; it is told when it is back";
    }
    for (const auto& [node, answer] : answers)
      if (answer && !answer->command.empty())
        join += "; " + node +
                " still holds a copy of the old primary, give it this one's writes: " + answer->command;
    work->shown.next_action = "start the application on these devices; rcctl status " + work->row.name + join;
    end_takeover(work, std::nullopt);
  });
}

void Commands::end_takeover(const std::shared_ptr<Takeover>& work, const std::optional<Error>& error) {
  if (work->stored_plan != 0)
    if (const auto stored = context_.inventory.store_plan(
            {.id = work->stored_plan, .ended = true, .request = work->request, .plan = work->shown});
        !stored)
      log::error("cannot store the plan of the takeover: " + stored.error().text());
  context_.events.add(error ? Severity::Error : Severity::Notice, EventKind::Response,
                      "group " + work->row.name, work->row.name,
                      error ? "takeover failed: " + error->what : "takeover complete",
                      error ? error->next : work->shown.next_action);
  board_.changed();
  if (!work->reply)
    return;
  if (error)
    (*work->reply)(*error);
  else
    (*work->reply)(work->shown);
}

void Commands::resume_plans() {
  const auto plans = context_.inventory.unfinished_plans();
  if (!plans) {
    log::error("cannot read unfinished plans: " + plans.error().text());
    return;
  }
  for (const auto& stored : *plans) {
    const auto row = group_row(stored.request.group);
    if (!row)
      continue;
    if (const auto& journal = groups_.journal(row->name); journal && journal->state().table) {
      site_takeover_.resume(stored);
      continue;
    }
    auto work = std::make_shared<Takeover>();
    work->request = stored.request;
    work->row = *row;
    work->shown = stored.plan;
    work->stored_plan = stored.id;
    context_.events.note(5, "group " + row->name, row->name,
                         "the takeover that a stop of the agent interrupted goes on");
    if (TargetRuntime* target = groups_.target(row->name))
      wait_until([this, name = row->name] { return groups_.target(name) && groups_.target(name)->started(); },
                 std::chrono::minutes(10),
                 [this, work, target](bool ready) {
                   if (!ready || groups_.target(work->row.name) != target)
                     return;
                   target->take_over([this, work](const Error& refused) { finish_takeover(work, refused); });
                   follow_takeover(work);
                 });
    else
      follow_takeover(work);
  }
}

void Commands::serve_knowledge() {
  calls_.serve("group.knowledge", [this](const std::string&, const Json& parameters,
                                         NodeCalls::Answer answer) {
    const auto group = parameters.is_object() ? parameters.value("group", Json()) : Json();
    const auto row = group.is_string() ? group_row(group.get<std::string>())
                                       : Result<io::GroupRow>(Error{ErrorCode::NotFound, "", ""});
    if (!row || !groups_.runs(row->name)) {
      answer(Error{ErrorCode::NotFound, "node " + context_.config.node + " does not have this group", ""});
      return;
    }
    Json told = knowledge_to_json(own_knowledge(context_, groups_, row->name));
    told["generation"] = row->generation; // it may have heard of one that it holds nothing of
    answer(std::move(told));
  });
}

} // namespace rc::agent
