// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/sessions.hpp"

#include "base/log.hpp"

namespace rc::agent {
namespace {

constexpr auto first_pause = std::chrono::seconds(1);
constexpr unsigned doublings_max = 5; // 32 s
constexpr auto stood_long = std::chrono::seconds(10);

std::uint64_t number_of(const NodeCalls::Json& parameters, const char* key) {
  const auto found = parameters.is_object() ? parameters.find(key) : parameters.end();
  return parameters.is_object() && found != parameters.end() && found->is_number_unsigned()
             ? found->get<std::uint64_t>()
             : 0;
}

} // namespace

Sessions::Sessions(Context& context, Peers& peers, NodeCalls& calls, Callbacks callbacks)
    : context_(context), peers_(peers), calls_(calls), callbacks_(std::move(callbacks)) {
  calls_.on_note("group.open",
                 [this](const auto& peer, const auto& parameters) { heard_open(peer, parameters); });
  calls_.on_note("group.closed",
                 [this](const auto& peer, const auto& parameters) { heard_closed(peer, parameters); });
}

void Sessions::want(const std::string& group, const std::string& peer) {
  const Key key{group, peer};
  if (guest(group, peer))
    unwant(group, peer, "the pair's own session begins");
  if (sessions_.try_emplace(key).second)
    open(key);
}

void Sessions::unwant(const std::string& group, const std::string& peer, const std::string& reason) {
  const Key key{group, peer};
  if (!sessions_.contains(key))
    return;
  calls_.note(peer, "group.closed", {{"group", group}, {"reason", reason}});
  reset(key, reason);
  sessions_.erase(key);
}

void Sessions::close(const std::string& group, const std::string& peer, const std::string& reason) {
  const Key key{group, peer};
  if (!sessions_.contains(key))
    return;
  calls_.note(peer, "group.closed", {{"group", group}, {"reason", reason}});
  reset(key, reason);
  open_later(key);
}

bool Sessions::up(const std::string& group, const std::string& peer) const {
  const auto found = sessions_.find(Key{group, peer});
  return found != sessions_.end() && found->second.talk.up();
}

bool Sessions::guest(const std::string& group, const std::string& peer) const {
  const auto found = sessions_.find(Key{group, peer});
  return found != sessions_.end() && found->second.guest;
}

void Sessions::hurry(const std::string& group, const std::string& peer) {
  const auto found = sessions_.find(Key{group, peer});
  if (found == sessions_.end() || !found->second.retry)
    return;
  found->second.short_ones = 0;
  open(Key(found->first));
}

void Sessions::open(const Key& key) {
  const auto found = sessions_.find(key);
  if (found == sessions_.end() || found->second.talk.opened() || !peers_.link(key.peer))
    return;
  found->second.retry.reset();
  send(key, found->second.talk.begin(++numbers_));
}

void Sessions::send(const Key& key, const core::Session::Open& open) {
  calls_.note(key.peer, "group.open",
              {{"group", key.group},
               {"role", callbacks_.role(key.group)},
               {"number", open.own},
               {"heard", open.heard}});
}

// What a peer refuses it will refuse again in a second: each short session doubles the pause.
void Sessions::open_later(const Key& key) {
  Session& session = sessions_[key];
  if (std::chrono::steady_clock::now() - session.up_since > stood_long)
    session.short_ones = 0;
  const auto pause = first_pause * (1U << std::min(session.short_ones, doublings_max));
  session.short_ones++;
  session.retry = std::make_unique<boost::asio::steady_timer>(context_.loop, pause);
  session.retry->async_wait([this, key](boost::system::error_code failed) {
    if (!failed)
      open(key);
  });
}

void Sessions::reset(const Key& key, const std::string& reason) {
  if (sessions_[key].talk.reset())
    callbacks_.down(key.group, key.peer, reason);
}

void Sessions::heard_open(const std::string& peer, const NodeCalls::Json& parameters) {
  const Key key{text_of(parameters, "group"), peer};
  const core::Session::Open theirs{number_of(parameters, "number"), number_of(parameters, "heard")};
  if (theirs.own == 0) { // no session could ever stand: say so instead of waiting
    log::warning("group " + key.group + ": node " + peer +
                 " opens a session without a number: refused; install one version on both nodes");
    calls_.note(
        peer, "group.closed",
        {{"group", key.group},
         {"reason", "node " + context_.config.node + " takes no session without a number: another version"}});
    return;
  }
  const bool known = sessions_.contains(key);
  if ((!known || sessions_[key].guest) &&
      (key.group.empty() || !callbacks_.accept(key.group, text_of(parameters, "role")))) {
    calls_.note(peer, "group.closed",
                {{"group", key.group},
                 {"reason", "node " + context_.config.node + " has no pair of group " + key.group +
                                " with node " + peer}});
    if (known) {
      reset(key, "it is a guest no longer");
      sessions_.erase(key);
    }
    return;
  }
  const auto found = sessions_.try_emplace(key).first;
  found->second.guest |= !known;
  const auto heard = found->second.talk.heard(theirs);
  if (heard.down)
    callbacks_.down(key.group, key.peer, "the other end opened a new session");
  if (!sessions_.contains(key))
    return; // that was its last word
  Session& session = sessions_[key];
  if (!session.talk.opened()) {
    open(key); // who opens first ends the pause of both
    return;
  }
  if (heard.reply)
    send(key, session.talk.current());
  if (heard.up) {
    session.up_since = std::chrono::steady_clock::now();
    callbacks_.up(key.group, key.peer);
  }
}

void Sessions::heard_closed(const std::string& peer, const NodeCalls::Json& parameters) {
  const Key key{text_of(parameters, "group"), peer};
  if (!sessions_.contains(key))
    return;
  const auto reason = parameters.value("reason", NodeCalls::Json());
  const std::string text = reason.is_string() ? reason.get<std::string>() : "closed by the other end";
  log::debug("group " + key.group + ": node " + peer + " closed the session: " + text);
  reset(key, text);
  if (sessions_[key].guest)
    sessions_.erase(key);
  else
    open_later(key);
}

void Sessions::link_up(const std::string& peer) {
  for (const auto& [key, session] : sessions_)
    if (key.peer == peer)
      open(Key(key));
}

void Sessions::link_down(const std::string& peer, const std::string& reason) {
  std::vector<Key> keys;
  for (const auto& [key, session] : sessions_)
    if (key.peer == peer)
      keys.push_back(key);
  for (const auto& key : keys) {
    reset(key, reason);
    if (sessions_[key].guest)
      sessions_.erase(key);
  }
}

} // namespace rc::agent
