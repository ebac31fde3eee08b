// SPDX-License-Identifier: GPL-2.0-or-later
// Calls between agents, on channel 0 of a link: the same methods and values as on the local socket, plus a
// few that only agents use. {"call":7,"method":...,"parameters":...} is answered by
// {"reply":7,"parameters"|"error":...};
// {"note":...,"parameters":...} has no answer. A call whose link goes down fails with Unreachable.
#pragma once

#include "agent/peers.hpp"
#include "format/control_handler.hpp"

#include <nlohmann/json.hpp>

namespace rc::agent {

// What a peer put there; "" when there is no text of that name.
std::string text_of(const control::Json& object, const char* key);

class NodeCalls {
public:
  using Json = control::Json;
  using Answer = std::function<void(Result<Json>)>;
  // An agents-only method: answers by calling `answer` once, now or later.
  using Method = std::function<void(const std::string& peer, const Json& parameters, Answer answer)>;
  using NoteHandler = std::function<void(const std::string& peer, const Json& parameters)>;

  NodeCalls(Context& context, Peers& peers) : context_(context), peers_(peers) {}

  void serve(control::ControlHandler& handler) { handler_ = &handler; }
  void serve(const std::string& method, Method function) { methods_[method] = std::move(function); }
  void on_note(const std::string& name, NoteHandler handler) { notes_[name] = std::move(handler); }

  void call(const std::string& peer, const std::string& method, Json parameters, Answer answer,
            std::chrono::milliseconds timeout = std::chrono::seconds(30));
  void note(const std::string& peer, const std::string& name, Json parameters);

  void link_down(const std::string& peer, const std::string& reason);
  void frame(const std::string& peer, ByteView body);

private:
  struct Pending {
    std::string peer;
    Answer answer;
    std::unique_ptr<boost::asio::steady_timer> timer;
  };
  void send(const std::string& peer, const Json& object);
  void serve_call(const std::string& peer, const Json& object);
  void finish(std::uint64_t id, Result<Json> result);

  Context& context_;
  Peers& peers_;
  control::ControlHandler* handler_ = nullptr;
  std::map<std::string, Method> methods_;
  std::map<std::string, NoteHandler> notes_;
  std::map<std::uint64_t, Pending> pending_;
  std::uint64_t next_id_ = 1;
};

} // namespace rc::agent
