// SPDX-License-Identifier: GPL-2.0-or-later
// Seats of copysets: who holds which group at which site. What a copyset agreed on (its table) is not here
// but in each seat's journal.
#include "io/inventory_database.hpp"

namespace rc::io {

using control::Outcome;

Result<Outcome> Inventory::put_copyset(const std::string& name, const std::string& registrar_node,
                                       const std::vector<SeatRow>& seats) {
  SQLite::Database& sql = database_->sql;
  return in_transaction<Outcome>(*database_, "copyset " + name, [&]() -> Result<Outcome> {
    const bool existed = any(sql, "SELECT 1 FROM copyset_seats WHERE copyset = ?", name);
    bool same = existed;
    for (const SeatRow& seat : seats) {
      if (!any(sql, "SELECT 1 FROM nodes WHERE name = ?", seat.node))
        return Error{ErrorCode::NotFound, "node " + seat.node + " of copyset " + name + " is not known",
                     "make it known first: rcctl node add " + seat.node + " --address HOST:PORT"};
      same = same &&
             any(sql,
                 "SELECT 1 FROM copyset_seats WHERE copyset = ? AND group_name = ? AND site = ? AND node = ?",
                 name, seat.group, seat.site, seat.node);
    }
    run(sql, "INSERT OR IGNORE INTO copysets(name) VALUES (?)", name);
    run(sql, "UPDATE copysets SET registrar = ? WHERE name = ?", registrar_node, name);
    run(sql, "DELETE FROM copyset_seats WHERE copyset = ?", name);
    for (const SeatRow& seat : seats) {
      run(sql, "INSERT INTO copyset_seats(copyset, group_name, site, node) VALUES (?, ?, ?, ?)", name,
          seat.group, seat.site, seat.node);
      run(sql, "UPDATE groups SET copyset = ? WHERE name = ?", name, seat.group);
    }
    run(sql, "DELETE FROM copysets WHERE name NOT IN (SELECT copyset FROM groups)");
    return !existed ? Outcome::Created : same ? Outcome::Unchanged : Outcome::Changed;
  });
}

} // namespace rc::io
