// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/site_plan.hpp"

#include <algorithm>

namespace rc::agent {

using namespace rc::control;

namespace {

template <typename T> void worst(std::optional<T>& all, const std::optional<T>& one, bool sum) {
  if (!all || !one)
    all.reset(); // of one that is not known all of it is not known
  else
    all = sum ? *all + *one : std::max(*all, *one);
}

// Of the steps of a group on its own only what concerns other nodes stays as it is.
bool of_others(const PlanStep& step) { return step.kind == "fence" || step.kind == "tell_peers"; }

void add_once(std::vector<PlanStep>& steps, const PlanStep& step) {
  const bool there = std::any_of(steps.begin(), steps.end(), [&](const PlanStep& one) {
    return one.node == step.node && one.text == step.text;
  });
  if (!there)
    steps.push_back(step);
}

} // namespace

TakeoverReply site_plan(const std::string& copyset, const std::string& site, const std::string& group,
                        const std::string& here, const std::vector<SeatPlan>& seats) {
  TakeoverReply all;
  all.group = group;
  all.dry_run = true;
  all.allowed = all.complete = true;
  all.forecast.current = true;
  all.forecast.lost_seconds = 0;
  all.forecast.lost_bytes = 0;
  std::vector<PlanStep> last;
  for (const auto& [of, node, plan] : seats) {
    for (const std::string& device : plan.devices)
      all.devices.push_back(node == here ? device : node + ":" + device);
    if (plan.complete)
      continue; // its host may write already
    all.complete = false;
    if (!plan.allowed) {
      all.allowed = false;
      all.needs_force = all.needs_force || plan.needs_force;
      all.refusal +=
          (all.refusal.empty() ? "" : "; ") + ("group " + of + " on node " + node + ": ") + plan.refusal;
      all.next_action = plan.next_action;
    }
    worst(all.forecast.lost_seconds, plan.forecast.lost_seconds, false);
    worst(all.forecast.lost_bytes, plan.forecast.lost_bytes, true);
    all.forecast.current = all.forecast.current && plan.forecast.current;
    for (const std::string& volume : plan.forecast.lost_volumes)
      all.forecast.lost_volumes.push_back(of + "/" + volume);
    all.forecast.in_words +=
        (all.forecast.in_words.empty() ? "group " : "; group ") + of + ": " + plan.forecast.in_words;
    for (const SiteForecast& one : plan.sites) {
      all.sites.push_back(one);
      all.sites.back().image = "group " + of + ": " + one.image;
    }
    for (const PlanStep& step : plan.steps)
      if (of_others(step))
        add_once(step.kind == "fence" ? all.steps : last, step);
  }
  if (!all.complete) {
    all.forecast.in_words += "; the site shows the newest checkpoint that all of its copies hold, "
                             "which may be older than the newest of one";
    for (const auto& [of, node, plan] : seats)
      if (!plan.complete)
        all.steps.push_back({.node = node,
                             .text = "group " + of +
                                     ": close the stream, roll forward with the others, store "
                                     "the new generation, then let hosts write",
                             .kind = "store_lineage"});
    all.steps.insert(all.steps.end(), last.begin(), last.end());
  }
  if (all.complete)
    all.next_action = "site " + site + " has taken copyset " + copyset + " over already";
  else if (all.allowed)
    all.next_action = "rcctl takeover " + group + " (the whole site " + site + " of copyset " + copyset + ")";
  return all;
}

} // namespace rc::agent
