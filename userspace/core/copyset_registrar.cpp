// SPDX-License-Identifier: GPL-2.0-or-later
// The table: one registrar changes it by compare-and-swap, every seat stores a newer one before it acts on
// it. Two deciders would number different cuts alike (seeds/002 keeps the configuration table per controller;
// one registrar per copyset is this project's choice, docs/copyset.md).
#include "core/copyset_parts.hpp"

namespace rc::core {
using namespace copyset;
using format::Seat;

void Copyset::Parts::on_table(const format::TableMessage& message, const Seat& from) {
  const Epoch newest = storing ? storing->epoch : table.epoch;
  if (message.table.epoch < table.epoch)
    post(from, format::TableMessage{table});
  if (message.table.epoch <= newest)
    return;
  const std::string problem = problem_of(message.table);
  if (!problem.empty() || (!table.name.empty() && message.table.name != table.name)) {
    note(4, to_string(from) + " sent a table that can't be used: " +
                (problem.empty() ? "it is of copyset " + message.table.name : problem));
    return;
  }
  store(message.table);
}

void Copyset::Parts::store(const format::CopysetTable& next) {
  storing = next;
  out.push_back(StoreTable{next});
}

void Copyset::Parts::on_stored(const TableStored& event) {
  if (!storing || storing->epoch != event.epoch)
    return;
  const bool mine = table.registrar == config.self;
  table = *std::exchange(storing, std::nullopt);
  note(5, "epoch " + std::to_string(table.epoch.value) + " of copyset " + table.name);
  promised = {};
  begin_term(term.number + 1);
  if (mine)
    for (const Seat& seat : table.seats)
      if (seat != config.self)
        post(seat, format::TableMessage{table});
  report();
}

void Copyset::Parts::on_swap(const format::SwapMessage& message, const Seat& from) {
  const bool compares = table.registrar == config.self && !storing && message.expected == table.epoch;
  const std::string problem = compares ? problem_of_swap(table, message.table) : std::string();
  if (compares && problem.empty())
    return store(message.table);
  if (!problem.empty())
    note(4, "a change of the copyset is refused: " + problem);
  if (from != config.self)
    post(from, format::TableMessage{table});
}

void Copyset::Parts::on_take_out(const TakeOutRequested& event) {
  const auto* groups = groups_at(table, table.epoch);
  if (!groups || groups->size() < 2 ||
      std::find(groups->begin(), groups->end(), event.group) == groups->end()) {
    note(4, "group " + event.group + " can't be taken out: it is not in the image, or alone in it");
    return;
  }
  post(table.registrar, format::SwapMessage{table.epoch, without(table, event.group)});
}

} // namespace rc::core
