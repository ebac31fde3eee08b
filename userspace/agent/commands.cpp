// SPDX-License-Identifier: GPL-2.0-or-later
// What all commands share, and those that only look: version, list, status, events.
#include "agent/commands.hpp"

#include "agent/version.hpp"
#include "agent/wait_until.hpp"
#include "io/dm.hpp"

namespace rc::agent {

using namespace rc::control;

Commands::Commands(Context& context, Peers& peers, NodeCalls& calls, Groups& groups, Copysets& copysets,
                   StatusBoard& board, PrimaryNews& news)
    : context_(context), peers_(peers), calls_(calls), groups_(groups), board_(board), news_(news),
      copysets_(copysets),
      copyset_creation_(context, peers, calls, groups, copysets, [this] { board_.changed(); }),
      site_takeover_(
          context, peers, calls, groups, copysets,
          [this](const TakeoverRequest& request, const SiteTakeover::Answered& answered) {
            plan_group(request, answered);
          },
          [this] { board_.changed(); }) {
  serve_knowledge();
  serve_forget();
  serve_settings();
}

Result<io::GroupRow> Commands::group_row(const std::string& name) {
  const auto topology = context_.inventory.load();
  if (!topology)
    return topology.error();
  for (const auto& group : topology->groups)
    if (group.name == name)
      return group;
  return Error{ErrorCode::NotFound, "there is no group " + name + " on node " + context_.config.node,
               "rcctl list shows what there is; rcctl group create makes one"};
}

VolumeSet Commands::volume_set(const io::GroupRow& group) {
  VolumeSet set;
  set.group = group.name;
  set.ring_mib = group.ring_mib;
  const auto topology = context_.inventory.load();
  if (topology)
    for (const auto& volume : topology->volumes)
      if (volume.group == group.name && volume.node == context_.config.node)
        set.volumes.push_back(volume);
  return set;
}

void Commands::wait_until(std::function<bool()> ready, std::chrono::milliseconds most,
                          std::function<void(bool)> then) {
  agent::wait_until(context_, std::move(ready), most, std::move(then));
}

void Commands::when_released(std::weak_ptr<io::Journal> journal, std::function<void()> then) {
  wait_until([journal] { return journal.expired(); }, std::chrono::seconds(30),
             [then = std::move(then)](bool) { then(); });
}

void Commands::version(const VersionRequest&, Reply<VersionReply> reply) {
  VersionReply answer;
  answer.version = product_version;
  answer.node = context_.config.node;
  answer.site = context_.config.site;
  answer.status_schema = status_schema;
  context_.in_background([] { return io::dm::target_version("remotecopy"); },
                         [answer, reply](const Result<std::optional<std::string>>& target) mutable {
                           if (target && *target) {
                             answer.kernel_target = **target;
                             answer.kernel_abi = DMRC_ABI_VERSION;
                           }
                           reply(answer);
                         });
}

void Commands::list(const ListRequest&, Reply<ListReply> reply) {
  const auto topology = context_.inventory.load();
  if (!topology) {
    reply(topology.error());
    return;
  }
  ListReply answer;
  for (const auto& row : topology->nodes) {
    NodeInfo node;
    node.name = row.name;
    node.site = row.site;
    node.address = row.address;
    node.self = row.self;
    if (!row.self) {
      const auto link = peers_.status(row.name);
      node.link = link.state;
      node.reason = link.reason;
    } else {
      node.link = LinkState::Up;
    }
    answer.nodes.push_back(std::move(node));
  }
  const auto status = board_.report("");
  for (const auto& row : topology->groups) {
    GroupInfo group;
    group.name = row.name;
    group.role = row.role;
    group.primary_node = row.primary_node;
    group.journal = row.journal;
    group.journal_bytes = row.journal_bytes;
    group.ring_mib = row.ring_mib;
    group.on_full = row.on_full;
    group.fence = row.fence;
    group.checkpoint_ms = row.checkpoint_ms;
    group.ack_timeout_ms = row.ack_timeout_ms;
    answer.groups.push_back(std::move(group));
  }
  for (const auto& row : topology->volumes) {
    VolumeInfo volume;
    volume.group = row.group;
    volume.name = row.name;
    volume.number = row.number;
    volume.node = row.node;
    volume.bytes = row.bytes;
    volume.device = row.device;
    volume.meta = row.meta;
    if (row.node == context_.config.node)
      volume.path = device_path(row.group, row.name);
    answer.volumes.push_back(std::move(volume));
  }
  for (const auto& row : topology->pairs) {
    PairInfo pair;
    pair.group = row.group;
    pair.source = row.source;
    pair.target = row.target;
    pair.mode = row.mode;
    pair.journal = row.journal;
    for (const auto& group : status.groups)
      for (const auto& known : group.pairs)
        if (known.group == row.group && known.target == row.target)
          pair.state = known.state;
    answer.pairs.push_back(std::move(pair));
  }
  answer.copysets = copysets_.list();
  reply(answer);
}

void Commands::status(const StatusRequest& request, Reply<StatusReply> reply) {
  if (!request.group.empty())
    if (const auto row = group_row(request.group); !row) {
      reply(row.error());
      return;
    }
  if (!reply.wants_more()) {
    reply(board_.report(request.group));
    return;
  }
  const auto interval =
      std::chrono::milliseconds(static_cast<std::int64_t>(std::max(0.1, request.interval_seconds) * 1000));
  auto timer = std::make_shared<boost::asio::steady_timer>(context_.loop);
  auto send = std::make_shared<std::function<void()>>();
  const int follower = board_.follow([this, reply, group = request.group] {
    if (reply.open() && !reply.backlogged())
      reply.progress(board_.report(group));
  });
  reply.on_gone([this, timer, follower] {
    board_.unfollow(follower);
    timer->cancel();
  });
  *send = [this, reply, group = request.group, timer, interval, again = std::weak_ptr(send)] {
    if (!reply.open())
      return;
    if (!reply.backlogged())
      reply.progress(board_.report(group));
    timer->expires_after(interval);
    timer->async_wait([again = again.lock()](boost::system::error_code failed) {
      if (!failed && again)
        (*again)();
    });
  };
  (*send)();
}

void Commands::events(const EventsRequest& request, Reply<EventsReply> reply) {
  // What is stored is read behind what is being stored; what happens meanwhile is told after it.
  struct Stream {
    bool dumped = false;
    std::vector<EventInfo> meanwhile;
  };
  auto stream = std::make_shared<Stream>();
  const auto tell = [reply](const EventInfo& event) {
    EventsReply one;
    one.events.push_back(event);
    reply.progress(one);
  };
  if (reply.wants_more()) {
    const int follower =
        context_.events.follow([reply, stream, tell, group = request.group](const EventInfo& event) {
          if (!reply.open() || (!group.empty() && event.group != group))
            return;
          if (stream->dumped)
            tell(event);
          else
            stream->meanwhile.push_back(event);
        });
    reply.on_gone([this, follower] { context_.events.unfollow(follower); });
  }
  auto dump = [reply, stream, tell](const io::InventoryWriter::Events& stored) {
    stream->dumped = true;
    if (!stored) {
      reply(stored.error());
      return;
    }
    EventsReply answer;
    answer.events = *stored;
    if (!reply.wants_more()) {
      reply(answer);
      return;
    }
    reply.progress(answer);
    EventsReply complete;
    complete.dump_complete = true;
    reply.progress(complete);
    for (const auto& event : stream->meanwhile)
      tell(event);
    stream->meanwhile.clear();
  };
  context_.writer->read_events(
      request.group, request.after, request.limit,
      [executor = context_.executor(), dump = std::move(dump)](io::InventoryWriter::Events stored) mutable {
        // Moved: the reply ends on this thread only.
        io::post(executor, [dump = std::move(dump), stored = std::move(stored)] { dump(stored); });
      });
}

} // namespace rc::agent
