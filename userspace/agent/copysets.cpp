// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/copysets.hpp"

#include "agent/clock.hpp"
#include "base/log.hpp"
#include "core/copyset_table.hpp"
#include "format/copyset_cbor.hpp"

namespace rc::agent {

using namespace core::copyset;
using format::CopysetMessage;

Copysets::Copysets(Context& context, Peers& peers, Order order)
    : context_(context), peers_(peers), order_(std::move(order)) {
  holders_changed();
}

void Copysets::holders_changed() {
  const auto topology = context_.inventory.load();
  if (!topology) {
    log::error("cannot read the inventory: " + topology.error().text());
    return;
  }
  holders_.clear();
  for (const auto& row : topology->seats)
    holders_[row.copyset].push_back({{row.group, row.site}, row.node});
}

std::vector<core::SeatHolder> Copysets::holders_of(const std::string& copyset) const {
  const auto found = holders_.find(copyset);
  return found == holders_.end() ? std::vector<core::SeatHolder>{} : found->second;
}

const format::CopysetTable* Copysets::table_of(const std::string& group) const {
  const auto found = seats_.find(group);
  return found == seats_.end() ? nullptr : &found->second.seat->core().table();
}

// ---- seats

core::CopysetConfig Copysets::config_of(const std::string& group) const {
  core::CopysetConfig config;
  config.self = {group, context_.config.site};
  const auto topology = context_.inventory.load();
  for (const auto& row : topology ? topology->groups : std::vector<io::GroupRow>{})
    if (row.name == group)
      config.checkpoint_interval_ms = row.checkpoint_ms;
  return config;
}

CopysetSeat& Copysets::make_seat(const std::string& group, const format::CopysetTable& table) {
  Held& held = seats_[group];
  CopysetSeat::Ways ways;
  ways.send = [this, group](CopysetMessage message) { send(group, std::move(message)); };
  ways.order = [this, group](const Action& action) { order_(group, action); };
  ways.note = [this, group](const Note& note) {
    context_.events.note(note.level, "copyset of group " + group, group, note.text);
  };
  ways.refused = [this, group](const TakeoverRefused& action) {
    if (const auto refused = std::exchange(seats_[group].refused, nullptr))
      refused(Error{ErrorCode::Refused, action.reason, action.next_action});
  };
  ways.now = now;
  ways.random_id = random_id;
  held.seat = std::make_unique<CopysetSeat>(config_of(group), table, std::move(ways));
  return *held.seat;
}

void Copysets::group_begins(const std::string& group, const std::optional<format::CopysetTable>& table) {
  if (table)
    make_seat(group, *table);
  else
    seats_.erase(group);
}

void Copysets::group_tells(const std::string& group, Event event) {
  if (const auto found = seats_.find(group); found != seats_.end())
    found->second.seat->step(std::move(event));
}

void Copysets::settings_changed(const std::string& group) {
  if (const auto found = seats_.find(group); found != seats_.end())
    found->second.seat->set_config(config_of(group));
}

// The table comes as every later one will: as a message, which the core stores before it acts on it.
void Copysets::join(const std::string& group, const format::CopysetTable& table) {
  const auto found = seats_.find(group);
  CopysetSeat& seat = found == seats_.end() ? make_seat(group, {}) : *found->second.seat;
  seat.step(MessageArrived{{seat.self(), seat.self(), table.epoch, format::TableMessage{table}}});
}

void Copysets::take_over(const std::string& group, Refused refused) {
  const auto found = seats_.find(group);
  if (found == seats_.end()) {
    refused(Error{ErrorCode::Failed, "the seat of group " + group + " is not ready", "try again"});
    return;
  }
  found->second.refused = std::move(refused);
  found->second.seat->step(TakeoverRequested{random_id()});
}

void Copysets::tick() {
  for (auto& [group, held] : seats_)
    held.seat->step(Tick{});
}

// ---- messages

void Copysets::send(const std::string& group, CopysetMessage message) {
  const format::CopysetTable* table = table_of(group);
  // Before its first table is stored a seat talks to nobody.
  const auto holders = table ? holders_of(table->name) : std::vector<core::SeatHolder>{};
  const std::string* node = core::holder_of(holders, message.to);
  if (!node)
    return;
  if (*node == context_.config.node)
    io::post(context_.executor(),
             [this, message = std::move(message)] { arrived(context_.config.node, message); });
  else if (io::Link* link = peers_.link(*node))
    link->send(format::FrameType::Copyset, 0, format::encode_copyset(message));
}

void Copysets::frame(const std::string& peer, ByteView body) {
  const auto message = format::decode_copyset(body);
  if (message)
    arrived(peer, *message);
  else
    refuse(peer, "a message that makes no sense: " + message.error().what);
}

void Copysets::arrived(const std::string& peer, const CopysetMessage& message) {
  const auto found = seats_.find(message.to.group);
  if (found == seats_.end() || message.to != found->second.seat->self())
    return; // a seat that has not begun: it will be said again
  const std::string& copyset = found->second.seat->core().table().name;
  if (copyset.empty())
    return; // its first table is being stored
  const auto holders = holders_of(copyset);
  const std::string* holder = core::holder_of(holders, message.from);
  if (!holder || *holder != peer)
    return refuse(peer, "it speaks for " + format::to_string(message.from) + ", which " +
                            (holder ? "node " + *holder + " holds" : "is no seat of that copyset"));
  found->second.seat->step(MessageArrived{message});
}

void Copysets::refuse(const std::string& peer, const std::string& why) {
  if (!told_.emplace(peer, why).second)
    return;
  context_.events.add(control::Severity::Error, control::EventKind::Call, "node " + peer, "",
                      "refused a message of a copyset: " + why,
                      "rcctl copyset show on both nodes; both must run the same version");
}

void Copysets::link_down(const std::string& peer) {
  std::erase_if(told_, [&](const auto& told) { return told.first == peer; });
}

// ---- for people

void Copysets::fill_status(const std::string& group, control::GroupStatus& status) const {
  const auto found = seats_.find(group);
  if (found == seats_.end()) {
    status.copyset.reset();
    return;
  }
  const core::Copyset& core = found->second.seat->core();
  const core::CopysetStatus seen = core.status(now());
  if (!status.copyset)
    status.copyset.emplace();
  control::CopysetStatus& told = *status.copyset;
  told.name = core.table().name;
  told.epoch = seen.epoch.value;
  if (const auto* master = core::master_of(core.table(), context_.config.site))
    told.master = format::to_string(*master);
  told.registrar = format::to_string(core.table().registrar);
  told.step = seen.step;
  told.waits = seen.waits;
  if (seen.last_valid.value != 0)
    told.checkpoint =
        control::CheckpointStatus{.generation = seen.last_valid.generation(), .n = seen.last_valid.n()};
  told.checkpoints = seen.checkpoints;
  told.voids = seen.voids;
}

std::vector<control::CopysetInfo> Copysets::list() {
  holders_changed(); // a group may have been deleted
  std::vector<control::CopysetInfo> all;
  for (const auto& [name, holders] : holders_) {
    control::CopysetInfo info;
    info.name = name;
    const format::CopysetTable* table = nullptr;
    for (const auto& [group, held] : seats_)
      if (held.seat->core().table().name == name)
        table = &held.seat->core().table();
    if (table)
      info.epoch = table->epoch.value;
    for (const auto& holder : holders) {
      const auto* master = table ? core::master_of(*table, holder.seat.site) : nullptr;
      info.seats.push_back({.group = holder.seat.group,
                            .site = holder.seat.site,
                            .node = holder.node,
                            .master = master && *master == holder.seat,
                            .registrar = table && table->registrar == holder.seat});
    }
    all.push_back(std::move(info));
  }
  return all;
}

} // namespace rc::agent
