// SPDX-License-Identifier: GPL-2.0-or-later
// The server half of io/control_socket.hpp. A connection reads all the time (that is how it learns that the
// client is gone), hands on one call at a time, and writes from one queue. Half-closed clients (socat) still
// get their answer.
#include "io/control_socket.hpp"

#include "format/control_wire.hpp"

#include "base/log.hpp"

#include <boost/asio.hpp>
#include <deque>
#include <filesystem>
#include <poll.h>
#include <set>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace rc::io {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Local = asio::local::stream_protocol;

constexpr std::size_t connections_max = 64;
constexpr std::size_t stream_backlog_max = 4 << 20; // a stream's client that lags by more is hung up
constexpr auto accept_retry = std::chrono::milliseconds(200);

} // namespace

class Connection;

class ControlServer::Listener : public std::enable_shared_from_this<Listener> {
public:
  Listener(const asio::any_io_executor& executor, control::ControlHandler& handler)
      : acceptor_(executor), retry_(executor), handler_(handler) {}

  Status open(const std::string& path);
  void accept();
  void close();
  void forget(const std::shared_ptr<Connection>& connection) { connections_.erase(connection); }
  control::ControlHandler& handler() { return handler_; }
  std::size_t connections() const { return connections_.size(); }

private:
  Local::acceptor acceptor_;
  asio::steady_timer retry_;
  control::ControlHandler& handler_;
  std::set<std::shared_ptr<Connection>> connections_;
  std::string path_;
  struct stat made_ = {}; // the socket file as we made it: another's is not ours to remove
};

class Connection : public std::enable_shared_from_this<Connection> {
public:
  Connection(Local::socket socket, std::weak_ptr<ControlServer::Listener> listener)
      : socket_(std::move(socket)), listener_(std::move(listener)) {}

  void start() { read(); }

  void refuse(const Error& error) {
    ended_ = true;
    enqueue(control::encode_error(error));
  }

  // From the sink: an answer of the running call. The last one frees the place for the next call. The handler
  // is in the midst of something: nothing here calls back into it at once.
  void answer(std::string message, bool continues) {
    if (continues && queued_bytes_ > stream_backlog_max) {
      if (!std::exchange(too_slow_, true)) {
        log::warning("control socket: a client does not read its stream: hung up");
        asio::post(socket_.get_executor(), [self = shared_from_this()] { self->close(); });
      }
      return;
    }
    enqueue(std::move(message));
    if (continues)
      return;
    busy_ = false;
    if (dispatching_)
      return;
    next_is_due_ = true;
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
      self->next_is_due_ = false;
      self->next_call();
    });
  }

  std::size_t backlog() const { return queued_bytes_; }

  void close() {
    if (closed_)
      return;
    closed_ = true;
    error_code ignored;
    socket_.close(ignored);
    const auto self = shared_from_this();
    if (const auto call = call_.lock())
      call->hang_up();
    if (const auto listener = listener_.lock())
      listener->forget(self);
  }

