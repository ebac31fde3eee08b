// SPDX-License-Identifier: GPL-2.0-or-later
// The local UNIX socket between rcctl and rcagent: the agent's server and rcctl's blocking client.
// Invariant: only root (SO_PEERCRED; and the agent's own user) is served; one call at a time per connection;
// a client that does not read costs at most one bounded queue. Formats: format/control_json.hpp,
// docs/control-protocol.md. Must not: know what a request means.
#pragma once

#include "format/control_handler.hpp"

#include <utility> // before Boost.Asio 1.74, which forgets it

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace rc::io {

inline constexpr const char* default_control_socket = "/run/remotecopy/rcagent.sock";

// Asynchronous, on the io_context of the owner: all callbacks come from its run(). Make, use and destroy it
// on that thread. The handler outlives the server.
class ControlServer {
public:
  // Listens at `path` (mode 0600, directory made 0755 when missing); a socket left over by a dead agent is
  // replaced. Refused when a living agent answers there.
  static Result<std::unique_ptr<ControlServer>>
  listen(boost::asio::any_io_executor executor, const std::string& path, control::ControlHandler& handler);
  // Hangs up all calls and removes the socket.
  ~ControlServer();

  std::size_t connections() const;

  class Listener; // private, public only for std::make_shared

private:
  explicit ControlServer(std::shared_ptr<Listener> listener);
  std::shared_ptr<Listener> listener_;
};

// Blocking, for rcctl and tests; one call at a time.
class ControlClient {
public:
  // Unreachable: no socket or nobody listens; NotPermitted: not root.
  static Result<ControlClient> connect(const std::string& path = default_control_socket);
  ControlClient(ControlClient&& other) noexcept;
  ControlClient& operator=(ControlClient&& other) noexcept;
  ~ControlClient();

  using Clock = std::chrono::steady_clock;

  // False once the connection failed: the last Error was then about the agent itself, not from it.
  bool connected() const { return fd_ >= 0; }

  // The last reply's parameters, or the agent's Error. `on_reply` is given every reply of a `more` call (the
  // last too); false from it hangs up: the result is then that reply. Timeout when nothing came by
  // `deadline`; after any Error of the connection itself (Unreachable, Timeout, Corrupt) the client is
  // closed.
  Result<control::Json> call(const char* method, const control::Json& parameters, bool more = false,
                             const std::function<bool(const control::Json&)>& on_reply = {},
                             Clock::time_point deadline = Clock::time_point::max());

  // The same with typed values.
  template <typename Answer, typename Request>
  Result<Answer> call(const Request& request, Clock::time_point deadline = Clock::time_point::max());
  template <typename Answer, typename Request>
  Result<Answer> stream(const Request& request, const std::function<bool(const Answer&)>& on_reply,
                        Clock::time_point deadline = Clock::time_point::max());

private:
  explicit ControlClient(int fd) : fd_(fd) {}
  Result<std::string> read_message(Clock::time_point deadline);
  void close();
  int fd_ = -1;
  std::string received_; // bytes beyond the last message
};

} // namespace rc::io
