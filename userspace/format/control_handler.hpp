// SPDX-License-Identifier: GPL-2.0-or-later
// Who acts on requests: the agent implements ControlHandler; the server (io/control_socket.hpp) decodes,
// calls and sends what comes back. The same dispatch serves a request that another node forwarded over its
// link. Calling context: all of it on the owner's one executor; nothing here locks. A handler may answer at
// once or later, from any later callback on that executor; each call is answered exactly once in the end: a
// Reply whose last copy goes away unanswered answers "the agent dropped the request" by itself.
#pragma once

#include "format/control_json.hpp"

#include <functional>
#include <memory>

namespace rc::control {

// The untyped way back of one call. Implemented by the server's connection and by the agent's forwarding.
class ReplySink {
public:
  virtual ~ReplySink() = default;
  virtual void send(Json parameters, bool continues) = 0;
  virtual void fail(const Error& error) = 0;
  // Bytes queued for a client that does not read: a stream skips a report when it is not 0.
  virtual std::size_t backlog() const = 0;
};

// One call: passes at most one last answer on to its sink. Shared by the copies of a Reply.
class PendingCall {
public:
  PendingCall(std::shared_ptr<ReplySink> sink, bool more) : sink_(std::move(sink)), more_(more) {}
  PendingCall(const PendingCall&) = delete;
  PendingCall& operator=(const PendingCall&) = delete;
  ~PendingCall();

  void send(Json parameters, bool continues);
  void fail(const Error& error);
  // The client hung up: nothing is sent any more. Calls the function given to on_gone.
  void hang_up();
  void on_gone(std::function<void()> gone);

  bool more() const { return more_; }
  bool open() const { return sink_ != nullptr; }
  std::size_t backlog() const { return sink_ ? sink_->backlog() : 0; }

private:
  std::shared_ptr<ReplySink> sink_; // null: answered or gone
  std::function<void()> gone_;
  bool hung_up_ = false;
  bool more_;
};

// The typed way back. Copies are the same call; keep one for as long as the answer is outstanding.
template <typename T> class Reply {
public:
  explicit Reply(std::shared_ptr<PendingCall> call) : call_(std::move(call)) {}

  void operator()(const T& value) const; // last answer
  void operator()(const Error& error) const { call_->fail(error); }
  void operator()(const Result<T>& result) const {
    if (result)
      (*this)(*result);
    else
      (*this)(result.error());
  }
  // One of several answers; only when wants_more(), else it is left out.
  void progress(const T& value) const;

  bool wants_more() const { return call_->more(); }
  bool open() const {
    return call_->open();
  } // false: answered, or the client hung up; stop the work of a stream
  bool backlogged() const { return call_->backlog() > 0; }
  // Called at most once, when the client hangs up before the last answer. Changes that were begun go on.
  void on_gone(std::function<void()> gone) const { call_->on_gone(std::move(gone)); }

private:
  std::shared_ptr<PendingCall> call_;
};

class ControlHandler {
public:
  virtual ~ControlHandler() = default;

  virtual void version(const VersionRequest& request, Reply<VersionReply> reply) = 0;
  virtual void node_add(const NodeAddRequest& request, Reply<ChangeReply> reply) = 0;
  virtual void node_remove(const NodeRemoveRequest& request, Reply<ChangeReply> reply) = 0;
  virtual void group_create(const GroupCreateRequest& request, Reply<ChangeReply> reply) = 0;
  virtual void group_set(const GroupSetRequest& request, Reply<ChangeReply> reply) = 0;
  virtual void group_delete(const GroupDeleteRequest& request, Reply<ChangeReply> reply) = 0;
  virtual void volume_create(const VolumeCreateRequest& request, Reply<ChangeReply> reply) = 0;
  virtual void volume_delete(const VolumeDeleteRequest& request, Reply<ChangeReply> reply) = 0;
  virtual void pair_create(const PairCreateRequest& request, Reply<ChangeReply> reply) = 0;
  virtual void pair_action(const PairActionRequest& request, Reply<ChangeReply> reply) = 0;
  virtual void copyset_create(const CopysetCreateRequest& request, Reply<ChangeReply> reply) = 0;
  virtual void list(const ListRequest& request, Reply<ListReply> reply) = 0;
  virtual void status(const StatusRequest& request, Reply<StatusReply> reply) = 0;
  virtual void events(const EventsRequest& request, Reply<EventsReply> reply) = 0;
  virtual void takeover(const TakeoverRequest& request, Reply<TakeoverReply> reply) = 0;
  virtual void confirm(const ConfirmRequest& request, Reply<ChangeReply> reply) = 0;
  virtual void copy_prepare(const CopyPrepareRequest& request, Reply<ChangeReply> reply) = 0;
};

// Who asks. Over the link only copy.prepare and forwarded requests of rcctl come in.
enum class Caller { LocalRoot, Peer };

// Decodes, checks names and addresses, calls the handler's method; answers NotFound for an unknown method,
// Usage for bad parameters, NotPermitted for copy.prepare from the local socket. Returns the call, so that
// the connection can hang it up.
std::shared_ptr<PendingCall> dispatch(ControlHandler& handler, Caller caller, std::string_view method,
                                      const Json& parameters, bool more, std::shared_ptr<ReplySink> sink);

} // namespace rc::control