private:
  void read() {
    socket_.async_read_some(
        asio::buffer(chunk_), [self = shared_from_this()](error_code error, std::size_t size) {
          if (self->closed_)
            return;
          if (error)
            return self->end_of_input(error);
          self->input_.append(self->chunk_.data(), size);
          if (self->input_.size() > 2 * control::request_bytes_max) {
            log::warning("control socket: a client sent more than a message may hold: hung up");
            return self->close();
          }
          self->next_call();
          if (!self->closed_)
            self->read();
        });
  }

  // The client said all it will say. When it only closed its writing half it still waits for answers.
  void end_of_input(error_code error) {
    if (error != asio::error::eof)
      return close();
    ended_ = true;
    if (is_done())
      return close();
    socket_.async_wait(Local::socket::wait_error, [self = shared_from_this()](error_code) { self->close(); });
    pollfd gone{socket_.native_handle(), 0, 0};
    if (poll(&gone, 1, 0) > 0 && (gone.revents & (POLLHUP | POLLERR)) != 0)
      close();
  }

  // Nothing to do and nothing to come.
  bool is_done() const { return ended_ && !busy_ && !next_is_due_ && queue_.empty(); }

  // Takes calls out of the input one by one, each when the one before is answered.
  void next_call() {
    while (!closed_ && !busy_) {
      const auto end = input_.find('\0', searched_);
      if (end == std::string::npos) {
        searched_ = input_.size();
        if (input_.size() > control::request_bytes_max)
          close();
        else if (is_done())
          close();
        return;
      }
      const std::string message = input_.substr(0, end);
      input_.erase(0, end + 1);
      searched_ = 0;
      dispatch(message);
    }
  }

  void dispatch(const std::string& message);

  void enqueue(std::string message) {
    if (closed_)
      return;
    message.push_back('\0');
    queued_bytes_ += message.size();
    queue_.push_back(std::move(message));
    if (queue_.size() == 1)
      write();
  }

  void write() {
    asio::async_write(socket_, asio::buffer(queue_.front()),
                      [self = shared_from_this()](error_code error, std::size_t) {
                        if (self->closed_)
                          return;
                        if (error)
                          return self->close();
                        self->queued_bytes_ -= self->queue_.front().size();
                        self->queue_.pop_front();
                        if (!self->queue_.empty())
                          self->write();
                        else if (self->is_done())
                          self->close();
                      });
  }

  Local::socket socket_;
  std::weak_ptr<ControlServer::Listener> listener_;
  std::array<char, 4096> chunk_;
  std::string input_;
  std::size_t searched_ = 0; // no NUL in input_ before this
  std::deque<std::string> queue_;
  std::size_t queued_bytes_ = 0;
  // The last call. Weak: when the handler drops its last copy unanswered, the call must notice.
  std::weak_ptr<control::PendingCall> call_;
  bool busy_ = false; // call_ is not answered yet
  bool dispatching_ = false;
  bool next_is_due_ = false; // next_call is on its way through the executor
  bool too_slow_ = false;
  bool ended_ = false; // the client sends no more
  bool closed_ = false;
};

namespace {

class ConnectionSink : public control::ReplySink {
public:
  explicit ConnectionSink(std::weak_ptr<Connection> connection) : connection_(std::move(connection)) {}

  void send(control::Json parameters, bool continues) override {
    if (const auto connection = connection_.lock())
      connection->answer(control::encode_reply(parameters, continues), continues);
  }
  void fail(const Error& error) override {
    if (const auto connection = connection_.lock())
      connection->answer(control::encode_error(error), false);
  }
  std::size_t backlog() const override {
    const auto connection = connection_.lock();
    return connection ? connection->backlog() : 0;
  }

private:
  std::weak_ptr<Connection> connection_;
};

// Who is at the other end? Nothing when it may ask; else what it is told.
std::optional<Error> refused_peer(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return errno_error("cannot tell who is calling");
  if (peer.uid == 0 || peer.uid == geteuid())
    return std::nullopt;
  return Error{ErrorCode::NotPermitted, "only root may talk to rcagent", "use sudo"};
}

// A socket file is there: does somebody answer, or was it left over?
Status remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat there;
  if (lstat(path.c_str(), &there) != 0)
    return errno == ENOENT ? Status{} : Status{errno_error("cannot look at " + path)};
  if (!S_ISSOCK(there.st_mode))
    return Error{ErrorCode::Refused, path + " is there and is no socket",
                 "remove it or set 'socket' to another path"};
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0)
    return errno_error("cannot make a socket");
  const bool answered =
      ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno == EAGAIN;
  ::close(probe);
  if (answered)
    return Error{ErrorCode::Refused, "another rcagent answers at " + path, "see 'systemctl status rcagent'"};
  if (unlink(path.c_str()) != 0 && errno != ENOENT)
    return errno_error("cannot remove the old socket " + path);
  return {};
}

} // namespace

