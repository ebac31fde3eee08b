// SPDX-License-Identifier: GPL-2.0-or-later
// Verbs that make and show the topology: nodes, groups, volumes, pairs. Each request is checked here before
// it is sent, by the same rules as in the agent, so that a typing error needs no agent.
#include "ctl/agent_call.hpp"
#include "ctl/change.hpp"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <ostream>

namespace rc::ctl {
namespace {

// Devices and journals on this node may be written relative to the current directory.
std::string local_path(const std::string& path) {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(path, error);
  return error || path.empty() ? path : absolute.lexically_normal().string();
}

Status read_bytes(const Invocation& invocation, const char* option, std::uint64_t& to) {
  if (!invocation.has(option))
    return {};
  const Result<std::uint64_t> bytes = parse_bytes(invocation.text(option));
  if (!bytes)
    return bytes.error();
  to = *bytes;
  return {};
}

Status read_time(const Invocation& invocation, const char* option, std::uint32_t& milliseconds) {
  if (!invocation.has(option))
    return {};
  const Result<double> seconds = parse_seconds(invocation.text(option));
  if (!seconds)
    return seconds.error();
  milliseconds = static_cast<std::uint32_t>(std::clamp(*seconds * 1000 + 0.5, 1.0, 1e9)); // checked later
  return {};
}

int node_add(const Invocation& invocation, Terminal& terminal) {
  return change(
      control::NodeAddRequest{invocation.text("NODE"), invocation.text("address"), invocation.text("site")},
      invocation, terminal);
}

int node_remove(const Invocation& invocation, Terminal& terminal) {
  return change(control::NodeRemoveRequest{invocation.text("NODE")}, invocation, terminal);
}

int group_delete(const Invocation& invocation, Terminal& terminal) {
  return change(control::GroupDeleteRequest{invocation.text("GROUP")}, invocation, terminal);
}

int volume_delete(const Invocation& invocation, Terminal& terminal) {
  return change(control::VolumeDeleteRequest{invocation.text("GROUP"), invocation.text("VOLUME")}, invocation,
                terminal);
}

int group_create(const Invocation& invocation, Terminal& terminal) {
  control::GroupCreateRequest request;
  request.name = invocation.text("GROUP");
  request.journal = local_path(invocation.text("journal"));
  request.force = invocation.has("force");
  request.dry_run = invocation.has("dry-run");
  if (Status status = read_bytes(invocation, "journal-size", request.journal_bytes); !status)
    return report(status.error(), invocation.json, terminal);
  if (invocation.has("ring-mib")) {
    const Result<std::uint64_t> mib = parse_bytes(invocation.text("ring-mib"));
    if (!mib || *mib == 0 || *mib > std::numeric_limits<std::uint32_t>::max())
      return report({ErrorCode::Usage, "--ring-mib must be a number", "a power of two, for example 64"},
                    invocation.json, terminal);
    request.ring_mib = static_cast<std::uint32_t>(*mib);
  }
  request.on_full =
      control::from_token<control::OnFull>(invocation.text("on-full")).value_or(control::OnFull::Suspend);
  request.fence = control::from_token<control::Fence>(invocation.text("fence")).value_or(control::Fence::Go);
  for (const auto& [option, milliseconds] : {std::pair{"checkpoint-interval", &request.checkpoint_ms},
                                             std::pair{"ack-timeout", &request.ack_timeout_ms}})
    if (Status status = read_time(invocation, option, *milliseconds); !status)
      return report(status.error(), invocation.json, terminal);
  return change(request, invocation, terminal);
}

int group_set(const Invocation& invocation, Terminal& terminal) {
  control::GroupSetRequest request;
  request.name = invocation.text("GROUP");
  if (invocation.has("on-full"))
    request.on_full = control::from_token<control::OnFull>(invocation.text("on-full"));
  if (invocation.has("fence"))
    request.fence = control::from_token<control::Fence>(invocation.text("fence"));
  for (const auto& [option, milliseconds] : {std::pair{"checkpoint-interval", &request.checkpoint_ms},
                                             std::pair{"ack-timeout", &request.ack_timeout_ms}})
    if (Status status = read_time(invocation, option, *milliseconds); !status)
      return report(status.error(), invocation.json, terminal);
  return change(request, invocation, terminal);
}

int volume_create(const Invocation& invocation, Terminal& terminal) {
  control::VolumeCreateRequest request;
  request.group = invocation.text("GROUP");
  request.name = invocation.text("VOLUME");
  request.device = local_path(invocation.text("device"));
  request.meta = local_path(invocation.text("meta"));
  request.keep_data = invocation.has("keep-data");
  request.force = invocation.has("force");
  request.dry_run = invocation.has("dry-run");
  return change(request, invocation, terminal);
}

// "data=/dev/vg/data,/dev/vg/data-meta"
Result<control::PairVolume> parse_volume(const std::string& text) {
  const auto equals = text.find('=');
  const auto comma = text.find(',', equals == std::string::npos ? 0 : equals);
  if (equals == std::string::npos || comma == std::string::npos)
    return Error{ErrorCode::Usage, "--volume " + text + " is not NAME=DEVICE,META",
                 "for example --volume data=/dev/vg/data,/dev/vg/data-meta"};
  return control::PairVolume{text.substr(0, equals), text.substr(equals + 1, comma - equals - 1),
                             text.substr(comma + 1)};
}

int pair_create(const Invocation& invocation, Terminal& terminal) {
  control::PairCreateRequest request;
  request.group = invocation.text("GROUP");
  request.to = invocation.text("to");
  request.mode = control::from_token<control::Mode>(invocation.text("mode")).value_or(control::Mode::Async);
  request.journal = invocation.text("journal");
  request.force = invocation.has("force");
  request.dry_run = invocation.has("dry-run");
  if (Status status = read_bytes(invocation, "journal-size", request.journal_bytes); !status)
    return report(status.error(), invocation.json, terminal);
  for (const std::string& text : invocation.all("volume")) {
    Result<control::PairVolume> volume = parse_volume(text);
    if (!volume)
      return report(volume.error(), invocation.json, terminal);
    request.volumes.push_back(std::move(*volume));
  }
  return change(request, invocation, terminal);
}

template <control::PairAction action> int pair_action(const Invocation& invocation, Terminal& terminal) {
  return change(
      control::PairActionRequest{invocation.text("GROUP"), invocation.text("to"), action,
                                 invocation.has("force"),
                                 action == control::PairAction::Resync && invocation.has("in-place")},
      invocation, terminal);
}

// ---- list and show ----

using Rows = std::vector<std::vector<std::string>>;

std::string or_dash(const std::string& text) { return text.empty() ? "-" : text; }

void show_nodes(const control::ListReply& list, Terminal& terminal) {
  Rows rows{{"NODE", "SITE", "ADDRESS", "LINK", ""}};
  for (const auto& node : list.nodes)
    rows.push_back({node.name, node.site, or_dash(node.address),
                    node.self ? "this node" : control::to_token(node.link), node.reason});
  terminal.out << table(rows);
}
void show_groups(const control::ListReply& list, Terminal& terminal) {
  Rows rows{{"GROUP", "ROLE", "PRIMARY", "JOURNAL", "SIZE", "RING", "ON FULL", "FENCE", "CHECKPOINT EVERY",
             "ACK TIMEOUT"}};
  for (const auto& group : list.groups)
    rows.push_back({group.name, control::to_token(group.role), or_dash(group.primary_node), group.journal,
                    bytes_text(group.journal_bytes), std::to_string(group.ring_mib) + " MiB",
                    control::to_token(group.on_full), control::to_token(group.fence),
                    seconds_text(group.checkpoint_ms / 1000.0), seconds_text(group.ack_timeout_ms / 1000.0)});
  terminal.out << table(rows);
}
void show_volumes(const control::ListReply& list, Terminal& terminal) {
  Rows rows{{"VOLUME", "NODE", "SIZE", "DEVICE", "META", "HOSTS USE"}};
  for (const auto& volume : list.volumes)
    rows.push_back({volume.group + "/" + volume.name, volume.node, bytes_text(volume.bytes), volume.device,
                    volume.meta, or_dash(volume.path)});
  terminal.out << table(rows);
}
void show_pairs(const control::ListReply& list, Terminal& terminal) {
  Rows rows{{"PAIR", "FROM", "MODE", "STATE", "JOURNAL THERE"}};
  for (const auto& pair : list.pairs)
    rows.push_back({pair.group + "@" + pair.target, pair.source, control::to_token(pair.mode),
                    control::to_token(pair.state), or_dash(pair.journal)});
  terminal.out << table(rows);
}

void show_all(const control::ListReply& list, Terminal& terminal) {
  const char* between = "";
  const auto part = [&](bool there, void (*show)(const control::ListReply&, Terminal&)) {
    if (!there)
      return;
    terminal.out << between;
    between = "\n";
    show(list, terminal);
  };
  part(!list.nodes.empty(), show_nodes);
  part(!list.groups.empty(), show_groups);
  part(!list.volumes.empty(), show_volumes);
  part(!list.pairs.empty(), show_pairs);
}

// Keeps what `keep` says of one kind and nothing of the others when `only` is another kind.
int list(const Invocation& invocation, Terminal& terminal) {
  Result<control::ListReply> reply = ask<control::ListReply>(invocation, control::ListRequest{});
  if (!reply)
    return report(reply.error(), invocation.json, terminal);
  const std::string kind = invocation.text("KIND");
  if (!kind.empty()) {
    if (kind != "nodes")
      reply->nodes.clear();
    if (kind != "groups")
      reply->groups.clear();
    if (kind != "volumes")
      reply->volumes.clear();
    if (kind != "pairs")
      reply->pairs.clear();
  }
  if (invocation.json)
    print_json(*reply, terminal);
  else
    show_all(*reply, terminal);
  return Exit::done;
}

// bank: the group with its volumes and pairs (or the node); bank/data: a volume; bank@sy: a pair.
control::ListReply select(const control::ListReply& all, const std::string& name) {
  control::ListReply found;
  for (const auto& node : all.nodes)
    if (node.name == name)
      found.nodes.push_back(node);
  for (const auto& group : all.groups)
    if (group.name == name)
      found.groups.push_back(group);
  for (const auto& volume : all.volumes)
    if (volume.group == name || volume.group + "/" + volume.name == name)
      found.volumes.push_back(volume);
  for (const auto& pair : all.pairs)
    if (pair.group == name || pair.group + "@" + pair.target == name)
      found.pairs.push_back(pair);
  return found;
}

int show(const Invocation& invocation, Terminal& terminal) {
  const Result<control::ListReply> reply = ask<control::ListReply>(invocation, control::ListRequest{});
  if (!reply)
    return report(reply.error(), invocation.json, terminal);
  const std::string name = invocation.text("NAME");
  const control::ListReply found = select(*reply, name);
  if (found.nodes.empty() && found.groups.empty() && found.volumes.empty() && found.pairs.empty())
    return report({ErrorCode::NotFound, "there is nothing called \"" + name + "\" on this node",
                   "'rcctl list' shows all; names are GROUP, NODE, GROUP/VOLUME or GROUP@NODE"},
                  invocation.json, terminal);
  if (invocation.json)
    print_json(found, terminal);
  else
    show_all(found, terminal);
  return Exit::done;
}

const Option dry_run_option{"dry-run", nullptr, "only say what would be done"};
const Option to_option{"to", "NODE", "which copy (not needed when there is only one)", Kind::Node};
const Option journal_size_option{"journal-size", "SIZE",
                                 "size of the journal (device: its own size; file: 1G)"};

} // namespace

std::vector<Verb> topology_verbs() {
  return {
      {"node add",
       "Make another node known (or change its address or site)",
       {{"NODE", Kind::Node}},
       {{"address", "HOST:PORT", "where its rcagent listens", Kind::None, true},
        {"site", "SITE", "the place it is in (default: a site of its own name)"}},
       node_add,
       "NODE is the name in that node's certificate. Peers learn each other's names over the link."},
      {"node remove",
       "Forget another node and end the link to it",
       {{"NODE", Kind::Node}},
       {},
       node_remove,
       "Refused while a pair with NODE exists, or while NODE and this node hold copies of one group: it says "
       "which. Its\n"
       "certificate stays valid."},
      {"group create",
       "Make a group: volumes that share one order of writes",
       {{"GROUP"}},
       {{"journal", "PATH", "device or file for the journal (a file is made)", Kind::Path, true},
        journal_size_option,
        {"ring-mib", "N", "memory of the ring, MiB, a power of two (default 64)"},
        {"on-full",
         "WORD",
         "a link is too slow: suspend it once the journal is full too, or let writes wait (default suspend)",
         Kind::Word,
         false,
         false,
         {"suspend", "throttle"}},
        {"fence",
         "WORD",
         "no sync copy answers in time: writes go on without it, or fail (default go)",
         Kind::Word,
         false,
         false,
         {"go", "stop"}},
        {"checkpoint-interval", "TIME", "how often the copies get a consistent image (default 1s)"},
        {"ack-timeout", "TIME", "longest wait of a write for a sync site (default 5s)"},
        {"force", nullptr, "the journal device is not blank: overwrite it"},
        dry_run_option},
       group_create,
       "The journal takes up what a slow link has not carried yet; after a takeover, what is received. "
       "Copies "
       "are made with the\n"
       "same settings."},
      {"group set",
       "Change settings of a group, here and at its copies",
       {{"GROUP", Kind::Group}},
       {{"on-full",
         "WORD",
         "a link is too slow: suspend it once the journal is full too, or let writes wait",
         Kind::Word,
         false,
         false,
         {"suspend", "throttle"}},
        {"fence",
         "WORD",
         "no sync copy answers in time: writes go on without it, or fail",
         Kind::Word,
         false,
         false,
         {"go", "stop"}},
        {"checkpoint-interval", "TIME", "how often the copies get a consistent image"},
        {"ack-timeout", "TIME", "longest wait of a write for a sync site"}},
       group_set,
       "What is not named stays as it is. It takes effect at once, and no pair is interrupted. A copy that "
       "can't "
       "be told now\n"
       "is told when its link is back. A shorter --ack-timeout needs every sync copy, and takes up to half "
       "of the "
       "old time:\n"
       "a copy must not take itself for current for longer than the primary waits for it."},
      {"group delete",
       "Delete a group that has neither volumes nor pairs",
       {{"GROUP", Kind::Group}},
       {},
       group_delete,
       "Its journal is given up: a file is removed, a device made blank. Refused while volumes or pairs "
       "exist: it says which."},
      {"volume create",
       "Put a device under protection",
       {{"GROUP", Kind::Group}, {"VOLUME"}},
       {{"device", "DEVICE", "the backing device", Kind::Path, true},
        {"meta", "DEVICE", "a small device for the region map", Kind::Path, true},
        {"keep-data", nullptr, "the backing device holds data: keep and protect it"},
        {"force", nullptr, "the meta device is not blank: overwrite it"},
        dry_run_option},
       volume_create,
       "Devices are looked at first (blkid): what is mounted or in use is refused; a backing device that "
       "holds something\n"
       "is refused without --keep-data; a meta device that is not blank is refused without --force. "
       "--dry-run says how\n"
       "much meta space the size needs. Hosts then use /dev/mapper/GROUP-VOLUME instead of the backing "
       "device.\n"
       "A volume can't join a group that has pairs: delete the pairs, create the volume, create the pairs "
       "again with all\n"
       "volumes. The refusal says the commands."},
      {"volume delete",
       "Give a device back (its data stays)",
       {{"GROUP", Kind::Group}, {"VOLUME", Kind::Volume}},
       {},
       volume_delete,
       "/dev/mapper/GROUP-VOLUME goes away; the backing device keeps every sector where it was and is used "
       "directly from\n"
       "then on. The meta device is made blank. Refused while the device is open or mounted, and while the "
       "group has pairs."},
      {"pair create",
       "Copy a group to another node",
       {{"GROUP", Kind::Group}},
       {{"to", "NODE", "the node that holds the copy", Kind::Node, true},
        {"mode",
         "MODE",
         "sync: a write completes when it is safe there; async: at once",
         Kind::Word,
         true,
         false,
         {"sync", "async"}},
        {"journal", "PATH", "device or file for the journal on that node", Kind::None, true},
        journal_size_option,
        {"volume", "NAME=DEVICE,META", "devices on that node, for each volume of the group", Kind::None, true,
         true},
        {"force", nullptr, "devices there are not blank: overwrite them"},
        dry_run_option},
       pair_create,
       "The agent of NODE looks at its devices, checks their size, formats the meta devices and loads the "
       "volumes as\n"
       "secondary. Then the initial copy runs while writes go on: 'rcctl watch GROUP' shows it."},
      {"pair delete",
       "Give up a copy (its data stays where it is)",
       {{"GROUP", Kind::Group}},
       {to_option, {"force", nullptr, "also when the other node can't be told: forget it here alone"}},
       pair_action<control::PairAction::Delete>,
       "The copy's volumes are unloaded, its journal and meta devices made blank; its backing devices keep "
       "the last\n"
       "image. Asked on the copy's own node it means that copy. When the other node is gone for good: "
       "--force forgets\n"
       "the pair on this node alone."},
      {"pair suspend",
       "Stop copying; changes are noted in the region map",
       {{"GROUP", Kind::Group}},
       {to_option},
       pair_action<control::PairAction::Suspend>},
      {"pair resume",
       "Go on copying, with what changed meanwhile",
       {{"GROUP", Kind::Group}},
       {to_option},
       pair_action<control::PairAction::Resume>},
      {"pair resync",
       "Give up a pair's backlog: compare the region maps, copy what may differ",
       {{"GROUP", Kind::Group}},
       {to_option,
        {"in-place", nullptr,
         "where the copy's journal is too small: overwrite its image (only with --force)"},
        {"force", nullptr, "also a current sync copy, which lacks nothing; also in place"}},
       pair_action<control::PairAction::Resync>,
       "For a link that stays behind: instead of every write since, only what differs is sent, as it is "
       "now. The copy\n"
       "keeps its image until the resync is complete. It trusts the maps; it does not read and compare "
       "data. A pair that\n"
       "was suspended by command is resumed with 'rcctl pair resume', which does this by itself where it "
       "has to.\n"
       "--in-place: the copy has no image, and no takeover is possible there, until this one resync is "
       "complete; an\n"
       "interruption makes it copy everything."},
      {"list",
       "List nodes, groups, volumes and pairs",
       {{"KIND", Kind::Word, false, {"nodes", "groups", "volumes", "pairs"}}},
       {},
       list},
      {"show",
       "Show one group, node, volume (GROUP/VOLUME) or pair (GROUP@NODE)",
       {{"NAME", Kind::Group}},
       {},
       show},
  };
}

} // namespace rc::ctl
