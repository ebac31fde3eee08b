// SPDX-License-Identifier: GPL-2.0-or-later
// Executes the actions of both machines in order and brings the answers back as events.
#include "transcripts/world.hpp"

#include "base/assert.hpp"
#include "base/overloaded.hpp"

#include <algorithm>

namespace rc::story {
using namespace core;

namespace {
Volumes blank(std::uint64_t regions, std::uint64_t volumes) {
  Volumes all;
  for (std::uint64_t volume = 0; volume < volumes; ++volume)
    all[static_cast<VolumeNumber>(volume)].resize(regions);
  return all;
}
} // namespace

Node& World::node(const std::string& name) {
  const auto found = nodes_.find(name);
  RC_ASSERT(found != nodes_.end());
  return found->second;
}

Node* World::copy_of(LinkSlot slot) {
  for (auto& [name, node] : nodes_)
    if (node.slot == slot && name != primary_)
      return &node;
  return nullptr;
}

void World::trace(const Node& node, const std::string& text) {
  if (!text.empty() && traced.count(node.name))
    out += node.name + ": " + text + "\n";
}

// ---- set-up

void World::make_primary(const std::string& name, std::uint64_t regions, std::uint64_t volumes) {
  Node& node = nodes_[name];
  node.name = name;
  node.slot = 0;
  order_.push_back(name);
  primary_ = name;
  node.kernel.volumes = blank(regions, volumes);
  node.kernel.slots = slots;
  node.kernel.load(1);
  node.copy.stored.role = format::Role::Primary;
  node.copy.stored.position = {{{1, name, 11, Era{}}}, Era::open()};
  make_source(true);
}

void World::make_copy(const std::string& name, LinkMode mode, std::uint64_t ack_timeout_ms) {
  Node& node = nodes_[name];
  node.name = name;
  node.slot = static_cast<LinkSlot>(order_.size());
  node.mode = mode;
  ack_timeout_ms_ = ack_timeout_ms;
  order_.push_back(name);
  for (const auto& [number, volume] : primary().kernel.volumes)
    node.copy.volumes[number].resize(volume.size());
  make_target(node);
  LinkConfig link;
  link.link = node.slot;
  link.peer = link.site = name;
  link.mode = mode;
  link.ack_timeout_ms = ack_timeout_ms;
  link.window_bytes = window_bytes;
  source_event(source::LinkAdded{link});
  heal(name);
}

void World::make_source(bool live) {
  Node& node = primary();
  SourceConfig config;
  config.group = "g";
  config.site = node.name;
  config.volume_sectors = sizes(node.kernel.volumes);
  config.fence = fence;
  config.checkpoint_interval_ms = auto_checkpoints ? 1000 : 1'000'000'000;
  for (const std::string& name : order_) {
    if (name == primary_)
      continue;
    LinkConfig link;
    link.link = nodes_[name].slot;
    link.peer = link.site = name;
    link.mode = nodes_[name].mode;
    link.ack_timeout_ms = ack_timeout_ms_;
    link.window_bytes = window_bytes;
    config.links.push_back(link);
  }
  RecoveredSpill spill;
  spill.capacity_bytes = spill_bytes;
  spill.capacity_slots = 4096;
  if (!node.spill.segments.empty()) {
    const auto& segment = node.spill.segments.back();
    spill.stream = segment.stream;
    spill.first = segment.first;
    spill.last = node.spill.last();
  }
  node.source = std::make_unique<Source>(config, node.copy.stored, spill);
  node.source_inbox.clear();
  node.reading = false;
  source_event(source::Started{live});
}

void World::make_target(Node& node) {
  TargetConfig config;
  config.group = "g";
  config.site = node.name;
  config.source = primary_;
  config.link = node.slot;
  config.volume_sectors = sizes(node.copy.volumes);
  config.lease_ns = node.mode == LinkMode::Sync ? lease_for(ack_timeout_ms_) : 0;
  node.target = std::make_unique<Target>(config, node.copy.stored, node.copy.journal.recovered());
  node.target_inbox.clear();
  node.flush_due = false;
  node.applying.reset();
  target_event(node, target::Started{});
}

// ---- the primary

void World::source_event(const source::Event& event) {
  Node& node = primary();
  if (!node.source)
    return;
  const source::Actions actions = node.source->step(event, now());
  node.source->check_invariants();
  for (const source::Action& action : actions)
    source_action(action);
}

void World::source_action(const source::Action& action) {
  Node& node = primary();
  KernelModel& kernel = node.kernel;
  auto answer = [&](source::Event event) { node.source_inbox.push_back(std::move(event)); };
  trace(node, describe(action));
  std::visit(Overloaded{
                 [&](const source::StoreState& a) {
                   node.copy.stored = a.state;
                   node.spill.change(a.journal);
                 },
                 [&](const source::LoadVolumes& a) {
                   kernel.load(a.generation);
                   answer(source::VolumesLoaded{true, ""});
                 },
                 [&](const source::AttachRing&) {
                   node.read = kernel.freed;
                   source::RingAttached attached;
                   attached.stream = kernel.stream;
                   attached.freed = kernel.freed;
                   attached.reserved = kernel.ring.size();
                   attached.acked = kernel.acked;
                   attached.era = kernel.era;
                   attached.lost_at = kernel.lost_at;
                   attached.sync_wait = kernel.sync_wait;
                   attached.alone = kernel.alone;
                   attached.alone_since = kernel.alone_since;
                   attached.alone_after_ns = kernel.sync_wait ? kernel.alone_after_ns : 0;
                   attached.data_bytes = kernel.slots * region_sectors * DMRC_SECTOR_BYTES;
                   attached.slots = kernel.slots;
                   attached.copy_slots = 4;
                   attached.copy_slot_bytes = region_sectors * DMRC_SECTOR_BYTES;
                   attached.region_sectors = region_sectors;
                   answer(attached);
                 },
                 [&](const source::StartStream&) {
                   kernel.start_stream();
                   node.read = 0;
                   node.reading = false;
                   answer(source::StreamStarted{kernel.stream, kernel.era, ""});
                 },
                 [&](const source::FreeRing& a) { kernel.freed = a.freed; },
                 [&](const source::AckRing& a) {
                   kernel.acked = std::max(kernel.acked, a.acked);
                   kernel.alone_after_ns = std::max(kernel.alone_after_ns, a.alone_after_ns);
                   kernel.complete_writes();
                 },
                 [&](const source::SetSync& a) {
                   if (!kernel.sync_wait || kernel.alone)
                     kernel.sync_since = kernel.ring.size();
                   kernel.sync_wait = a.wait;
                   kernel.alone = false;
                   kernel.alone_after_ns = a.alone_after_ns;
                   kernel.complete_writes();
                   answer(source::SyncSwitched{a.wait, kernel.sync_since});
                 },
                 [&](const source::PutCheckpoint&) {
                   if (kernel.stream.value == 0 || kernel.lost_at != 0) {
                     answer(source::CheckpointPut{Era{}, 0, 0, "no stream"});
                     return;
                   }
                   source::CheckpointPut put;
                   put.checkpoint = kernel.checkpoint(held_checkpoints, put.marker_seq);
                   put.time_ns = kernel.real_ns;
                   answer(put);
                 },
                 [&](const source::SendRecords& a) { send_records(a); },
                 [&](const source::SendMessage& a) {
                   copy_of(a.link)->to_copy.push_back({nullptr, a.message, false});
                 },
                 [&](const source::CloseLink& a) {
                   copy_of(a.link)->to_copy.push_back({nullptr, std::nullopt, true});
                 },
                 [&](const source::SpillRecords& a) {
                   std::vector<format::Record> records(
                       kernel.ring.begin() + static_cast<std::ptrdiff_t>(a.first - 1),
                       kernel.ring.begin() + static_cast<std::ptrdiff_t>(a.last));
                   node.spill.append(records);
                   node.spill_due = true;
                 },
                 [&](const source::TrimSpill& a) {
                   JournalChange change;
                   change.trim = JournalChange::Trim{a.stream, a.through};
                   const std::size_t unflushed = node.spill.unflushed;
                   node.spill.change(change);
                   node.spill.unflushed = unflushed;
                 },
                 [&](const source::ReckonDirty& a) {
                   answer(source::Reckoned{a.link, a.ticket, dirty(kernel.volumes, a.since)});
                 },
                 [&](const source::CopyRegion& a) {
                   if (kernel.copies_left != 0 && kernel.lost_at == 0) {
                     kernel.copies_left -= kernel.copies_left != ~0ULL;
                     kernel.copy(a);
                   } else
                     answer(source::CopyRefused{a.link, a.volume, a.sector, a.sectors});
                 },
                 [&](const source::PutEndOfCopying& a) { kernel.put(DMRC_END_OF_COPYING, tag_of(a.link)); },
                 [&](const source::StaleGeneration&) { kernel.live = false; },
                 [&](const source::TellCopyset&) {},
                 [&](const source::Note&) {},
             },
             action);
}

void World::send_records(const source::SendRecords& action) {
  Node& node = primary();
  Node& to = *copy_of(action.link);
  auto message = std::make_shared<format::RecordsMessage>();
  message->stream = action.stream;
  Seq last = action.last;
  std::uint64_t bytes = 0;
  const bool spilled = action.from == source::SendRecords::From::Spill;
  for (Seq seq = action.first; seq <= last; ++seq) {
    const auto& segment = spilled ? node.spill.segments.back() : JournalModel::Segment{};
    if (spilled)
      RC_ASSERT(segment.stream == action.stream && seq >= segment.first && seq <= node.spill.last());
    else
      RC_ASSERT(seq > node.kernel.freed);
    format::Record record = spilled ? segment.records[seq - segment.first] : node.kernel.ring[seq - 1];
    if (record.type == DMRC_COPY && (record.tag & tag_of(action.link)) == 0)
      record.flags |= DMRC_F_ELIDED;
    bytes += format::data_bytes(record);
    message->records.push_back(record);
    if (spilled && bytes >= action.max_bytes)
      last = seq;
  }
  to.to_copy.push_back({message, std::nullopt, false});
  if (spilled)
    node.source_inbox.push_back(source::SentFromSpill{action.link, action.first, last, bytes});
}

// ---- the copies

void World::target_event(Node& node, const target::Event& event) {
  if (!node.target)
    return;
  const target::Actions actions = node.target->step(event, now());
  node.target->check_invariants();
  for (const target::Action& action : actions)
    target_action(node, action);
}

void World::target_action(Node& node, const target::Action& action) {
  trace(node, describe(action));
  std::visit(Overloaded{
                 [&](const target::StoreState& a) {
                   node.copy.stored = a.state;
                   node.copy.journal.change(a.journal);
                   if (!a.journal.none())
                     node.target_inbox.push_back(target::JournalTrimmed{node.copy.journal.space()});
                   if (node.copy.journal.segments.empty())
                     return;
                   node.flush_due = true;
                 },
                 [&](const target::AppendJournal& a) {
                   RC_ASSERT(a.message->records.front().seq == node.copy.journal.last() + 1);
                   node.copy.journal.append(a.message->records);
                   node.flush_due = true;
                 },
                 [&](const target::SetUpdateInProgress& a) { node.copy.update_in_progress = a.in_progress; },
                 [&](const target::ApplyRecords& a) { node.applying = a; },
                 [&](const target::ReckonOwnDirty& a) {
                   node.target_inbox.push_back(target::OwnDirty{a.ticket, dirty(node.copy.volumes, a.since)});
                 },
                 [&](const target::SendMessage& a) {
                   node.to_source.push_back({nullptr, a.message, false});
                 },
                 [&](const target::CloseLink&) {
                   node.to_source.push_back({nullptr, std::nullopt, true});
                 },
                 [&](const target::BecomePrimary& a) {
                   out += node.name + " is primary, generation " + std::to_string(a.generation) + "\n";
                 },
                 [&](const target::TakeoverRefused& a) {
                   out += "refused: " + a.reason + " (" + a.next_action + ")\n";
                 },
                 [&](const target::TellCopyset&) {},
                 [&](const target::Note&) {},
             },
             action);
}

// ---- what goes on by itself

bool World::pump_ring() {
  Node& node = primary();
  if (!node.source || !node.reading || node.read >= node.kernel.ring.size())
    return false;
  const std::vector<format::Record> records(node.kernel.ring.begin() + static_cast<std::ptrdiff_t>(node.read),
                                            node.kernel.ring.end());
  node.read = node.kernel.ring.size();
  source_event(source::RecordsCommitted{node.kernel.stream, records});
  source_event(source::RingProgress{node.read, node.kernel.alone, node.kernel.alone_since});
  return true;
}

bool World::pump_node(Node& node) {
  bool did = false;
  if (node.source && !node.source_inbox.empty() && !node.held.count("answers")) {
    const source::Event event = node.source_inbox.front();
    node.source_inbox.pop_front();
    if (const auto* attached = std::get_if<source::RingAttached>(&event))
      node.reading = attached->stream.value != 0;
    else if (std::holds_alternative<source::StreamStarted>(event))
      node.reading = true;
    source_event(event);
    did = true;
  }
  if (node.source && node.spill_due && !node.held.count("spill")) {
    node.spill_due = false;
    node.spill.unflushed = 0;
    const JournalSpace space = node.spill.space();
    source_event(
        source::SpillDurable{node.spill.segments.empty() ? StreamId{} : node.spill.segments.back().stream,
                             node.spill.last(), space.used_bytes, spill_bytes, space.used_slots, 4096});
    did = true;
  }
  if (!node.target)
    return did;
  if (!node.target_inbox.empty()) {
    const target::Event event = node.target_inbox.front();
    node.target_inbox.pop_front();
    target_event(node, event);
    did = true;
  }
  if (node.flush_due && !node.held.count("flush")) {
    node.flush_due = false;
    node.copy.journal.unflushed = 0;
    if (node.copy.journal.segments.empty())
      return true;
    target_event(node, target::JournalDurable{node.copy.journal.segments.back().stream,
                                              node.copy.journal.last(), node.copy.journal.space()});
    did = true;
  }
  if (node.applying && !node.held.count("apply")) {
    const target::ApplyRecords what = *std::exchange(node.applying, std::nullopt);
    node.copy.apply(what.stream, what.last, false);
    target_event(node, target::Applied{what.stream, what.last});
    did = true;
  }
  return did;
}

bool World::pump_link(Node& node) {
  bool did = false;
  if (!node.to_copy.empty() && !node.held.count("in")) {
    const Node::Frame frame = node.to_copy.front();
    node.to_copy.pop_front();
    if (frame.close)
      drop_link(node, "closed by the source");
    else if (frame.records)
      target_event(node, target::RecordsArrived{frame.records});
    else
      target_event(node, target::MessageArrived{*frame.message});
    did = true;
  }
  if (!node.to_source.empty() && !node.held.count("out")) {
    const Node::Frame frame = node.to_source.front();
    node.to_source.pop_front();
    if (frame.close)
      drop_link(node, "closed by the copy");
    else
      source_event(source::MessageArrived{node.slot, *frame.message});
    did = true;
  }
  return did;
}

void World::run() {
  for (int round = 0; round < 100'000; ++round) {
    bool did = pump_ring();
    for (const std::string& name : order_) {
      Node& each = nodes_[name];
      did = pump_node(each) || did;
      if (name != primary_ && each.link_up)
        did = pump_link(each) || did;
    }
    if (!did)
      return;
  }
  out += "does not come to rest\n";
}

void World::pass(std::uint64_t ns) {
  const std::uint64_t end = boot_ns_ + ns;
  while (boot_ns_ < end) {
    boot_ns_ = std::min(end, boot_ns_ + 50 * ms);
    for (const std::string& name : order_)
      nodes_[name].kernel.real_ns = now().real_ns;
    if (primary().up) {
      primary().kernel.clock(boot_ns_);
      if (primary().source) {
        source_event(
            source::RingProgress{primary().read, primary().kernel.alone, primary().kernel.alone_since});
        source_event(source::Tick{});
      }
    }
    for (const std::string& name : order_) {
      Node& each = nodes_[name];
      if (each.target)
        target_event(each, target::Tick{});
      if (name != primary_ && !each.link_up && each.cable && boot_ns_ >= each.reconnect_ns)
        heal(name);
    }
    run();
  }
}

// ---- commands

void World::write(VolumeNumber volume, std::uint64_t region) {
  if (!primary().kernel.live) {
    out += "refused: no primary volumes\n";
    return;
  }
  primary().kernel.write(volume, region, ++values_);
}

void World::checkpoint_now() {
  KernelModel& kernel = primary().kernel;
  Seq marker = 0;
  if (kernel.stream.value != 0)
    kernel.checkpoint(held_checkpoints, marker);
}

void World::drop_link(Node& node, const std::string& reason) {
  if (!node.link_up)
    return;
  node.link_up = false;
  node.to_copy.clear();
  node.to_source.clear();
  node.reconnect_ns = boot_ns_ + second;
  source_event(source::LinkDown{node.slot, reason});
  target_event(node, target::LinkDown{reason});
}

void World::cut(const std::string& name) {
  node(name).cable = false;
  drop_link(node(name), "no answer");
}

void World::heal(const std::string& name) {
  Node& copy = node(name);
  copy.cable = true;
  if (copy.link_up || !copy.target || !primary().source || name == primary_)
    return;
  copy.link_up = true;
  source_event(source::LinkUp{copy.slot});
  target_event(copy, target::LinkUp{});
}

void World::power_cut(const std::string& name) {
  Node& cut_node = node(name);
  cut_node.up = false;
  if (name == primary_) {
    cut_node.source.reset();
    cut_node.source_inbox.clear();
    cut_node.kernel.power_cut();
    cut_node.read = 0;
    cut_node.spill.power_cut();
    for (const std::string& other : order_)
      if (other != name)
        drop_link(nodes_[other], "the primary is gone");
  } else {
    drop_link(cut_node, "the copy is gone");
    cut_node.target.reset();
    cut_node.target_inbox.clear();
    cut_node.applying.reset();
    cut_node.flush_due = false;
    cut_node.copy.journal.power_cut();
  }
}

void World::kill_agent(const std::string& name) {
  Node& killed = node(name);
  if (name == primary_) {
    killed.source.reset();
    killed.source_inbox.clear();
    for (const std::string& other : order_)
      if (other != name)
        drop_link(nodes_[other], "the source's agent is gone");
  } else {
    power_cut(name); // the journal's unflushed end goes with the process
  }
}

void World::start(const std::string& name) {
  Node& started = node(name);
  started.up = true;
  if (name == primary_)
    make_source(started.kernel.live);
  else
    make_target(started);
  for (const std::string& other : order_)
    if (other != primary_ && nodes_[other].cable && (name == primary_ || other == name))
      heal(other);
}

void World::half_apply(const std::string& name) {
  Node& copy = node(name);
  RC_ASSERT(copy.applying);
  const target::ApplyRecords what = *copy.applying;
  power_cut(name);
  copy.copy.apply(what.stream, what.last, true);
}

void World::takeover(const std::string& name) {
  Node& copy = node(name);
  target_event(copy, target::TakeoverRequested{name, 100 + ++takeovers_});
  run();
  if (copy.copy.stored.role != format::Role::Primary)
    return;
  Node& old = primary();
  if (old.source) {
    for (const std::string& other : order_)
      if (other != primary_)
        drop_link(nodes_[other], "takeover");
    old.source.reset();
  }
  old.up = false;
  copy.target.reset();
  copy.kernel.volumes = copy.copy.volumes;
  copy.kernel.slots = slots;
  copy.kernel.load(newest_generation(copy.copy.stored.position.lineage));
  copy.spill = {};
  std::swap(old.slot, copy.slot);
  primary_ = name;
  for (auto& [other, each] : nodes_)
    if (other != name)
      drop_link(each, "takeover");
  make_source(true);
  run();
}

void World::make_secondary(const std::string& name) {
  Node& old = node(name);
  RC_ASSERT(name != primary_);
  if (old.copy.stored.role == format::Role::Primary) {
    old.copy.volumes = old.kernel.volumes;
    old.kernel = {};
    old.copy.journal = {};
    old.copy.stored.role = format::Role::Secondary;
  }
  old.up = true;
  make_target(old);
  heal(name);
}

} // namespace rc::story