void Connection::dispatch(const std::string& message) {
  const auto listener = listener_.lock();
  if (!listener)
    return close();
  Result<control::CallMessage> call = control::decode_call(message);
  if (!call)
    return enqueue(control::encode_error(call.error()));
  dispatching_ = true; // an answer given at once must not start the next call inside this one
  busy_ = true;
  call_ = control::dispatch(listener->handler(), control::Caller::LocalRoot, call->method, call->parameters,
                            call->more, std::make_shared<ConnectionSink>(weak_from_this()));
  dispatching_ = false;
}

Status ControlServer::Listener::open(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return Error{ErrorCode::Usage, "socket path \"" + path + "\" is empty or longer than 107 bytes",
                 "set 'socket' to a shorter path"};
  path.copy(address.sun_path, path.size());
  std::error_code no_directory;
  if (const auto directory = std::filesystem::path(path).parent_path(); !directory.empty())
    std::filesystem::create_directories(directory, no_directory);
  if (no_directory)
    return Error{ErrorCode::Failed, "cannot make the directory of " + path + ": " + no_directory.message(),
                 ""};
  if (Status status = remove_stale(path, address); !status)
    return status;
  error_code error;
  acceptor_.open(Local(), error);
  if (error)
    return Error{ErrorCode::Failed, "cannot make a socket: " + error.message(), ""};
  // Linux takes the mode of the socket for the file that bind makes: there is no moment with a wider one.
  if (fchmod(acceptor_.native_handle(), 0600) != 0)
    return errno_error("cannot restrict the socket");
  acceptor_.bind(Local::endpoint(path), error);
  if (!error)
    acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error)
    return Error{ErrorCode::Failed, "cannot listen at " + path + ": " + error.message(), ""};
  acceptor_.non_blocking(true, error);
  path_ = path;
  if (stat(path.c_str(), &made_) != 0)
    return errno_error("cannot look at " + path);
  return {};
}

void ControlServer::Listener::accept() {
  acceptor_.async_accept([self = shared_from_this()](error_code error, Local::socket socket) {
    if (error == asio::error::operation_aborted || !self->acceptor_.is_open())
      return;
    if (error) { // no descriptors left, for example: others will be closed
      self->retry_.expires_after(accept_retry);
      self->retry_.async_wait([self](error_code stopped) {
        if (!stopped)
          self->accept();
      });
      return;
    }
    const std::optional<Error> refused = refused_peer(socket.native_handle());
    const auto connection = std::make_shared<Connection>(std::move(socket), self);
    self->connections_.insert(connection);
    if (refused)
      connection->refuse(*refused);
    else if (self->connections_.size() > connections_max)
      connection->refuse(
          {ErrorCode::Again, "too many clients talk to rcagent", "end some 'rcctl watch' or 'events'"});
    else
      connection->start();
    self->accept();
  });
}

void ControlServer::Listener::close() {
  error_code ignored;
  acceptor_.close(ignored);
  retry_.cancel();
  const auto open = std::exchange(connections_, {});
  for (const auto& connection : open)
    connection->close();
  struct stat there;
  if (!path_.empty() && lstat(path_.c_str(), &there) == 0 && there.st_ino == made_.st_ino &&
      there.st_dev == made_.st_dev)
    unlink(path_.c_str());
}

Result<std::unique_ptr<ControlServer>> ControlServer::listen(asio::any_io_executor executor,
                                                             const std::string& path,
                                                             control::ControlHandler& handler) {
  auto listener = std::make_shared<Listener>(executor, handler);
  if (Status status = listener->open(path); !status)
    return status.error().because("the control socket can't be opened");
  listener->accept();
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(listener)));
}

ControlServer::ControlServer(std::shared_ptr<Listener> listener) : listener_(std::move(listener)) {}
ControlServer::~ControlServer() { listener_->close(); }
std::size_t ControlServer::connections() const { return listener_->connections(); }

} // namespace rc::io
