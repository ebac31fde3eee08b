// SPDX-License-Identifier: GPL-2.0-or-later
// group set: settings of a group change while it runs, at the primary and at every copy. Invariant: a primary
// never stores (or reckons with) a shorter acknowledgement timeout while a sync copy may hold a lease of the
// longer one.
#include "agent/change_reply.hpp"
#include "agent/commands.hpp"
#include "agent/forward.hpp"
#include "agent/group_settings.hpp"
#include "core/lease.hpp"
#include "format/control_check.hpp"

namespace rc::agent {

using namespace rc::control;

namespace {
constexpr const char* peer_method = "group.settings"; // of agents only: taken over, never forwarded
}

void Commands::serve_settings() {
  calls_.serve(peer_method,
               [this](const std::string& peer, const Json& told, const NodeCalls::Answer& answer) {
                 const auto settings = from_json<GroupSetRequest>(told);
                 if (const Status good = settings ? check(*settings) : Status(settings.error()); !good) {
                   answer(good.error());
                   return;
                 }
                 const TargetRuntime* target = groups_.target(settings->name);
                 if (!target || target->source() != peer) {
                   answer(Error{ErrorCode::Refused,
                                "node " + context_.config.node + " holds no copy of group " + settings->name +
                                    " of node " + peer,
                                "rcctl status " + settings->name + " on both nodes"});
                   return;
                 }
                 const auto taken = groups_.take_settings(*settings);
                 if (!taken) {
                   answer(taken.error());
                   return;
                 }
                 if (*taken)
                   context_.events.add(Severity::Notice, EventKind::Change, "group " + settings->name,
                                       settings->name, "settings of node " + peer + " taken over");
                 answer(Json::object());
               });
}

void Commands::group_set(const GroupSetRequest& request, Reply<ChangeReply> reply) {
  const auto row = group_row(request.name);
  if (!row) {
    reply(row.error());
    return;
  }
  if (forwarded(*row, request, reply))
    return;
  GroupStatus state;
  groups_.fill_status(request.name, state);
  if (state.state == GroupState::Unconfirmed || state.state == GroupState::LostBranch) {
    reply(Error{ErrorCode::Refused,
                "group " + request.name + " on node " + context_.config.node + " is " +
                    to_token(state.state) + ": " + state.reason,
                state.next_action});
    return;
  }
  if (news_.holds_settings(request.name)) {
    reply(Error{ErrorCode::Again, "another change of the settings of group " + request.name + " is under way",
                "repeat the command in a moment"});
    return;
  }
  const io::GroupRow wanted = with_settings(*row, request);
  if (!shortens_lease(*row, wanted)) {
    store_settings(request, reply);
    return;
  }
  news_.hold_settings(request.name, true);
  shorten_leases(*row, wanted, [this, request, reply](const Status& done) {
    news_.hold_settings(request.name, false); // when it failed: the copies are told the old ones again
    if (done)
      store_settings(request, reply);
    else
      reply(done.error());
  });
}

void Commands::shorten_leases(const io::GroupRow& from, const io::GroupRow& to,
                              std::function<void(Status)> then) {
  std::vector<std::string> copies;
  const auto topology = context_.inventory.load();
  for (const auto& pair : topology ? topology->pairs : std::vector<io::PairRow>{})
    if (pair.group == from.name && pair.source == context_.config.node && pair.mode == Mode::Sync)
      copies.push_back(pair.target);
  if (copies.empty()) {
    then(topology ? Status() : Status(topology.error()));
    return;
  }
  struct Round {
    std::size_t open = 0;
    Status status;
  };
  auto round = std::make_shared<Round>();
  round->open = copies.size();
  for (const auto& copy : copies)
    calls_.call(copy, peer_method, to_json(settings_of(to)),
                [this, round, then, copy, from](const Result<Json>& answer) {
                  if (!answer)
                    round->status =
                        Error{ErrorCode::Refused,
                              "the acknowledgement timeout of group " + from.name +
                                  " can't become shorter: sync copy " + copy +
                                  " may take itself for current for longer, and can't be told: " +
                                  answer.error().what,
                              "repeat it when the link to " + copy + " is up, or delete that pair first"};
                  if (--round->open != 0)
                    return;
                  if (!round->status) {
                    then(round->status);
                    return;
                  }
                  const std::uint64_t lease = core::lease_for(from.ack_timeout_ms);
                  auto timer = std::make_shared<boost::asio::steady_timer>(
                      context_.loop, std::chrono::nanoseconds(lease + core::margin_for(lease)));
                  timer->async_wait([timer, then](boost::system::error_code) { then({}); });
                });
}

void Commands::store_settings(const GroupSetRequest& request, Reply<ChangeReply> reply) {
  const std::string object = "group " + request.name;
  const auto taken = groups_.take_settings(request);
  const auto row = taken ? group_row(request.name) : Result<io::GroupRow>(taken.error());
  if (!row) {
    reply(row.error());
    return;
  }
  auto answer = change(*taken ? Outcome::Changed : Outcome::Unchanged, object, settings_text(*row));
  if (*taken) {
    context_.events.add(Severity::Notice, EventKind::Change, object, request.name, answer.what);
    board_.changed();
  }
  news_.tell(
      request.name, [this, answer, reply, group = request.name](const PrimaryNews::Answers& answers) mutable {
        const auto topology = context_.inventory.load();
        for (const auto& pair : topology ? topology->pairs : std::vector<io::PairRow>{}) {
          if (pair.group != group || pair.source != context_.config.node)
            continue;
          const auto told = answers.find(pair.target);
          if (told != answers.end() && told->second)
            answer.details.push_back("node " + pair.target + " has them, too");
          else
            answer.warnings.push_back("node " + pair.target + " can't be told now" +
                                      (told == answers.end() ? "" : " (" + told->second.error().what + ")") +
                                      ": it gets them when its link is up");
        }
        reply(answer);
      });
}

} // namespace rc::agent
