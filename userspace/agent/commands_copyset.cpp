// SPDX-License-Identifier: GPL-2.0-or-later
// Where commands meet copysets: what is for the whole copyset is done by CopysetCreation and SiteTakeover.
#include "agent/commands.hpp"

#include <nlohmann/json.hpp>

namespace rc::agent {

using namespace rc::control;

namespace {

// The way back of a plan that this node asks itself for.
class PlanSink : public ReplySink {
public:
  explicit PlanSink(SiteTakeover::Answered answered) : answered_(std::move(answered)) {}
  void send(Json parameters, bool continues) override {
    if (!continues)
      answered_(from_json<TakeoverReply>(parameters));
  }
  void fail(const Error& error) override { answered_(error); }
  std::size_t backlog() const override { return 0; }

private:
  SiteTakeover::Answered answered_;
};

} // namespace

void Commands::copyset_create(const CopysetCreateRequest& request, Reply<ChangeReply> reply) {
  copyset_creation_.create(request, reply);
}

void Commands::plan_group(const TakeoverRequest& request, const SiteTakeover::Answered& answered) {
  TakeoverRequest plan = request;
  plan.dry_run = true;
  take_over_group(
      plan, Reply<TakeoverReply>(std::make_shared<PendingCall>(std::make_shared<PlanSink>(answered), false)));
}

} // namespace rc::agent
