// SPDX-License-Identifier: GPL-2.0-or-later
// All seats that this node holds, and the channel between seats: Copyset frames on the links between nodes.
// Invariant: a message counts only if the node that sent it (the name in its certificate) is the one that
// holds the seat for which it speaks; anything else is refused, told once, and has no effect. Who holds what
// is in the inventory; what the seats agreed on is in their journals. Main thread.
#pragma once

#include "agent/copyset_port.hpp"
#include "agent/copyset_seat.hpp"
#include "agent/peers.hpp"
#include "core/copyset_founding.hpp"

#include <map>
#include <set>

namespace rc::agent {

class Copysets : public CopysetPort {
public:
  // `order`: for the group's Source or Target.
  using Order = std::function<void(const std::string& group, const core::copyset::Action& action)>;
  Copysets(Context& context, Peers& peers, Order order);

  void group_begins(const std::string& group, const std::optional<format::CopysetTable>& table) override;
  void group_tells(const std::string& group, core::copyset::Event event) override;
  void settings_changed(const std::string& group) override;

  // A group that was on its own gets a table; it is stored when table_of() says so. Its Source or Target
  // runs.
  void join(const std::string& group, const format::CopysetTable& table);
  // The inventory's rows of seats changed.
  void holders_changed();

  // Null: the group is on its own (or its runtime has not begun).
  const format::CopysetTable* table_of(const std::string& group) const;
  std::vector<core::SeatHolder> holders_of(const std::string& copyset) const;

  // At the master of the site. `refused` is called when the core refuses, before anything was stored.
  using Refused = std::function<void(const Error&)>;
  void take_over(const std::string& group, Refused refused);

  void frame(const std::string& peer, ByteView body);
  void link_down(const std::string& peer);
  void tick();
  void fill_status(const std::string& group, control::GroupStatus& status) const;
  std::vector<control::CopysetInfo> list(); // as the inventory has them now

private:
  struct Held {
    std::unique_ptr<CopysetSeat> seat;
    Refused refused;
  };
  core::CopysetConfig config_of(const std::string& group) const;
  CopysetSeat& make_seat(const std::string& group, const format::CopysetTable& table);
  void send(const std::string& group, format::CopysetMessage message);
  void arrived(const std::string& peer, const format::CopysetMessage& message);
  void refuse(const std::string& peer, const std::string& why);

  Context& context_;
  Peers& peers_;
  Order order_;
  std::map<std::string, Held> seats_;                            // by group
  std::map<std::string, std::vector<core::SeatHolder>> holders_; // by copyset
  std::set<std::pair<std::string, std::string>> told_; // peer, what was refused: said once for each link
};

} // namespace rc::agent
