// SPDX-License-Identifier: GPL-2.0-or-later
// rcagent: one event loop, one thread that decides; links, journals and appliers have threads of their own.
// Puts the parts together and runs them. May be killed at any moment.
#include "agent/commands.hpp"
#include "agent/service.hpp"
#include "agent/version.hpp"
#include "agent/witnesses.hpp"
#include "base/log.hpp"
#include "io/control_socket.hpp"

#include <algorithm>
#include <boost/asio/signal_set.hpp>
#include <boost/program_options.hpp>
#include <filesystem>
#include <iostream>

namespace rc::agent {
namespace {

constexpr auto tick_interval = std::chrono::milliseconds(50);
constexpr auto refresh_interval = std::chrono::seconds(1);

class Agent {
public:
  Agent(boost::asio::io_context& loop, io::Config config, io::Inventory inventory,
        std::unique_ptr<io::InventoryWriter> writer, std::shared_ptr<io::TlsContext> tls)
      : context_(loop, std::move(config), std::move(inventory), std::move(writer), std::move(tls)),
        peers_(context_, {.up =
                              [this](const auto& peer) {
                                calls_.note(peer, "link.can", {{"codecs", {"zstd"}}});
                                sessions_.link_up(peer);
                              },
                          .down =
                              [this](const auto& peer, const auto& reason) {
                                calls_.link_down(peer, reason);
                                news_.link_down(peer);
                                copysets_.link_down(peer);
                                sessions_.link_down(peer, reason);
                              },
                          .frame = [this](const auto& peer,
                                          io::ReceivedFrame frame) { route(peer, std::move(frame)); }}),
        calls_(context_, peers_),
        sessions_(context_, peers_, calls_,
                  {.up = [this](const auto& group, const auto& peer) { groups_.session_up(group, peer); },
                   .down = [this](const auto& group, const auto& peer,
                                  const auto& reason) { groups_.session_down(group, peer, reason); },
                   .accept = [this](const auto& group,
                                    const auto& role) { return groups_.accept_session(group, role); },
                   .role = [this](const auto& group) { return groups_.role_text(group); }}),
        copysets_(context_, peers_,
                  [this](const auto& group, const auto& action) { groups_.of_copyset(group, action); }),
        groups_(context_, peers_, sessions_, copysets_, [this](const std::string&) { board_.changed(); }),
        board_(context_, peers_, groups_, copysets_),
        news_(context_, peers_, calls_, groups_, [this] { board_.changed(); }),
        witnesses_(context_, peers_, calls_, groups_, copysets_),
        commands_(context_, peers_, calls_, groups_, copysets_, board_, news_), tick_(loop), refresh_(loop),
        signals_(loop, SIGTERM, SIGINT) {}

  Status start() {
    const io::NodeRow self{.name = context_.config.node,
                           .site = context_.config.site,
                           .address = control::to_string(context_.config.listen),
                           .self = true};
    if (const auto put = context_.inventory.put(self); !put)
      return put.error();
    calls_.serve(commands_);
    calls_.on_note("link.can", [this](const std::string& peer, const control::Json& what) {
      const auto codecs = what.is_object() ? what.find("codecs") : what.end();
      io::Link* link = peers_.link(peer);
      if (link && what.is_object() && codecs != what.end() && codecs->is_array() &&
          std::find(codecs->begin(), codecs->end(), "zstd") != codecs->end())
        link->compress(context_.config.compress);
    });
    if (Status listening = peers_.listen(); !listening)
      return listening;
    auto server = io::ControlServer::listen(context_.executor(), context_.config.socket, commands_);
    if (!server)
      return server.error();
    server_ = std::move(*server);
    const auto topology = context_.inventory.load();
    if (!topology)
      return topology.error();
    peers_.set_nodes(topology->nodes);
    groups_.start([this] { begun(); });
    tick();
    refresh();
    signals_.async_wait([this](boost::system::error_code failed, int) {
      if (!failed)
        stop();
    });
    start_watchdog(context_.loop);
    return {};
  }

private:
  void begun() {
    context_.events.add(control::Severity::Info, control::EventKind::Exists, "node " + context_.config.node,
                        "",
                        std::string("rcagent ") + product_version + " runs, listening on " +
                            control::to_string(context_.config.listen));
    commands_.resume_plans();
    wait_for_volumes(ready_wait);
  }

