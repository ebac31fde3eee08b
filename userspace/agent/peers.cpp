// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/peers.hpp"

namespace rc::agent {

Peers::Peers(Context& context, Callbacks callbacks)
    : context_(context), callbacks_(std::move(callbacks)), allowed_(std::make_shared<io::PeerNames>()) {
  // The CA's certificate is the membership card: a node that was never named here may introduce itself. What
  // it may do is decided for each group.
  allowed_->allow_any(true);
}

Status Peers::listen() {
  const auto& listen = context_.config.listen;
  auto listener = io::Listener::create(
      listen.host, listen.port, context_.tls, allowed_, context_.executor(), {},
      [this](std::unique_ptr<io::Link> link) { adopt(std::move(link)); },
      [this](io::RefusedPeer refused) {
        context_.events.add(control::Severity::Warning, control::EventKind::Call,
                            "node " + (refused.name.empty() ? refused.address : refused.name), "",
                            "refused a connection from " + refused.address + ": " + refused.error.what,
                            refused.error.next);
      });
  if (!listener)
    return listener.error().because("cannot listen on " + control::to_string(listen));
  listener_ = std::move(*listener);
  return {};
}

void Peers::set_nodes(const std::vector<io::NodeRow>& nodes) {
  for (const auto& node : nodes) {
    if (node.self)
      continue;
    Peer& peer = peers_[node.name];
    if (peer.since.empty())
      peer.since = io::utc_now();
    const auto address = node.address.empty() ? control::Address{} : [&] {
      const auto parsed = control::parse_address(node.address);
      return parsed ? *parsed : control::Address{};
    }();
    if (address != peer.address) {
      peer.address = address;
      peer.connector.reset();
    }
    keep_trying(node.name);
  }
}

void Peers::keep_trying(const std::string& name) {
  Peer& peer = peers_[name];
  if (peer.link || peer.connector || peer.address.port == 0)
    return;
  peer.connector = io::Connector::create(
      peer.address.host, peer.address.port, name, context_.tls, context_.executor(), {},
      [this](std::unique_ptr<io::Link> link) { adopt(std::move(link)); },
      [this, name](const Error& error) {
        const auto found = peers_.find(name);
        if (found != peers_.end() && !found->second.link)
          found->second.reason = error.text();
      });
}

// Both nodes may connect at the same time. Both then keep the connection that the node with the smaller name
// made, so they agree without a word.
bool Peers::stays(const io::Link& link) const {
  return link.outgoing() == (context_.config.node < link.peer());
}

// Not at once: this may run in one of the link's own callbacks.
void Peers::discard(std::unique_ptr<io::Link> link) {
  io::post(context_.executor(), [link = std::shared_ptr<io::Link>(std::move(link))] {});
}

void Peers::adopt(std::unique_ptr<io::Link> link) {
  const std::string name = link->peer();
  if (name == context_.config.node) {
    context_.events.add(control::Severity::Error, control::EventKind::Call, "node " + name, "",
                        "another machine at " + link->address() + " shows our own node name",
                        "issue a certificate of its own to it: rcctl ca issue NODE");
    discard(std::move(link));
    return;
  }
  Peer& peer = peers_[name];
  if (peer.link) {
    if (peer.link->outgoing() != link->outgoing() && stays(*peer.link)) {
      discard(std::move(link));
      return;
    }
    auto old = std::move(peer.link);
    callbacks_.down(name, "replaced by a newer connection");
    discard(std::move(old));
  }
  if (!link->outgoing())
    peer.connector.reset();
  peer.link = std::move(link);
  peer.reason.clear();
  peer.since = io::utc_now();
  io::Link* raw = peer.link.get();
  raw->start({.frames =
                  [this, name, raw](std::vector<io::ReceivedFrame> frames) {
                    for (auto& frame : frames) {
                      const auto found = peers_.find(name);
                      if (found == peers_.end() || found->second.link.get() != raw)
                        return;
                      callbacks_.frame(name, std::move(frame));
                    }
                  },
              .drained = {},
              .down = [this, name, raw](const Error& error) { lost(name, raw, error); }});
  context_.events.add(control::Severity::Info, control::EventKind::Change, "node " + name, "",
                      "link up, " + raw->address() + ", " + raw->cipher());
  callbacks_.up(name);
}

void Peers::lost(const std::string& name, const io::Link* link, const Error& error) {
  const auto found = peers_.find(name);
  if (found == peers_.end() || found->second.link.get() != link)
    return;
  auto gone = std::move(found->second.link);
  found->second.reason = error.text();
  found->second.since = io::utc_now();
  context_.events.add(control::Severity::Warning, control::EventKind::Change, "node " + name, "",
                      "link down: " + error.text());
  callbacks_.down(name, error.text());
  discard(std::move(gone));
  keep_trying(name);
}

void Peers::forget(const std::string& name) {
  const auto found = peers_.find(name);
  if (found == peers_.end())
    return;
  auto gone = std::move(found->second.link);
  peers_.erase(found);
  if (!gone)
    return;
  callbacks_.down(name, "the node was removed");
  discard(std::move(gone));
}

bool Peers::has_address(const std::string& name) const {
  const auto found = peers_.find(name);
  return found != peers_.end() && found->second.address.port != 0;
}

io::Link* Peers::link(const std::string& name) {
  const auto found = peers_.find(name);
  return found == peers_.end() ? nullptr : found->second.link.get();
}

control::LinkStatus Peers::status(const std::string& name) const {
  control::LinkStatus status;
  status.node = name;
  const auto found = peers_.find(name);
  if (found == peers_.end()) {
    status.reason = "no such node";
    return status;
  }
  const Peer& peer = found->second;
  status.since = peer.since;
  if (peer.address.port != 0)
    status.address = control::to_string(peer.address);
  if (peer.link) {
    status.state = control::LinkState::Up;
    status.address = peer.link->address();
    const auto counters = peer.link->counters();
    status.sent_bytes = counters.sent_bytes;
    status.saved_bytes = counters.saved_bytes;
    if (peer.link->round_trip_us() != 0)
      status.rtt_seconds = peer.link->round_trip_us() / 1e6;
    return status;
  }
  status.state = peer.connector ? control::LinkState::Connecting : control::LinkState::Down;
  status.reason = peer.reason;
  status.next_action =
      peer.address.port == 0
          ? "it has to connect to us; or tell its address: rcctl node add " + name + " --address HOST:PORT"
          : "check that rcagent runs on " + name + " and that " + status.address + " is reachable";
  return status;
}

} // namespace rc::agent
