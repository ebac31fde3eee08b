// SPDX-License-Identifier: GPL-2.0-or-later
// Verbs that need no agent: the certificate authority and the version.
#include "ctl/agent_call.hpp"
#include "io/ca.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <ostream>

#ifndef RC_VERSION
#error "the build defines RC_VERSION"
#endif

namespace rc::ctl {
namespace {

constexpr auto version_patience = std::chrono::seconds(2);

std::string directory_of(const Invocation& invocation) {
  if (!invocation.has("dir"))
    return io::default_ca_dir;
  std::error_code error;
  const auto absolute = std::filesystem::absolute(invocation.text("dir"), error).lexically_normal().string();
  return absolute.size() > 1 && absolute.back() == '/' ? absolute.substr(0, absolute.size() - 1) : absolute;
}

int show_files(const char* object, const io::CaFiles& files, const std::string& next,
               const Invocation& invocation, Terminal& terminal) {
  if (invocation.json) {
    const nlohmann::json json{{"outcome", files.created ? "created" : "unchanged"},
                              {"object", object},
                              {"certificate", files.certificate},
                              {"key", files.key},
                              {"expires", files.expires},
                              {"next_action", next}};
    terminal.out << json.dump() << "\n";
    return Exit::done;
  }
  terminal.out << (files.created ? "created: " : "already so: ") << object << "\n"
               << "  certificate: " << files.certificate << " (valid until " << files.expires << ")\n"
               << "  key: " << files.key << " (keep it secret)\n"
               << "  next: " << next << "\n";
  return Exit::done;
}

int ca_init(const Invocation& invocation, Terminal& terminal) {
  const std::string dir = directory_of(invocation);
  const Result<io::CaFiles> files = io::init_ca(dir);
  if (!files)
    return report(files.error(), invocation.json, terminal);
  return show_files("certificate authority", *files,
                    "'rcctl ca issue NODE' for each node; back up " + files->key + " offline", invocation,
                    terminal);
}

int ca_issue(const Invocation& invocation, Terminal& terminal) {
  const std::string node = invocation.text("NODE"), dir = directory_of(invocation);
  const Result<io::CaFiles> files = io::issue_certificate(node, dir);
  if (!files)
    return report(files.error(), invocation.json, terminal);
  return show_files(("certificate of node " + node).c_str(), *files,
                    "copy " + files->certificate + ", " + files->key + " and " + dir + "/ca.crt to " + node +
                        ", name them in its /etc/remotecopy/remotecopy.toml, start rcagent",
                    invocation, terminal);
}

int version(const Invocation& invocation, Terminal& terminal) {
  std::optional<control::VersionReply> agent;
  std::string why;
  if (Result<io::ControlClient> client = io::ControlClient::connect(invocation.socket)) {
    const Result<control::VersionReply> reply = client->call<control::VersionReply>(
        control::VersionRequest{}, io::ControlClient::Clock::now() + version_patience);
    if (reply)
      agent = *reply;
    else
      why = reply.error().what;
  } else {
    why = client.error().what;
  }
  if (invocation.json) {
    nlohmann::json json{{"rcctl", RC_VERSION}, {"agent", nullptr}, {"reason", why}};
    if (agent)
      json["agent"] = control::to_json(*agent);
    terminal.out << json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
    return Exit::done;
  }
  terminal.out << "rcctl " << RC_VERSION << "\n";
  if (!agent) {
    terminal.out << "rcagent: " << why << "\n";
    return Exit::done;
  }
  terminal.out << "rcagent " << agent->version << ", node " << agent->node << ", site " << agent->site
               << "\n";
  if (agent->kernel_target.empty())
    terminal.out << "dm-remotecopy: module not loaded (next: modprobe dm-remotecopy)\n";
  else
    terminal.out << "dm-remotecopy " << agent->kernel_target << ", ABI " << agent->kernel_abi << "\n";
  return Exit::done;
}

const Option dir_option{"dir", "DIR", "the authority's directory (default /etc/remotecopy/ca)", Kind::Path};

} // namespace

std::vector<Verb> local_verbs() {
  return {
      {"ca init",
       "Make this installation's certificate authority",
       {},
       {dir_option},
       ca_init,
       "Needs no agent. Do it once, on a machine that is trusted to keep the authority's key."},
      {"ca issue",
       "Make key and certificate of a node",
       {{"NODE", Kind::Node}},
       {dir_option},
       ca_issue,
       "Needs no agent. The node is the name in its certificate: 'node' in its remotecopy.toml must be the "
       "same."},
      {"version", "Show the versions of rcctl, rcagent and the kernel target", {}, {}, version},
  };
}

} // namespace rc::ctl
