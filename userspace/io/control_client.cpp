// SPDX-License-Identifier: GPL-2.0-or-later
// The client half of io/control_socket.hpp: plain blocking calls with poll() for the deadline.
#include "format/control_wire.hpp"
#include "io/control_socket.hpp"

#include <algorithm>
#include <array>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace rc::io {
namespace {

using Clock = ControlClient::Clock;

constexpr const char* look_at_agent =
    "see 'systemctl status rcagent'; start it with 'systemctl start rcagent'";

// Waits until `events` may go on. False: the deadline passed.
Result<bool> wait_for(int fd, short events, Clock::time_point deadline) {
  for (;;) {
    int timeout = -1;
    if (deadline != Clock::time_point::max()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
      timeout = static_cast<int>(std::clamp<long long>(left, 0, 3600 * 1000));
    }
    pollfd poll_fd{fd, events, 0};
    const int ready = poll(&poll_fd, 1, timeout);
    if (ready > 0)
      return true;
    if (ready == 0 && Clock::now() >= deadline)
      return false;
    if (ready < 0 && errno != EINTR)
      return errno_error("poll of the control socket");
  }
}

Status send_all(int fd, std::string_view bytes, Clock::time_point deadline) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) // it may have answered already and hung up: the answer says why
      return errno == EPIPE ? Status{} : Status{errno_error("cannot send to rcagent").then(look_at_agent)};
    Result<bool> ready = wait_for(fd, POLLOUT, deadline);
    if (!ready)
      return ready.error();
    if (!*ready)
      return Error{ErrorCode::Timeout, "rcagent does not take the request", look_at_agent};
  }
  return {};
}

} // namespace

Result<ControlClient> ControlClient::connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return Error{ErrorCode::Usage, "socket path \"" + path + "\" is empty or longer than 107 bytes", ""};
  path.copy(address.sun_path, path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return errno_error("cannot make a socket");
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int number = errno;
    ::close(fd);
    Error error = errno_error("rcagent can't be reached at " + path, number);
    if (number == EACCES || number == EPERM)
      return error.then("run rcctl as root");
    error.code = ErrorCode::Unreachable;
    return error.then(look_at_agent);
  }
  return ControlClient(fd);
}

ControlClient::ControlClient(ControlClient&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), received_(std::move(other.received_)) {}

ControlClient& ControlClient::operator=(ControlClient&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
    received_ = std::move(other.received_);
  }
  return *this;
}

ControlClient::~ControlClient() { close(); }

void ControlClient::close() {
  if (fd_ >= 0)
    ::close(fd_);
  fd_ = -1;
}

Result<std::string> ControlClient::read_message(Clock::time_point deadline) {
  std::size_t searched = 0;
  for (;;) {
    if (const auto end = received_.find('\0', searched); end != std::string::npos) {
      std::string message = received_.substr(0, end);
      received_.erase(0, end + 1);
      return message;
    }
    searched = received_.size();
    if (received_.size() > control::reply_bytes_max)
      return Error{ErrorCode::Corrupt, "rcagent's answer has no end", look_at_agent};
    Result<bool> ready = wait_for(fd_, POLLIN, deadline);
    if (!ready)
      return ready.error();
    if (!*ready)
      return Error{ErrorCode::Timeout, "rcagent did not answer in time", look_at_agent};
    std::array<char, 65536> chunk;
    const ssize_t size = recv(fd_, chunk.data(), chunk.size(), 0);
    if (size < 0 && errno == EINTR)
      continue;
    if (size < 0 && errno != ECONNRESET)
      return errno_error("cannot read from rcagent").then(look_at_agent);
    if (size <= 0)
      return Error{ErrorCode::Unreachable, "rcagent hung up before it answered", look_at_agent};
    received_.append(chunk.data(), static_cast<std::size_t>(size));
  }
}

Result<control::Json> ControlClient::call(const char* method, const control::Json& parameters, bool more,
                                          const std::function<bool(const control::Json&)>& on_reply,
                                          Clock::time_point deadline) {
  if (fd_ < 0)
    return Error{ErrorCode::Unreachable, "the connection to rcagent is closed", look_at_agent};
  std::string message = control::encode_call(method, parameters, more);
  message.push_back('\0');
  if (Status sent = send_all(fd_, message, deadline); !sent) {
    close();
    return sent.error();
  }
  for (;;) {
    Result<std::string> text = read_message(deadline);
    if (!text) {
      close();
      return text.error();
    }
    Result<control::ReplyMessage> reply = control::decode_reply(*text);
    if (!reply) {
      close();
      return Error{ErrorCode::Corrupt, "rcagent's answer makes no sense: " + reply.error().what,
                   reply.error().next};
    }
    if (reply->error)
      return *reply->error;
    if (on_reply && !on_reply(reply->parameters)) {
      if (reply->continues)
        close();
      return std::move(reply->parameters);
    }
    if (!reply->continues)
      return std::move(reply->parameters);
  }
}

template <typename Answer, typename Request>
Result<Answer> ControlClient::call(const Request& request, Clock::time_point deadline) {
  Result<control::Json> json = call(Request::method, control::to_json(request), false, {}, deadline);
  if (!json)
    return json.error();
  return control::from_json<Answer>(*json);
}

template <typename Answer, typename Request>
Result<Answer> ControlClient::stream(const Request& request,
                                     const std::function<bool(const Answer&)>& on_reply,
                                     Clock::time_point deadline) {
  std::optional<Error> wrong;
  const auto take = [&](const control::Json& json) {
    Result<Answer> answer = control::from_json<Answer>(json);
    if (!answer)
      wrong = answer.error();
    return answer && on_reply(*answer);
  };
  Result<control::Json> json = call(Request::method, control::to_json(request), true, take, deadline);
  if (wrong)
    return *wrong;
  if (!json)
    return json.error();
  return control::from_json<Answer>(*json);
}

using namespace control;
#define RC_CALL(Request, Answer)                                                                             \
  template Result<Answer> ControlClient::call<Answer, Request>(const Request&, Clock::time_point);           \
  template Result<Answer> ControlClient::stream<Answer, Request>(                                            \
      const Request&, const std::function<bool(const Answer&)>&, Clock::time_point);
RC_CALL(VersionRequest, VersionReply)
RC_CALL(NodeAddRequest, ChangeReply)
RC_CALL(NodeRemoveRequest, ChangeReply)
RC_CALL(GroupCreateRequest, ChangeReply)
RC_CALL(GroupSetRequest, ChangeReply)
RC_CALL(GroupDeleteRequest, ChangeReply)
RC_CALL(VolumeCreateRequest, ChangeReply)
RC_CALL(VolumeDeleteRequest, ChangeReply)
RC_CALL(PairCreateRequest, ChangeReply)
RC_CALL(PairActionRequest, ChangeReply)
RC_CALL(CopysetCreateRequest, ChangeReply)
RC_CALL(ListRequest, ListReply)
RC_CALL(StatusRequest, StatusReply)
RC_CALL(EventsRequest, EventsReply)
RC_CALL(TakeoverRequest, TakeoverReply)
RC_CALL(ConfirmRequest, ChangeReply)
RC_CALL(CopyPrepareRequest, ChangeReply)
#undef RC_CALL

} // namespace rc::io
