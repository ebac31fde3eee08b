// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/sessions.hpp"

#include "base/log.hpp"

namespace rc::agent {
namespace {

constexpr auto first_pause = std::chrono::seconds(1);
constexpr unsigned doublings_max = 5; // 32 s
constexpr auto stood_long = std::chrono::seconds(10);

std::string text_of(const NodeCalls::Json& parameters, const char* key) {
  const auto found = parameters.is_object() ? parameters.find(key) : parameters.end();
  return parameters.is_object() && found != parameters.end() && found->is_string() ? found->get<std::string>()
                                                                                   : std::string();
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
  return found != sessions_.end() && found->second.is_up();
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
  if (found == sessions_.end() || found->second.sent_open || !peers_.link(key.peer))
    return;
  calls_.note(key.peer, "group.open", {{"group", key.group}, {"role", callbacks_.role(key.group)}});
  found->second.sent_open = true;
  found->second.retry.reset();
  tell_when_up(key, found->second);
}

void Sessions::tell_when_up(const Key& key, Session& session) {
  if (!session.is_up())
    return;
  session.up_since = std::chrono::steady_clock::now();
  callbacks_.up(key.group, key.peer);
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
  Session& session = sessions_[key];
  const bool was_up = session.is_up();
  session.sent_open = session.got_open = false;
  if (was_up)
    callbacks_.down(key.group, key.peer, reason);
}

void Sessions::heard_open(const std::string& peer, const NodeCalls::Json& parameters) {
  const Key key{text_of(parameters, "group"), peer};
  if (!sessions_.contains(key) && !key.group.empty() &&
      callbacks_.accept(key.group, peer, text_of(parameters, "role")))
    want(key.group, peer);
  const auto found = sessions_.find(key);
  if (found == sessions_.end()) {
    calls_.note(peer, "group.closed",
                {{"group", key.group},
                 {"reason", "node " + context_.config.node + " has no pair of group " + key.group +
                                " with node " + peer}});
    return;
  }
  // The peer begins anew although we think that the session stands: it does not any more.
  if (found->second.is_up()) {
    reset(key, "the other end opened a new session");
    found->second.got_open = true;
    open(key);
    return;
  }
  found->second.got_open = true;
  if (found->second.retry)
    open(key); // who opens first ends the pause of both
  else
    tell_when_up(key, found->second);
}

void Sessions::heard_closed(const std::string& peer, const NodeCalls::Json& parameters) {
  const Key key{text_of(parameters, "group"), peer};
  if (!sessions_.contains(key))
    return;
  const auto reason = parameters.value("reason", NodeCalls::Json());
  const std::string text = reason.is_string() ? reason.get<std::string>() : "closed by the other end";
  log::debug("group " + key.group + ": node " + peer + " closed the session: " + text);
  reset(key, text);
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
  for (const auto& key : keys)
    reset(key, reason);
}

} // namespace rc::agent
