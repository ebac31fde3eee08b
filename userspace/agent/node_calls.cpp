// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/node_calls.hpp"

#include "base/log.hpp"
#include "format/messages_cbor.hpp"

namespace rc::agent {

std::string text_of(const control::Json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() && found->is_string() ? found->get<std::string>()
                                                                           : std::string();
}

namespace {

control::Json error_json(const Error& error) {
  return {{"code", to_string(error.code)}, {"reason", error.what}, {"next_action", error.next}};
}

// The way back of a forwarded request of the control protocol: one answer, no streams.
class LinkSink : public control::ReplySink {
public:
  explicit LinkSink(NodeCalls::Answer answer) : answer_(std::move(answer)) {}
  void send(control::Json parameters, bool continues) override {
    if (!continues)
      answer_(std::move(parameters));
  }
  void fail(const Error& error) override { answer_(error); }
  std::size_t backlog() const override { return 0; }

private:
  NodeCalls::Answer answer_;
};

} // namespace

void NodeCalls::send(const std::string& peer, const Json& object) {
  if (io::Link* link = peers_.link(peer))
    link->send(format::FrameType::Node, 0, format::encode_json(object));
}

void NodeCalls::call(const std::string& peer, const std::string& method, Json parameters, Answer answer,
                     std::chrono::milliseconds timeout) {
  if (!peers_.link(peer)) {
    const auto status = peers_.status(peer);
    answer(
        Error{ErrorCode::Unreachable, "no link to node " + peer + ": " + status.reason, status.next_action});
    return;
  }
  const std::uint64_t id = next_id_++;
  Pending& pending = pending_[id];
  pending.peer = peer;
  pending.answer = std::move(answer);
  pending.timer = std::make_unique<boost::asio::steady_timer>(context_.loop, timeout);
  pending.timer->async_wait([this, id, peer, method](boost::system::error_code failed) {
    if (!failed)
      finish(id, Error{ErrorCode::Timeout, "node " + peer + " did not answer " + method + " in time",
                       "look at rcagent's log there"});
  });
  send(peer, {{"call", id}, {"method", method}, {"parameters", std::move(parameters)}});
}

void NodeCalls::note(const std::string& peer, const std::string& name, Json parameters) {
  send(peer, {{"note", name}, {"parameters", std::move(parameters)}});
}

void NodeCalls::finish(std::uint64_t id, Result<Json> result) {
  const auto found = pending_.find(id);
  if (found == pending_.end())
    return;
  Answer answer = std::move(found->second.answer);
  pending_.erase(found);
  answer(std::move(result));
}

void NodeCalls::link_down(const std::string& peer, const std::string& reason) {
  std::vector<std::uint64_t> ids;
  for (const auto& [id, pending] : pending_)
    if (pending.peer == peer)
      ids.push_back(id);
  for (const auto id : ids)
    finish(id, Error{ErrorCode::Unreachable, "the link to " + peer + " went down: " + reason, "try again"});
}

void NodeCalls::frame(const std::string& peer, ByteView body) {
  const auto object = format::decode_json(body);
  if (!object || !object->is_object()) {
    log::warning("node " + peer + ": sent a node frame that makes no sense: ignored");
    return;
  }
  const auto parameters = object->value("parameters", Json::object());
  if (const auto name = text_of(*object, "note"); !name.empty()) {
    if (const auto found = notes_.find(name); found != notes_.end())
      found->second(peer, parameters);
  } else if (object->contains("call")) {
    serve_call(peer, *object);
  } else if (const auto id = object->find("reply"); id != object->end() && id->is_number_unsigned()) {
    const auto pending = pending_.find(id->get<std::uint64_t>());
    if (pending == pending_.end() || pending->second.peer != peer)
      return;
    if (const auto error = object->find("error"); error != object->end() && error->is_object())
      finish(id->get<std::uint64_t>(), Error{control::error_code_from(text_of(*error, "code")),
                                             text_of(*error, "reason"), text_of(*error, "next_action")});
    else
      finish(id->get<std::uint64_t>(), parameters);
  }
}

void NodeCalls::serve_call(const std::string& peer, const Json& object) {
  const auto& id = object["call"];
  if (!id.is_number_unsigned())
    return;
  const Answer answer = [this, peer, id](Result<Json> result) {
    if (result)
      send(peer, {{"reply", id}, {"parameters", std::move(*result)}});
    else
      send(peer, {{"reply", id}, {"error", error_json(result.error())}});
  };
  const auto method = text_of(object, "method");
  const auto parameters = object.value("parameters", Json::object());
  if (const auto found = methods_.find(method); found != methods_.end())
    found->second(peer, parameters, answer);
  else if (handler_)
    control::dispatch(*handler_, control::Caller::Peer, method, parameters, false,
                      std::make_shared<LinkSink>(answer));
}

} // namespace rc::agent
