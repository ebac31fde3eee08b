// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/sim/copyset_agent.hpp"

#include "tests/sim/cluster.hpp"
#include "tests/sim/fleet.hpp"

namespace rc::sim {

using namespace core::copyset;

namespace {
core::CopysetConfig config_of(Host& host) {
  core::CopysetConfig config;
  config.self = host.cluster().seat(host.number());
  config.checkpoint_interval_ms = host.cluster().settings().checkpoint_ms;
  config.max_hold_ms = host.cluster().settings().max_hold_ms;
  return config;
}
} // namespace

CopysetAgent::CopysetAgent(Host& host, std::function<void(const Action&)> of_the_seat)
    : host_(host), of_the_seat_(std::move(of_the_seat)),
      core_(config_of(host), host.journal().state().table.value_or(format::CopysetTable{})) {}

void CopysetAgent::start() {
  step(Started{host_.random().next() | 1});
  tick();
}

void CopysetAgent::tick() {
  host_.agent_later(host_.cluster().tick_time(), [this] {
    step(Tick{});
    tick();
  });
}

void CopysetAgent::begin_anew() {
  core_ = core::Copyset(config_of(host_), core_.table());
  step(Started{host_.random().next() | 1});
  if (facts_)
    step(Event(*facts_));
}

void CopysetAgent::step(const Event& event) {
  if (std::holds_alternative<SourceFacts>(event) || std::holds_alternative<CopyFacts>(event))
    facts_ = event;
  for (const Action& action : core_.step(event, host_.clock())) {
    if (const auto* send = std::get_if<Send>(&action))
      host_.cluster().fleet()->send(host_, send->message);
    else if (const auto* note = std::get_if<Note>(&action))
      host_.trace(note->text);
    else
      of_the_seat_(action);
  }
}

} // namespace rc::sim
