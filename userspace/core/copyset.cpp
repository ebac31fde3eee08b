// SPDX-License-Identifier: GPL-2.0-or-later
// What comes in goes to the part that knows it; then the master, if this seat is it, looks what is next.
// Promises: a seat follows the newest term it has heard of from the master that its table names.
#include "core/copyset_parts.hpp"

#include "base/overloaded.hpp"

namespace rc::core {
using namespace copyset;
using format::Seat;

Copyset::Copyset(CopysetConfig config, format::CopysetTable table) : parts_(std::make_unique<Parts>()) {
  parts_->config = std::move(config);
  parts_->table = std::move(table);
}
Copyset::~Copyset() = default;
Copyset::Copyset(Copyset&&) noexcept = default;
Copyset& Copyset::operator=(Copyset&&) noexcept = default;

Actions Copyset::step(const Event& event, Now now) {
  parts_->now = now;
  parts_->out.clear();
  parts_->dispatch(event);
  parts_->evaluate();
  while (!parts_->to_self.empty()) {
    const auto message = std::move(parts_->to_self.front());
    parts_->to_self.pop_front();
    parts_->on_message(message);
    parts_->evaluate();
  }
  return std::move(parts_->out);
}

const format::CopysetTable& Copyset::table() const { return parts_->table; }

CopysetStatus Copyset::status(Now) const {
  CopysetStatus status;
  status.master = parts_->is_master();
  status.registrar = parts_->table.registrar == parts_->config.self;
  status.epoch = parts_->table.epoch;
  if (status.master) {
    status.step = parts_->step_in_words;
    status.waits = parts_->waits_for;
  }
  status.last_valid = parts_->last_valid;
  status.checkpoints = parts_->checkpoints;
  status.voids = parts_->voids;
  return status;
}

void Copyset::Parts::dispatch(const Event& event) {
  std::visit(Overloaded{
                 [&](const Started& e) {
                   process = e.id;
                   begin_term(1);
                 },
                 [&](const MessageArrived& e) { on_message(e.message); },
                 [&](const SourceFacts& e) {
                   holds = Holds::Primary;
                   source = e;
                   if (marking.value == 0) // else its answer reports, so that the master sees both at once
                     report();
                 },
                 [&](const CheckpointPut& e) { on_put(e); },
                 [&](const HoldLifted& e) { on_lifted(e); },
                 [&](const CopyFacts& e) {
                   holds = Holds::Copy;
                   copy = e;
                   report();
                 },
                 [&](const TableStored& e) { on_stored(e); },
                 [&](const TakeoverRequested& e) { takeover_wanted = e.id; },
                 [&](const TakeOutRequested& e) { on_take_out(e); },
                 [&](const Tick&) {
                   if (now.boot_ns - reported_ns >= second)
                     report();
                 },
             },
             event);
}

void Copyset::Parts::on_message(const format::CopysetMessage& message) {
  if (message.to != config.self)
    return;
  if (const auto* known = std::get_if<format::TableMessage>(&message.body))
    return on_table(*known, message.from);
  if (const auto* swap = std::get_if<format::SwapMessage>(&message.body))
    return on_swap(*swap, message.from);
  // Of another epoch: whoever is behind learns the table, nothing else is believed.
  if (message.epoch != table.epoch)
    return post(message.from, format::TableMessage{table});
  std::visit(Overloaded{
                 [&](const format::CheckpointOrder& order) { on_checkpoint_order(order, message.from); },
                 [&](const format::RendezvousOrder& order) { on_rendezvous_order(order, message.from); },
                 [&](const format::CheckpointReport& report) {
                   if (Heard* one = master_hears(report.promised, message.from)) {
                     one->primary = report;
                     one->copy.reset();
                   }
                 },
                 [&](const format::RendezvousReport& report) {
                   if (Heard* one = master_hears(report.promised, message.from)) {
                     one->copy = report;
                     one->granted = one->granted && report.ending;
                     one->primary.reset();
                   }
                 },
                 [&](const auto&) {},
             },
             message.body);
}

void Copyset::Parts::note(int level, std::string text) { out.push_back(Note{level, std::move(text)}); }

bool Copyset::Parts::is_master() const {
  const Seat* master = master_of(table, config.self.site);
  return master && *master == config.self;
}

// ---- promises

bool Copyset::Parts::promise(const format::Term& asked, const Seat& from) {
  const Seat* master = master_of(table, config.self.site);
  if (!master || from != *master)
    return false;
  if (asked < promised) {
    report();
    return false;
  }
  promised = asked;
  return true;
}

void Copyset::Parts::report() {
  const Seat* master = master_of(table, config.self.site);
  if (!master || holds == Holds::Nothing)
    return;
  reported_ns = now.boot_ns;
  if (holds == Holds::Primary)
    post(*master, checkpoint_report());
  else
    post(*master, rendezvous_report());
}

// Where a report goes; nullptr: it counts for nothing. A seat that has forgotten its promise (its agent is a
// new process) is asked again, and what it said before is forgotten.
Copyset::Parts::Heard* Copyset::Parts::master_hears(const format::Term& promise, const Seat& from) {
  if (!is_master())
    return nullptr;
  if (promise > term)
    begin_term(promise.number + 1);
  if (promise != term) {
    heard.erase(from);
    lease_round.lease_ns = 0; // a copy that forgot its stamp must not stamp a round that others have answered
    return nullptr;
  }
  return &heard[from];
}

void Copyset::Parts::begin_term(std::uint64_t number) {
  term = {number, process};
  heard.clear();
  newest_ordered = {};
  takeover_ordered.reset();
  lease_round = {};
  if (round.step != Round::Step::Idle)
    end_round(false);
}

std::vector<Seat> Copyset::Parts::needed() const {
  const auto* groups = groups_at(table, table.epoch);
  std::vector<Seat> seats;
  for (const Seat& seat : seats_of(table, config.self.site))
    if (groups && std::find(groups->begin(), groups->end(), seat.group) != groups->end())
      seats.push_back(seat);
  return seats;
}

const Copyset::Parts::Heard* Copyset::Parts::fresh(const Seat& seat) const {
  const auto found = heard.find(seat);
  return found == heard.end() || (!found->second.primary && !found->second.copy) ? nullptr : &found->second;
}

void Copyset::Parts::evaluate() {
  if (!is_master() || holds == Holds::Nothing || process == 0)
    return;
  waits_for.clear();
  if (holds == Holds::Primary && !source.awaiting) {
    promote_late_seats();
    make_checkpoints();
  } else {
    rendezvous();
  }
}

} // namespace rc::core