  // READY lets mounts go on (x-systemd.requires): given when every group's volumes are loaded or it is known
  // that something has to be done first; at the latest after a while, so that one broken group does not hold
  // up the others.
  static constexpr int ready_wait = 100; // of 100 ms
  void wait_for_volumes(int left) {
    bool settled = true;
    for (const auto& group : board_.report("").groups)
      settled = settled && (group.state != control::GroupState::Inactive || group.volumes.empty());
    if (settled || left == 0) {
      notify_ready("node " + context_.config.node + " is up");
      return;
    }
    auto timer = std::make_shared<boost::asio::steady_timer>(context_.loop, std::chrono::milliseconds(100));
    timer->async_wait([this, timer, left](boost::system::error_code) { wait_for_volumes(left - 1); });
  }

  void route(const std::string& peer, io::ReceivedFrame frame) {
    if (frame.type == format::FrameType::Node)
      calls_.frame(peer, frame.body);
    else if (frame.type == format::FrameType::Copyset)
      copysets_.frame(peer, frame.body);
    else
      groups_.frame(peer, std::move(frame));
  }

  void tick() {
    groups_.tick();
    copysets_.tick();
    tick_.expires_after(tick_interval);
    tick_.async_wait([this](boost::system::error_code failed) {
      if (!failed)
        tick();
    });
  }

  void refresh() {
    news_.tick();
    witnesses_.tick();
    board_.refresh();
    refresh_.expires_after(refresh_interval);
    refresh_.async_wait([this](boost::system::error_code failed) {
      if (!failed)
        refresh();
    });
  }

  // Volumes stay loaded and writable: the kernel captures on, the next agent reads on.
  void stop() {
    notify_stopping();
    log::info("stopping; the volumes stay as they are");
    server_.reset();
    context_.loop.stop();
  }

  Context context_;
  Peers peers_;
  NodeCalls calls_;
  Sessions sessions_;
  Copysets copysets_;
  Groups groups_;
  StatusBoard board_;
  PrimaryNews news_;
  Witnesses witnesses_;
  Commands commands_;
  std::unique_ptr<io::ControlServer> server_;
  boost::asio::steady_timer tick_;
  boost::asio::steady_timer refresh_;
  boost::asio::signal_set signals_;
};

int fail(const Error& error) {
  log::error(error.text());
  return error.code == ErrorCode::Usage ? 2 : 1;
}

int run(const std::string& config_path) {
  auto config = io::read_config(config_path);
  if (!config)
    return fail(config.error());
  log::set_level(config->log_level);
  auto tls = io::TlsContext::load({.ca = config->ca, .certificate = config->certificate, .key = config->key});
  if (!tls)
    return fail(tls.error());
  if ((*tls)->own_name() != config->node)
    return fail(Error{ErrorCode::Usage,
                      config_path + " says node = \"" + config->node + "\", but the certificate is of \"" +
                          (*tls)->own_name() + "\"",
                      "use the certificate that rcctl ca issue " + config->node + " made"});
  std::error_code failed;
  std::filesystem::create_directories(config->state_dir, failed);
  if (failed)
    return fail(Error{ErrorCode::Failed, "cannot make " + config->state_dir + ": " + failed.message(), ""});
  auto inventory = io::Inventory::open(config->inventory_path());
  if (!inventory)
    return fail(inventory.error());
  auto writer = io::InventoryWriter::start(*inventory);
  if (!writer)
    return fail(writer.error());
  protect_process();
  boost::asio::io_context loop(1);
  Agent agent(loop, std::move(*config), std::move(*inventory), std::move(*writer), std::move(*tls));
  if (const Status started = agent.start(); !started)
    return fail(started.error());
  loop.run();
  return 0;
}

} // namespace
} // namespace rc::agent

int main(int argc, char** argv) {
  namespace po = boost::program_options;
  std::string config = rc::io::default_config_path;
  po::options_description options(
      "rcagent: the agent of remotecopy. It is started by systemd: systemctl start rcagent\n\nOptions");
  options.add_options()("config,c", po::value(&config)->value_name("FILE")->default_value(config),
                        "settings of this node")("check", "check the settings and exit")(
      "version", "print the version")("help,h", "print this");
  po::variables_map given;
  try {
    po::store(po::parse_command_line(argc, argv, options), given);
    po::notify(given);
  } catch (const po::error& wrong) {
    std::cerr << "rcagent: " << wrong.what() << " (rcagent --help shows the options)\n";
    return 2;
  }
  if (given.contains("help")) {
    std::cout << options;
    return 0;
  }
  if (given.contains("version")) {
    std::cout << "rcagent " << rc::agent::product_version << "\n";
    return 0;
  }
  if (given.contains("check")) {
    const auto read = rc::io::read_config(config);
    if (!read) {
      std::cerr << "rcagent: " << read.error().text() << "\n";
      return 2;
    }
    return 0;
  }
  return rc::agent::run(config);
}
