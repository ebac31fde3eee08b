// SPDX-License-Identifier: GPL-2.0-or-later
// An agent for tests of the socket and of rcctl: a real ControlServer on a socket of its own, on a thread of
// its own, with scripted answers. Scripts are set before the first call; what was asked is read through the
// accessors.
#pragma once

#include "format/control_json.hpp"
#include "io/control_socket.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

namespace rc::test {

class FakeAgent : public control::ControlHandler {
public:
  // Scripts.
  std::optional<Error> refuse;               // every changing call is answered with it
  std::vector<control::StatusReply> reports; // told one after the other, the last one again and again
  std::chrono::milliseconds report_every{5};
  bool silent = false;                            // streams say nothing after the first report
  std::vector<control::EventInfo> stored, coming; // events
  control::ListReply topology;
  control::TakeoverReply plan;                  // of a dry run
  std::vector<control::TakeoverReply> progress; // of the real one; the last is the last answer
  bool drop_version = false;                    // forgets the call
  bool hold_version = false;                    // never answers `version`

  FakeAgent() {
    std::string made = (std::filesystem::temp_directory_path() / "rc-agent-XXXXXX").string();
    dir_ = mkdtemp(made.data());
  }
  ~FakeAgent() override {
    stop();
    std::filesystem::remove_all(dir_);
  }

  std::string socket() const { return dir_ + "/run/rcagent.sock"; }

  Status start() {
    context_ = std::make_unique<boost::asio::io_context>();
    auto server = io::ControlServer::listen(context_->get_executor(), socket(), *this);
    if (!server)
      return server.error();
    server_ = std::move(*server);
    thread_ = std::thread([this] {
      const auto guard = boost::asio::make_work_guard(*context_);
      context_->run();
    });
    return {};
  }

  void stop() {
    if (!thread_.joinable())
      return;
    on_thread([&] { server_.reset(); });
    context_->stop();
    thread_.join();
    context_.reset();
  }

  // Runs on the agent's thread, waits for it.
  void on_thread(const std::function<void()>& work) {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    boost::asio::post(*context_, [&] {
      work();
      const std::lock_guard lock(mutex);
      done = true;
      changed.notify_one();
    });
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return done; });
  }

  std::size_t connections() {
    std::size_t count = 0;
    on_thread([&] { count = server_->connections(); });
    return count;
  }
  // "node.add {...}", in order.
  std::vector<std::string> calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  void answer_held() { // on the agent's thread
    for (const auto& reply : std::exchange(held_, {}))
      reply(control::VersionReply{"0.1.0", "pa", "near", 1, "1.0.0", control::status_schema});
  }
  // Waits until `count` streams were hung up by their clients; false after ten seconds.
  bool wait_gone(int count) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return gone_ >= count; });
  }

  void version(const control::VersionRequest& request, control::Reply<control::VersionReply> reply) override {
    note(request);
    if (drop_version)
      return;
    if (hold_version)
      held_.push_back(reply);
    else
      reply(control::VersionReply{"0.1.0", "pa", "near", 1, "1.0.0", control::status_schema});
  }
  void node_add(const control::NodeAddRequest& r, control::Reply<control::ChangeReply> reply) override {
    change(r, reply);
  }
  void node_remove(const control::NodeRemoveRequest& r, control::Reply<control::ChangeReply> reply) override {
    change(r, reply);
  }
  void group_delete(const control::GroupDeleteRequest& r,
                    control::Reply<control::ChangeReply> reply) override {
    change(r, reply);
  }
  void volume_delete(const control::VolumeDeleteRequest& r,
                     control::Reply<control::ChangeReply> reply) override {
    change(r, reply);
  }
  void group_create(const control::GroupCreateRequest& r,
                    control::Reply<control::ChangeReply> reply) override {
    change(r, reply);
  }
  void group_set(const control::GroupSetRequest& r, control::Reply<control::ChangeReply> reply) override {
    change(r, reply);
  }
  void volume_create(const control::VolumeCreateRequest& r,
                     control::Reply<control::ChangeReply> reply) override {
    change(r, reply);
  }
  void pair_create(const control::PairCreateRequest& r, control::Reply<control::ChangeReply> reply) override {
    change(r, reply);
  }
  void pair_action(const control::PairActionRequest& r, control::Reply<control::ChangeReply> reply) override {
    change(r, reply);
  }
  void confirm(const control::ConfirmRequest& r, control::Reply<control::ChangeReply> reply) override {
    change(r, reply);
  }
  void copy_prepare(const control::CopyPrepareRequest& r,
                    control::Reply<control::ChangeReply> reply) override {
    change(r, reply);
  }
  void copyset_create(const control::CopysetCreateRequest& r,
                      control::Reply<control::ChangeReply> reply) override {
    change(r, reply);
  }
  void list(const control::ListRequest& request, control::Reply<control::ListReply> reply) override {
    note(request);
    reply(topology);
  }

  void status(const control::StatusRequest& request, control::Reply<control::StatusReply> reply) override {
    note(request);
    if (!reply.wants_more())
      return reply(reports.empty() ? control::StatusReply{} : reports.front());
    reply.on_gone([this] { count_gone(); });
    tell(reply, 0);
  }

  void events(const control::EventsRequest& request, control::Reply<control::EventsReply> reply) override {
    note(request);
    if (!reply.wants_more())
      return reply(control::EventsReply{stored, true});
    reply.on_gone([this] { count_gone(); });
    reply.progress(control::EventsReply{stored, true});
    for (const control::EventInfo& event : coming)
      reply.progress(control::EventsReply{{event}, false});
    reply(control::EventsReply{});
  }

  void takeover(const control::TakeoverRequest& request,
                control::Reply<control::TakeoverReply> reply) override {
    note(request);
    if (request.dry_run || progress.empty())
      return reply(plan);
    for (std::size_t i = 0; i + 1 < progress.size(); ++i)
      reply.progress(progress[i]);
    reply(progress.back());
  }

private:
  template <typename Request> void note(const Request& request) {
    const std::lock_guard lock(mutex_);
    calls_.push_back(std::string(Request::method) + " " + control::to_json(request).dump());
  }
  template <typename Request>
  void change(const Request& request, const control::Reply<control::ChangeReply>& reply) {
    note(request);
    if (refuse)
      return reply(*refuse);
    control::ChangeReply done;
    done.outcome = made_.insert(control::to_json(request).dump()).second ? control::Outcome::Created
                                                                         : control::Outcome::Unchanged;
    done.object = Request::method;
    reply(done);
  }
  void tell(const control::Reply<control::StatusReply>& reply, std::size_t index) {
    if (!reply.open() || reports.empty())
      return;
    reply.progress(reports[std::min(index, reports.size() - 1)]);
    if (silent)
      return silent_.push_back(reply);
    const auto timer = std::make_shared<boost::asio::steady_timer>(*context_, report_every);
    timer->async_wait([this, timer, reply, index](const boost::system::error_code& stopped) {
      if (!stopped)
        tell(reply, index + 1);
    });
  }
  void count_gone() {
    const std::lock_guard lock(mutex_);
    ++gone_;
    changed_.notify_all();
  }

  std::string dir_;
  std::unique_ptr<boost::asio::io_context> context_;
  std::unique_ptr<io::ControlServer> server_;
  std::thread thread_;
  std::vector<control::Reply<control::VersionReply>> held_;
  std::vector<control::Reply<control::StatusReply>> silent_;
  std::set<std::string> made_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<std::string> calls_;
  int gone_ = 0;
};

} // namespace rc::test
