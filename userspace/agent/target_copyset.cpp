// SPDX-License-Identifier: GPL-2.0-or-later
// A TargetRuntime as a seat of a copyset: it releases, and takes over, as all copies of the site were found
// able to (docs/copyset.md).
#include "agent/target_runtime.hpp"
#include "base/overloaded.hpp"

namespace rc::agent {

using namespace core;

void TargetRuntime::of_copyset(const copyset::Action& action) {
  std::visit(Overloaded{
                 [&](const copyset::StoreTable& order) { step(target::TableChanged{order.table}); },
                 [&](const copyset::OrderRelease& order) { step(target::ReleaseOrdered{order.n}); },
                 [&](const copyset::OrderReset& order) { step(target::ResetOrdered{order.n}); },
                 [&](const copyset::OrderDiscard& order) { step(target::DiscardGranted{order.n}); },
                 [&](const copyset::OrderClose& order) { step(target::CloseOrdered{order.entry}); },
                 [&](const copyset::OrderGiveUp& order) { step(target::GiveUpOrdered{order.entry.id}); },
                 [&](const copyset::OrderLineage& order) { step(target::LineageOrdered{order.entry}); },
                 [&](const copyset::OrderPromote& order) { step(target::PromoteOrdered{order.entry.id}); },
                 [&](const copyset::OrderSync& order) {
                   step(target::SyncOrdered{order.term, order.order});
                 },
                 [](const auto&) {}, // for a primary
             },
             action);
}

bool TargetRuntime::execute(target::TellCopyset& action) {
  std::visit([this](const auto& what) { services_.copysets.group_tells(row_.name, what); }, action.what);
  return true;
}

} // namespace rc::agent
