// SPDX-License-Identifier: GPL-2.0-or-later
// Commands that take away what commands_topology.cpp made. Each is refused while something stands on what it
// would remove, and names it. Data on a backing device is never touched.
#include "agent/change_reply.hpp"
#include "agent/commands.hpp"
#include "agent/forward.hpp"
#include "agent/journal_setup.hpp"
#include "base/log.hpp"
#include "io/block_device.hpp"

#include <filesystem>

namespace rc::agent {

using namespace rc::control;

namespace {

std::string joined(const std::vector<std::string>& words, const char* between) {
  std::string text;
  for (const auto& word : words)
    text += (text.empty() ? "" : between) + word;
  return text;
}

// Who uses the device that hosts see: empty when nobody does. dm knows that it is open, sysfs by whom.
// Blocks.
Status check_unused(const std::string& object, const std::string& path) {
  std::error_code failed;
  if (!std::filesystem::exists(path, failed))
    return {};
  const auto probed = io::probe(path);
  if (probed && !probed->in_use.empty())
    return Error{ErrorCode::Refused, object + " is in use: " + path + " is " + probed->in_use,
                 "unmount it (or end what uses it), then repeat"};
  return {};
}

} // namespace

// ---- node

void Commands::node_remove(const NodeRemoveRequest& request, Reply<ChangeReply> reply) {
  const std::string object = "node " + request.name;
  if (request.name == context_.config.node) {
    reply(Error{ErrorCode::Refused, "node " + request.name + " is this node",
                "to retire it: delete its pairs and groups, remove it on the other nodes, stop rcagent"});
    return;
  }
  const auto topology = context_.inventory.load();
  if (!topology) {
    reply(topology.error());
    return;
  }
  std::vector<std::string> pairs, commands;
  for (const auto& pair : topology->pairs)
    if (pair.source == request.name || pair.target == request.name) {
      pairs.push_back(pair.group + "@" + pair.target + " (from " + pair.source + ")");
      commands.push_back("rcctl pair delete " + pair.group + " --to " + pair.target);
    }
  for (const auto& group : topology->groups)
    if (group.role == Role::Secondary && group.primary_node == request.name && pairs.empty()) {
      pairs.push_back(group.name + "@" + context_.config.node + " (from " + request.name + ")");
      commands.push_back("rcctl pair delete " + group.name + " --to " + context_.config.node);
    }
  if (!pairs.empty()) {
    reply(Error{ErrorCode::Refused,
                "node " + request.name + " is an end of " + (pairs.size() == 1 ? "pair " : "pairs ") +
                    joined(pairs, ", "),
                "delete " + std::string(pairs.size() == 1 ? "it" : "them") +
                    " first: " + joined(commands, "; ") + " (with --force when that node is gone for good)"});
    return;
  }
  // Nodes of a common group know each other: removed here it would be learned again from that group's
  // primary.
  if (const auto common = news_.groups_with(request.name); !common.empty()) {
    std::vector<std::string> groups, deletes;
    for (const auto& [group, primary] : common) {
      groups.push_back(group + " (primary " + primary + ")");
      deletes.push_back("rcctl pair delete " + group + " --to " + request.name + " on node " + primary);
    }
    reply(Error{ErrorCode::Refused,
                "node " + request.name + " holds a copy of " + joined(groups, ", ") +
                    ", of which this node holds one, too: after a takeover here it has to be told",
                "delete its copy first: " + joined(deletes, "; ")});
    return;
  }
  const auto removed = context_.inventory.remove_node(request.name);
  if (!removed) {
    reply(removed.error());
    return;
  }
  if (*removed == Outcome::Unchanged) {
    reply(change(Outcome::Unchanged, object, "is not known here"));
    return;
  }
  const bool linked = peers_.link(request.name) != nullptr;
  peers_.forget(request.name);
  auto answer = change(Outcome::Removed, object, linked ? "forgotten, its link was ended" : "forgotten");
  answer.details.push_back("its certificate stays valid: if it knows this node's address it connects again; "
                           "there: rcctl node remove " +
                           context_.config.node);
  context_.events.add(Severity::Notice, EventKind::Destroy, object, "", answer.what);
  board_.changed();
  reply(answer);
}

// ---- volume

std::string Commands::in_use_by_pairs(const std::string& group) {
  std::vector<std::string> commands;
  if (const auto topology = context_.inventory.load())
    for (const auto& pair : topology->pairs)
      if (pair.group == group)
        commands.push_back("rcctl pair delete " + group + " --to " + pair.target);
  return joined(commands, "; ");
}

void Commands::volume_delete(const VolumeDeleteRequest& request, Reply<ChangeReply> reply) {
  const auto group = group_row(request.group);
  if (!group) {
    reply(group.error());
    return;
  }
  if (forwarded(*group, request, reply))
    return;
  const std::string object = "volume " + request.group + "/" + request.name;
  VolumeSet only = volume_set(*group);
  std::erase_if(only.volumes, [&](const io::VolumeRow& volume) { return volume.name != request.name; });
  if (only.volumes.empty()) {
    reply(change(Outcome::Unchanged, object, "does not exist"));
    return;
  }
  if (const auto commands = in_use_by_pairs(request.group); !commands.empty()) {
    reply(Error{ErrorCode::Refused,
                object + " belongs to a group with pairs: their copies hold this volume, too",
                "delete the pairs first: " + commands +
                    "; afterwards they are created again with the volumes that are left"});
    return;
  }
  context_.in_background(
      [only, object]() -> Status {
        if (Status unused = check_unused(object, device_path(only.group, only.volumes.front().name)); !unused)
          return unused;
        return unload(only);
      },
      [this, row = only.volumes.front(), object, reply](const Status& unloaded) {
        if (!unloaded)
          reply(unloaded.error().because(object));
        else
          volume_removed(row, reply);
      });
}

void Commands::volume_removed(const io::VolumeRow& row, Reply<ChangeReply> reply) {
  const std::string object = "volume " + row.group + "/" + row.name;
  if (const auto removed = context_.inventory.remove_volume(row.group, row.node, row.name); !removed) {
    reply(removed.error());
    return;
  }
  groups_.rows_changed(row.group);
  auto answer = change(Outcome::Removed, object, device_path(row.group, row.name) + " is gone");
  answer.details.push_back(row.device + " keeps all data, sector by sector: use it directly (mount " +
                           row.device + ", and change fstab), unprotected from now on");
  answer.details.push_back("to protect it again: rcctl volume create " + row.group + " " + row.name +
                           " --device " + row.device + " --meta " + row.meta + " --keep-data");
  const auto group = group_row(row.group);
  if (group && volume_set(*group).volumes.empty())
    answer.next_action =
        "it was the last volume of the group; rcctl group delete " + row.group + " frees the journal, too";
  context_.events.add(Severity::Notice, EventKind::Destroy, object, row.group,
                      answer.what + "; " + row.device + " keeps its data");
  board_.changed();
  context_.in_background([row] { return blank_meta(row.meta, row.bytes); },
                         [answer, row, reply](const Status& blanked) mutable {
                           if (!blanked)
                             answer.warnings.push_back("meta device " + row.meta +
                                                       " was not blanked: " + blanked.error().text());
                           reply(answer);
                         });
}

// ---- group

void Commands::group_delete(const GroupDeleteRequest& request, Reply<ChangeReply> reply) {
  const std::string object = "group " + request.name;
  const auto group = group_row(request.name);
  if (!group) {
    if (group.error().code == ErrorCode::NotFound)
      reply(change(Outcome::Unchanged, object, "does not exist on node " + context_.config.node));
    else
      reply(group.error());
    return;
  }
  if (group->role == Role::Secondary) {
    reply(Error{ErrorCode::Refused,
                object + " is here as a copy of node " + group->primary_node + ", not as its own group",
                "give the copy up: rcctl pair delete " + request.name + " --to " + context_.config.node});
    return;
  }
  if (const auto commands = in_use_by_pairs(request.name); !commands.empty()) {
    reply(Error{ErrorCode::Refused, object + " has pairs", "delete them first: " + commands});
    return;
  }
  std::vector<std::string> names, commands;
  for (const auto& volume : volume_set(*group).volumes) {
    names.push_back(volume.name);
    commands.push_back("rcctl volume delete " + request.name + " " + volume.name);
  }
  if (!names.empty()) {
    reply(Error{ErrorCode::Refused, object + " has volumes: " + joined(names, ", "),
                "delete them first (their data stays): " + joined(commands, "; ")});
    return;
  }
  when_released(groups_.stop_group(request.name), [this, row = *group, object, reply] {
    if (const auto removed = context_.inventory.remove_group(row.name); !removed) {
      groups_.begin(row.name);
      reply(removed.error());
      return;
    }
    context_.events.add(Severity::Notice, EventKind::Destroy, object, row.name, "deleted");
    board_.changed();
    context_.in_background([path = row.journal] { return release_journal(path); },
                           [object, path = row.journal, reply](const Status& released) {
                             auto answer = change(Outcome::Removed, object, "its name is free");
                             if (released)
                               answer.details.push_back("journal " + path + " is free");
                             else
                               answer.warnings.push_back("journal " + path +
                                                         " was not blanked: " + released.error().text());
                             reply(answer);
                           });
  });
}

} // namespace rc::agent
