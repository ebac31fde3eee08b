// SPDX-License-Identifier: GPL-2.0-or-later
// The links to the other nodes: at most one for each, whoever connected. Decides only which of two
// simultaneous connections stays. Knows nothing of groups; frames are handed on. Single-threaded.
#pragma once

#include "agent/context.hpp"
#include "io/link.hpp"

#include <map>

namespace rc::agent {

class Peers {
public:
  struct Callbacks {
    std::function<void(const std::string& peer)> up;
    std::function<void(const std::string& peer, const std::string& reason)> down;
    std::function<void(const std::string& peer, io::ReceivedFrame frame)> frame;
  };
  Peers(Context& context, Callbacks callbacks);

  Status listen();
  // Nodes of the inventory; those with an address are connected to, and again whenever their link is down.
  void set_nodes(const std::vector<io::NodeRow>& nodes);
  // Ends the link and connects no more. A node that knows our address may still connect to us.
  void forget(const std::string& peer);
  bool has_address(const std::string& peer) const;

  io::Link* link(const std::string& peer); // null when down
  control::LinkStatus status(const std::string& peer) const;

private:
  struct Peer {
    control::Address address; // port 0: unknown
    std::unique_ptr<io::Connector> connector;
    std::unique_ptr<io::Link> link;
    std::string reason = "not yet connected";
    std::string since;
  };
  void adopt(std::unique_ptr<io::Link> link);
  void lost(const std::string& peer, const io::Link* link, const Error& error);
  void keep_trying(const std::string& name);
  bool stays(const io::Link& link) const;
  void discard(std::unique_ptr<io::Link> link);

  Context& context_;
  Callbacks callbacks_;
  std::shared_ptr<io::PeerNames> allowed_;
  std::unique_ptr<io::Listener> listener_;
  std::map<std::string, Peer> peers_;
};

} // namespace rc::agent
