// SPDX-License-Identifier: GPL-2.0-or-later
// Verbs that change who may write: takeover, confirm. Before a takeover the plan and its loss are always
// shown.
#include "ctl/agent_call.hpp"
#include "ctl/change.hpp"
#include "ctl/status_view.hpp"
#include "format/control_check.hpp"

#include <ostream>

namespace rc::ctl {
namespace {

using control::TakeoverReply;

Error refusal_of(const TakeoverReply& plan) {
  const std::string why = plan.refusal.empty() ? "" : ": " + plan.refusal;
  if (!plan.needs_force)
    return {ErrorCode::Refused, "takeover of " + plan.group + " is not possible" + why, plan.next_action};
  return {ErrorCode::Refused, "takeover of " + plan.group + " is refused for safety" + why,
          plan.next_action.empty() ? "read the forecast; then --force, or --accept-loss-of NODE"
                                   : plan.next_action};
}

// Prints the lines that are new since the last report: steps that began, ended or failed.
class StepPrinter {
public:
  explicit StepPrinter(Terminal& terminal) : terminal_(terminal) {}
  void show(const TakeoverReply& plan) {
    shown_.resize(std::max(shown_.size(), plan.steps.size()), control::StepState::Planned);
    for (std::size_t i = 0; i < plan.steps.size(); ++i) {
      const control::PlanStep& step = plan.steps[i];
      if (std::exchange(shown_[i], step.state) == step.state)
        continue;
      terminal_.out << "step " << i + 1 << " of " << plan.steps.size() << " on " << step.node << ": "
                    << control::to_token(step.state) << ": " << step.text
                    << (step.reason.empty() ? "" : ": " + step.reason) << "\n"
                    << std::flush;
    }
  }

private:
  Terminal& terminal_;
  std::vector<control::StepState> shown_;
};

void show_devices(const char* outcome, const TakeoverReply& plan, Terminal& terminal) {
  terminal.out << outcome << ": group " << plan.group << " is primary here\n";
  for (const std::string& device : plan.devices)
    terminal.out << "  hosts use: " << device << "\n";
  if (!plan.next_action.empty())
    terminal.out << "  next: " << plan.next_action << "\n";
}

int takeover(const Invocation& invocation, Terminal& terminal) {
  control::TakeoverRequest request;
  request.group = invocation.text("GROUP");
  request.force = invocation.has("force");
  request.accept_loss_of = invocation.all("accept-loss-of");
  request.dry_run = true;
  if (Status good = control::check(request); !good)
    return report(good.error(), invocation.json, terminal);
  const Result<TakeoverReply> plan = ask<TakeoverReply>(invocation, request);
  if (!plan)
    return report(plan.error(), invocation.json, terminal);
  if (plan->complete) { // this node is the primary already
    if (invocation.json)
      print_json(*plan, terminal);
    else
      show_devices("already so", *plan, terminal);
    return Exit::done;
  }
  if (!invocation.json)
    terminal.out << takeover_text(*plan) << std::flush;
  if (invocation.has("dry-run") || !plan->allowed) {
    if (invocation.json)
      print_json(*plan, terminal);
    // With --json the plan itself says why it is refused: no second value on stdout.
    return plan->allowed ? Exit::done : report(refusal_of(*plan), false, terminal);
  }

  request.dry_run = false;
  StepPrinter printer(terminal);
  const auto show = [&](const TakeoverReply& reply) {
    if (invocation.json)
      print_json(reply, terminal);
    else
      printer.show(reply);
    return true;
  };
  const Result<TakeoverReply> last = ask_stream<TakeoverReply>(invocation, request, show);
  if (!last)
    return report(
        last.error().then(last.error().code == ErrorCode::Unreachable
                              ? "the agent goes on with the plan when it runs again: 'rcctl status " +
                                    request.group + "', or the same command again"
                              : last.error().next),
        invocation.json, terminal);
  if (!last->complete) {
    std::string why = "the takeover did not complete";
    for (const control::PlanStep& step : last->steps)
      if (step.state == control::StepState::Failed)
        why += ": " + step.text + ": " + step.reason;
    return report({ErrorCode::Failed, why, last->next_action}, false, terminal);
  }
  if (!invocation.json)
    show_devices("done", *last, terminal);
  return Exit::done;
}

int confirm(const Invocation& invocation, Terminal& terminal) {
  const control::ConfirmRequest request{invocation.text("GROUP"), invocation.has("force")};
  return change(request, invocation, terminal);
}

} // namespace

std::vector<Verb> takeover_verbs() {
  return {
      {"takeover",
       "Run the application here: make this node's copy the primary",
       {{"GROUP", Kind::Group}},
       {{"dry-run", nullptr, "only show plan and forecast of the loss (exit 6 when it would be refused)"},
        {"force", nullptr, "the primary may still run (you have fenced it), or the shown loss is accepted"},
        {"accept-loss-of", "NODE", "give up what this node holds beyond this copy", Kind::Node, false, true}},
       takeover,
       "Shows first what each site holds and what would be lost. Refused when the primary still answers, "
       "when another\n"
       "site holds more, or when a site that can't be asked may hold more: name it with --accept-loss-of, or "
       "--force."},
      {"confirm",
       "Let a primary that came back take writes",
       {{"GROUP", Kind::Group}},
       {{"force", nullptr, "no peer can be asked: you know that no other site took over"}},
       confirm,
       "A primary that was away waits until a peer says that no other site took over. Only after fencing all "
       "of them: --force."},
  };
}

} // namespace rc::ctl
