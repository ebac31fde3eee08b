// SPDX-License-Identifier: GPL-2.0-or-later
// The sessions of the groups on the links (core/session.hpp says when one stands). Only then do the
// group's messages and records count; what is still on its way from an older session is dropped. A session
// that was closed is opened again by both ends after a pause, a longer one each time that it did not last.
// docs/wire.md, "Sessions of a group". Single-threaded.
#pragma once

#include "agent/node_calls.hpp"
#include "core/session.hpp"

#include <memory>
#include <set>

namespace rc::agent {

class Sessions {
public:
  struct Callbacks {
    std::function<void(const std::string& group, const std::string& peer)> up;
    std::function<void(const std::string& group, const std::string& peer, const std::string& reason)> down;
    // A peer opens a session that this node did not want: may it (a primary of an older generation that must
    // learn of it)? Asked at each opening, so that a guest that changes its role is one no longer.
    std::function<bool(const std::string& group, const std::string& role)> accept;
    // This node's role in the group, told to the peer: "primary", "secondary", or "" while it is not known.
    std::function<std::string(const std::string& group)> role;
  };
  Sessions(Context& context, Peers& peers, NodeCalls& calls, Callbacks callbacks);

  // This node wants to talk about the group with that peer. Idempotent. A guest's session ends and a new one
  // begins: nobody listened to what the guest said.
  void want(const std::string& group, const std::string& peer);
  void unwant(const std::string& group, const std::string& peer, const std::string& reason);
  // End the session; opened again after the pause. The core's CloseLink.
  void close(const std::string& group, const std::string& peer, const std::string& reason);
  bool up(const std::string& group, const std::string& peer) const;
  // The session is the peer's wish only (Callbacks::accept).
  bool guest(const std::string& group, const std::string& peer) const;
  // A reason for refusals is gone: try now if a pause is under way.
  void hurry(const std::string& group, const std::string& peer);

  void link_up(const std::string& peer);
  void link_down(const std::string& peer, const std::string& reason);

private:
  struct Key {
    std::string group;
    std::string peer;
    auto operator<=>(const Key&) const = default;
  };
  struct Session {
    core::Session talk;
    bool guest = false;
    std::unique_ptr<boost::asio::steady_timer> retry; // while a pause is under way
    unsigned short_ones = 0;                          // sessions that were closed soon, in a row
    std::chrono::steady_clock::time_point up_since{};
  };
  void open(const Key& key);
  void open_later(const Key& key);
  void send(const Key& key, const core::Session::Open& open);
  void reset(const Key& key, const std::string& reason);
  void heard_open(const std::string& peer, const NodeCalls::Json& parameters);
  void heard_closed(const std::string& peer, const NodeCalls::Json& parameters);

  Context& context_;
  Peers& peers_;
  NodeCalls& calls_;
  Callbacks callbacks_;
  std::map<Key, Session> sessions_;
  std::uint64_t numbers_ = 0; // of openings
};

} // namespace rc::agent
