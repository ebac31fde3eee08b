// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/copyset_seat.hpp"

namespace rc::agent {

using namespace core::copyset;

CopysetSeat::CopysetSeat(core::CopysetConfig config, format::CopysetTable table, Ways ways)
    : config_(std::move(config)), ways_(std::move(ways)) {
  begin(std::move(table));
}

void CopysetSeat::begin(format::CopysetTable table) {
  core_ = std::make_unique<core::Copyset>(config_, std::move(table));
  step(Started{ways_.random_id()});
}

void CopysetSeat::set_config(core::CopysetConfig config) {
  if (config == config_)
    return; // a new life of the seat makes its site's master begin a new term
  config_ = std::move(config);
  begin(core_->table());
  if (facts_)
    step(*facts_);
}

void CopysetSeat::step(Event event) {
  if (std::holds_alternative<SourceFacts>(event) || std::holds_alternative<CopyFacts>(event))
    facts_ = event;
  waiting_.push_back(std::move(event));
  if (busy_)
    return;
  busy_ = true;
  while (!waiting_.empty()) {
    const Event next = std::move(waiting_.front());
    waiting_.pop_front();
    for (const Action& action : core_->step(next, ways_.now()))
      carry_out(action);
  }
  busy_ = false;
}

void CopysetSeat::carry_out(const Action& action) {
  if (const auto* send = std::get_if<Send>(&action))
    ways_.send(send->message);
  else if (const auto* note = std::get_if<Note>(&action))
    ways_.note(*note);
  else if (const auto* refused = std::get_if<TakeoverRefused>(&action))
    ways_.refused(*refused);
  else
    ways_.order(action);
}

} // namespace rc::agent
