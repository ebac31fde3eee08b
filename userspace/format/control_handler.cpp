// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/control_handler.hpp"

#include "format/control_check.hpp"
#include "format/control_wire.hpp"

namespace rc::control {

PendingCall::~PendingCall() {
  if (sink_)
    sink_->fail({ErrorCode::Failed, "the agent dropped the request without an answer",
                 "see 'journalctl -u rcagent', then try again"});
}

void PendingCall::send(Json parameters, bool continues) {
  if (!sink_ || (continues && !more_))
    return;
  const auto sink = continues ? sink_ : std::exchange(sink_, nullptr);
  if (!continues)
    gone_ = nullptr;
  sink->send(std::move(parameters), continues);
}

void PendingCall::fail(const Error& error) {
  if (!sink_)
    return;
  gone_ = nullptr;
  std::exchange(sink_, nullptr)->fail(error);
}

void PendingCall::hang_up() {
  hung_up_ = hung_up_ || sink_ != nullptr;
  sink_ = nullptr;
  if (const auto gone = std::exchange(gone_, nullptr))
    gone();
}

void PendingCall::on_gone(std::function<void()> gone) {
  if (sink_)
    gone_ = std::move(gone);
  else if (hung_up_)
    gone(); // it hung up before anybody listened
}

template <typename T> void Reply<T>::operator()(const T& value) const { call_->send(to_json(value), false); }
template <typename T> void Reply<T>::progress(const T& value) const { call_->send(to_json(value), true); }

template class Reply<VersionReply>;
template class Reply<ChangeReply>;
template class Reply<ListReply>;
template class Reply<StatusReply>;
template class Reply<EventsReply>;
template class Reply<TakeoverReply>;

namespace {

using Run = void (*)(ControlHandler&, const Json&, const std::shared_ptr<PendingCall>&);

template <typename Request, typename Answer, void (ControlHandler::*method)(const Request&, Reply<Answer>)>
void run(ControlHandler& handler, const Json& parameters, const std::shared_ptr<PendingCall>& call) {
  Result<Request> request = from_json<Request>(parameters);
  if (!request)
    return call->fail(request.error());
  if (Status good = check(*request); !good)
    return call->fail(good.error());
  (handler.*method)(*request, Reply<Answer>(call));
}

struct Method {
  const char* name;
  Run run;
  bool peers_only;
};

template <typename Request, typename Answer, void (ControlHandler::*method)(const Request&, Reply<Answer>)>
constexpr Method entry(bool peers_only = false) {
  return {Request::method, &run<Request, Answer, method>, peers_only};
}

using H = ControlHandler;
constexpr Method methods[] = {
    entry<VersionRequest, VersionReply, &H::version>(),
    entry<NodeAddRequest, ChangeReply, &H::node_add>(),
    entry<NodeRemoveRequest, ChangeReply, &H::node_remove>(),
    entry<GroupCreateRequest, ChangeReply, &H::group_create>(),
    entry<GroupSetRequest, ChangeReply, &H::group_set>(),
    entry<GroupDeleteRequest, ChangeReply, &H::group_delete>(),
    entry<VolumeCreateRequest, ChangeReply, &H::volume_create>(),
    entry<VolumeDeleteRequest, ChangeReply, &H::volume_delete>(),
    entry<PairCreateRequest, ChangeReply, &H::pair_create>(),
    entry<PairActionRequest, ChangeReply, &H::pair_action>(),
    entry<CopysetCreateRequest, ChangeReply, &H::copyset_create>(),
    entry<ListRequest, ListReply, &H::list>(),
    entry<StatusRequest, StatusReply, &H::status>(),
    entry<EventsRequest, EventsReply, &H::events>(),
    entry<TakeoverRequest, TakeoverReply, &H::takeover>(),
    entry<ConfirmRequest, ChangeReply, &H::confirm>(),
    entry<CopyPrepareRequest, ChangeReply, &H::copy_prepare>(true),
};

} // namespace

std::shared_ptr<PendingCall> dispatch(ControlHandler& handler, Caller caller, std::string_view method,
                                      const Json& parameters, bool more, std::shared_ptr<ReplySink> sink) {
  auto call = std::make_shared<PendingCall>(std::move(sink), more);
  for (const Method& known : methods) {
    if (method != known.name)
      continue;
    if (known.peers_only && caller != Caller::Peer)
      call->fail({ErrorCode::NotPermitted, "method '" + std::string(method) + "' is for other nodes only",
                  "use 'rcctl pair create' on the primary node"});
    else
      known.run(handler, parameters, call);
    return call;
  }
  call->fail({ErrorCode::NotFound, "this agent does not know the method '" + std::string(method) + "'",
              "rcctl and rcagent are of different versions: compare with 'rcctl version'"});
  return call;
}

} // namespace rc::control
