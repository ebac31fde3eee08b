// SPDX-License-Identifier: GPL-2.0-or-later
// Rows of the topology: read all, put one idempotently, remove one; and their status columns.
#include "io/inventory_database.hpp"

namespace rc::io {
namespace {

using control::Outcome;

Error missing(const std::string& what, const std::string& name, const std::string& command) {
  return {ErrorCode::NotFound, what + " \"" + name + "\" is not known", "make it first: " + command};
}

Status need_node(SQLite::Database& sql, const std::string& name) {
  if (any(sql, "SELECT 1 FROM nodes WHERE name = ?", name))
    return {};
  return missing("node", name, "rcctl node add " + name + " --address HOST:PORT");
}

Status need_group(SQLite::Database& sql, const std::string& name) {
  if (any(sql, "SELECT 1 FROM groups WHERE name = ?", name))
    return {};
  return missing("group", name, "rcctl group create " + name + " --journal PATH");
}

NodeRow node_of(SQLite::Statement& row) {
  return {row.getColumn(0).getString(), row.getColumn(1).getString(), row.getColumn(2).getString(),
          row.getColumn(3).getInt() != 0};
}
constexpr const char* select_nodes = "SELECT name, site, address, is_self FROM nodes";

GroupRow group_of(SQLite::Statement& row) {
  GroupRow group;
  group.name = row.getColumn(0).getString();
  group.copyset = row.getColumn(1).getString();
  group.role = column_token<control::Role>(row, 2);
  group.primary_node = row.getColumn(3).getString();
  group.generation = static_cast<std::uint64_t>(row.getColumn(4).getInt64());
  group.journal = row.getColumn(5).getString();
  group.journal_bytes = static_cast<std::uint64_t>(row.getColumn(6).getInt64());
  group.ring_mib = row.getColumn(7).getUInt();
  group.checkpoint_ms = row.getColumn(8).getUInt();
  group.ack_timeout_ms = row.getColumn(9).getUInt();
  group.on_full = column_token<control::OnFull>(row, 10);
  group.fence = column_token<control::Fence>(row, 11);
  return group;
}
constexpr const char* select_groups =
    "SELECT name, copyset, role, primary_node, generation, journal, journal_bytes, "
    "ring_mib, checkpoint_ms, ack_timeout_ms, on_full, fence FROM groups";

VolumeRow volume_of(SQLite::Statement& row) {
  VolumeRow volume;
  volume.group = row.getColumn(0).getString();
  volume.node = row.getColumn(1).getString();
  volume.name = row.getColumn(2).getString();
  volume.number = row.getColumn(3).getUInt();
  volume.bytes = static_cast<std::uint64_t>(row.getColumn(4).getInt64());
  volume.device = row.getColumn(5).getString();
  volume.meta = row.getColumn(6).getString();
  return volume;
}
constexpr const char* select_volumes =
    "SELECT group_name, node, name, number, bytes, device, meta FROM volumes";

PairRow pair_of(SQLite::Statement& row) {
  PairRow pair;
  pair.group = row.getColumn(0).getString();
  pair.source = row.getColumn(1).getString();
  pair.target = row.getColumn(2).getString();
  pair.mode = column_token<control::Mode>(row, 3);
  pair.link_slot = row.getColumn(4).getUInt();
  pair.journal = row.getColumn(5).getString();
  pair.journal_bytes = static_cast<std::uint64_t>(row.getColumn(6).getInt64());
  pair.suspended = row.getColumn(7).getInt() != 0;
  return pair;
}
constexpr const char* select_pairs =
    "SELECT group_name, source, target, mode, link_slot, journal, journal_bytes, suspended FROM pairs";

SeatRow seat_of(SQLite::Statement& row) {
  return {row.getColumn(0).getString(), row.getColumn(1).getString(), row.getColumn(2).getString(),
          row.getColumn(3).getString()};
}
constexpr const char* select_seats = "SELECT copyset, group_name, site, node FROM copyset_seats";

template <typename Row, typename... Keys>
std::optional<Row> find(SQLite::Database& sql, Row (*read)(SQLite::Statement&), const std::string& select,
                        const Keys&... keys) {
  SQLite::Statement statement(sql, select);
  bind_all(statement, keys...);
  if (!statement.executeStep())
    return std::nullopt;
  return read(statement);
}

template <typename Row>
std::vector<Row> all(SQLite::Database& sql, Row (*read)(SQLite::Statement&), const std::string& select) {
  SQLite::Statement statement(sql, select);
  std::vector<Row> rows;
  while (statement.executeStep())
    rows.push_back(read(statement));
  return rows;
}

// A device serves one purpose on a node: backing device or meta device of one volume, or a journal of this
// node.
Status check_device_free(SQLite::Database& sql, const VolumeRow& row, const std::string& device) {
  SQLite::Statement user(
      sql, "SELECT group_name || '/' || name FROM volumes WHERE node = ?1 AND (device = ?2 OR meta = ?2) "
           "AND NOT (group_name = ?3 AND name = ?4)");
  bind_all(user, row.node, device, row.group, row.name);
  if (user.executeStep())
    return Error{ErrorCode::Refused,
                 device + " is already used on node " + row.node + " by volume " +
                     user.getColumn(0).getString(),
                 "give a device of its own"};
  SQLite::Statement journal(sql,
                            "SELECT g.name FROM groups g JOIN nodes n ON n.is_self = 1 WHERE n.name = ?1 AND "
                            "g.journal = ?2");
  bind_all(journal, row.node, device);
  if (journal.executeStep())
    return Error{ErrorCode::Refused,
                 device + " is already the journal of group " + journal.getColumn(0).getString(),
                 "give a device of its own"};
  return {};
}

Outcome outcome_of(bool was_there, bool same) {
  return !was_there ? Outcome::Created : same ? Outcome::Unchanged : Outcome::Changed;
}

template <typename Database, typename... Keys>
Result<Outcome> remove(Database& database, const char* text, const Keys&... keys) {
  return in_transaction<Outcome>(database, "remove", [&]() -> Result<Outcome> {
    return run(database.sql, text, keys...) > 0 ? Outcome::Removed : Outcome::Unchanged;
  });
}

} // namespace

Result<Topology> Inventory::load() {
  SQLite::Database& sql = database_->sql;
  return guarded<Topology>("load", [&]() -> Result<Topology> {
    SQLite::Transaction one_view(sql);
    Topology topology;
    topology.nodes = all<NodeRow>(sql, node_of, std::string(select_nodes) + " ORDER BY name");
    topology.groups = all<GroupRow>(sql, group_of, std::string(select_groups) + " ORDER BY name");
    topology.volumes =
        all<VolumeRow>(sql, volume_of, std::string(select_volumes) + " ORDER BY group_name, node, number");
    topology.pairs =
        all<PairRow>(sql, pair_of, std::string(select_pairs) + " ORDER BY group_name, source, target");
    topology.seats =
        all<SeatRow>(sql, seat_of, std::string(select_seats) + " ORDER BY copyset, group_name, site");
    return topology;
  });
}

Result<Outcome> Inventory::put(const NodeRow& row) {
  SQLite::Database& sql = database_->sql;
  return in_transaction<Outcome>(*database_, "node " + row.name, [&]() -> Result<Outcome> {
    const auto there = find<NodeRow>(sql, node_of, std::string(select_nodes) + " WHERE name = ?", row.name);
    const Outcome outcome = outcome_of(there.has_value(), there && *there == row);
    if (outcome == Outcome::Unchanged)
      return outcome;
    if (row.self && any(sql, "SELECT 1 FROM nodes WHERE is_self = 1 AND name <> ?", row.name))
      return Error{ErrorCode::Refused, "this inventory belongs to another node than \"" + row.name + "\"",
                   "set 'node' in remotecopy.toml back, or move the inventory away"};
    run(sql, "INSERT OR IGNORE INTO sites(name) VALUES (?)", row.site);
    run(sql,
        "INSERT INTO nodes(name, site, address, is_self) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE "
        "SET "
        "site = excluded.site, address = excluded.address, is_self = excluded.is_self",
        row.name, row.site, row.address, row.self);
    run(sql, "DELETE FROM sites WHERE name NOT IN (SELECT site FROM nodes)");
    return outcome;
  });
}

Result<Outcome> Inventory::put(const GroupRow& given) {
  SQLite::Database& sql = database_->sql;
  GroupRow row = given;
  if (row.copyset.empty())
    row.copyset = row.name;
  return in_transaction<Outcome>(*database_, "group " + row.name, [&]() -> Result<Outcome> {
    const auto there =
        find<GroupRow>(sql, group_of, std::string(select_groups) + " WHERE name = ?", row.name);
    const Outcome outcome = outcome_of(there.has_value(), there && *there == row);
    if (outcome == Outcome::Unchanged)
      return outcome;
    SQLite::Statement other(sql, "SELECT name FROM groups WHERE journal = ? AND name <> ?");
    bind_all(other, row.journal, row.name);
    if (other.executeStep())
      return Error{ErrorCode::Refused,
                   row.journal + " is already the journal of group " + other.getColumn(0).getString(),
                   "give each group a journal of its own"};
    SQLite::Statement volume(
        sql, "SELECT v.group_name || '/' || v.name FROM volumes v JOIN nodes n ON n.name = v.node "
             "AND n.is_self = 1 WHERE v.device = ?1 OR v.meta = ?1");
    bind_all(volume, row.journal);
    if (volume.executeStep())
      return Error{ErrorCode::Refused,
                   row.journal + " is already used by volume " + volume.getColumn(0).getString(),
                   "give the journal a device or file of its own"};
    run(sql, "INSERT OR IGNORE INTO copysets(name) VALUES (?)", row.copyset);
    run(sql,
        "INSERT INTO groups(name, copyset, role, primary_node, generation, journal, journal_bytes, ring_mib, "
        "checkpoint_ms, ack_timeout_ms, on_full, fence) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON "
        "CONFLICT (name) "
        "DO UPDATE "
        "SET "
        "copyset = excluded.copyset, role = excluded.role, primary_node = excluded.primary_node, "
        "generation = excluded.generation, journal = excluded.journal, journal_bytes = "
        "excluded.journal_bytes, "
        "ring_mib = excluded.ring_mib, checkpoint_ms = excluded.checkpoint_ms, ack_timeout_ms = "
        "excluded.ack_timeout_ms, on_full = excluded.on_full, fence = excluded.fence",
        row.name, row.copyset, row.role, row.primary_node, row.generation, row.journal, row.journal_bytes,
        row.ring_mib, row.checkpoint_ms, row.ack_timeout_ms, row.on_full, row.fence);
    run(sql, "DELETE FROM copysets WHERE name NOT IN (SELECT copyset FROM groups)");
    return outcome;
  });
}

Result<Outcome> Inventory::put(const VolumeRow& row) {
  SQLite::Database& sql = database_->sql;
  return in_transaction<
      Outcome>(*database_, "volume " + row.group + "/" + row.name, [&]() -> Result<Outcome> {
    for (const Status& parent : {need_group(sql, row.group), need_node(sql, row.node)})
      if (!parent)
        return parent.error();
    const auto there = find<VolumeRow>(
        sql, volume_of, std::string(select_volumes) + " WHERE group_name = ? AND node = ? AND name = ?",
        row.group, row.node, row.name);
    const Outcome outcome = outcome_of(there.has_value(), there && *there == row);
    if (outcome == Outcome::Unchanged)
      return outcome;
    for (const Status& device :
         {check_device_free(sql, row, row.device), check_device_free(sql, row, row.meta)})
      if (!device)
        return device.error();
    if (any(sql, "SELECT 1 FROM volumes WHERE group_name = ? AND node = ? AND number = ? AND name <> ?",
            row.group, row.node, row.number, row.name))
      return Error{ErrorCode::Refused,
                   "volume number " + std::to_string(row.number) + " of group " + row.group +
                       " belongs to another volume on node " + row.node,
                   "take the next free number"};
    run(sql,
        "INSERT INTO volumes(group_name, node, name, number, bytes, device, meta) VALUES (?, ?, ?, ?, ?, ?, "
        "?) "
        "ON CONFLICT (group_name, node, name) DO UPDATE SET number = excluded.number, bytes = "
        "excluded.bytes, "
        "device = excluded.device, meta = excluded.meta",
        row.group, row.node, row.name, row.number, row.bytes, row.device, row.meta);
    run(sql, "UPDATE groups SET next_volume = max(next_volume, ? + 1) WHERE name = ?", row.number, row.group);
    return outcome;
  });
}

Result<Outcome> Inventory::put(const PairRow& row) {
  SQLite::Database& sql = database_->sql;
  const std::string name = row.group + "@" + row.target;
  return in_transaction<Outcome>(*database_, "pair " + name, [&]() -> Result<Outcome> {
    for (const Status& parent :
         {need_group(sql, row.group), need_node(sql, row.source), need_node(sql, row.target)})
      if (!parent)
        return parent.error();
    const auto there = find<PairRow>(
        sql, pair_of, std::string(select_pairs) + " WHERE group_name = ? AND source = ? AND target = ?",
        row.group, row.source, row.target);
    const Outcome outcome = outcome_of(there.has_value(), there && *there == row);
    if (outcome == Outcome::Unchanged)
      return outcome;
    if (any(sql, "SELECT 1 FROM pairs WHERE group_name = ? AND source = ? AND link_slot = ? AND target <> ?",
            row.group, row.source, row.link_slot, row.target))
      return Error{ErrorCode::Refused,
                   "link slot " + std::to_string(row.link_slot) + " of pair " + name + " is taken",
                   "take a free one"};
    run(sql,
        "INSERT INTO pairs(group_name, source, target, mode, link_slot, journal, journal_bytes, suspended) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (group_name, source, target) DO UPDATE SET mode = "
        "excluded.mode, "
        "link_slot = excluded.link_slot, journal = excluded.journal, journal_bytes = excluded.journal_bytes, "
        "suspended = excluded.suspended",
        row.group, row.source, row.target, row.mode, row.link_slot, row.journal, row.journal_bytes,
        row.suspended);
    return outcome;
  });
}

Result<Outcome> Inventory::remove_node(const std::string& name) {
  SQLite::Database& sql = database_->sql;
  return in_transaction<Outcome>(*database_, "remove node " + name, [&]() -> Result<Outcome> {
    SQLite::Statement user(
        sql, "SELECT 'pair ' || group_name || '@' || target FROM pairs WHERE source = ?1 OR target = ?1 "
             "UNION ALL SELECT 'seat ' || group_name || '@' || site || ' of copyset ' || copyset "
             "FROM copyset_seats WHERE node = ?1 "
             "UNION ALL SELECT 'volume ' || group_name || '/' || name FROM volumes WHERE node = ?1 "
             "UNION ALL SELECT 'this node itself' FROM nodes WHERE name = ?1 AND is_self = 1");
    bind_all(user, name);
    if (user.executeStep())
      return Error{ErrorCode::Refused, "node " + name + " is in use: " + user.getColumn(0).getString(),
                   "delete its pairs first: rcctl pair delete GROUP --to " + name};
    run(sql, "UPDATE copysets SET registrar = NULL WHERE registrar = ?", name);
    const bool removed = run(sql, "DELETE FROM nodes WHERE name = ?", name) > 0;
    run(sql, "DELETE FROM sites WHERE name NOT IN (SELECT site FROM nodes)");
    return removed ? Outcome::Removed : Outcome::Unchanged;
  });
}

Result<Outcome> Inventory::remove_group(const std::string& name) {
  SQLite::Database& sql = database_->sql;
  return in_transaction<Outcome>(*database_, "remove group " + name, [&]() -> Result<Outcome> {
    const bool removed = run(sql, "DELETE FROM groups WHERE name = ?", name) > 0;
    run(sql, "DELETE FROM copysets WHERE name NOT IN (SELECT copyset FROM groups)");
    return removed ? Outcome::Removed : Outcome::Unchanged;
  });
}

Result<Outcome> Inventory::remove_volume(const std::string& group, const std::string& node,
                                         const std::string& name) {
  return remove(*database_, "DELETE FROM volumes WHERE group_name = ? AND node = ? AND name = ?", group, node,
                name);
}

Result<Outcome> Inventory::remove_pair(const std::string& group, const std::string& source,
                                       const std::string& target) {
  return remove(*database_, "DELETE FROM pairs WHERE group_name = ? AND source = ? AND target = ?", group,
                source, target);
}

Status Inventory::set_role(const std::string& group, control::Role role, const std::string& primary_node,
                           std::uint64_t generation) {
  SQLite::Database& sql = database_->sql;
  const auto done =
      in_transaction<std::monostate>(*database_, "role of group " + group, [&]() -> Result<std::monostate> {
        if (Status there = need_group(sql, group); !there)
          return there.error();
        run(sql, "UPDATE groups SET role = ?, primary_node = ?, generation = ? WHERE name = ?", role,
            primary_node, generation, group);
        return std::monostate{};
      });
  return done ? Status{} : Status{done.error()};
}

Result<std::uint32_t> Inventory::next_volume_number(const std::string& group) {
  SQLite::Database& sql = database_->sql;
  return guarded<std::uint32_t>("volume number", [&]() -> Result<std::uint32_t> {
    SQLite::Statement select(sql, "SELECT next_volume FROM groups WHERE name = ?");
    bind_all(select, group);
    if (!select.executeStep())
      return need_group(sql, group).error();
    const std::uint32_t number = select.getColumn(0).getUInt();
    if (number > 65535)
      return Error{ErrorCode::Full, "group " + group + " has used up its 65536 volume numbers",
                   "make a new group"};
    return number;
  });
}

Result<std::uint32_t> Inventory::free_link_slot(const std::string& group, const std::string& source) {
  SQLite::Database& sql = database_->sql;
  return guarded<std::uint32_t>("link slot", [&]() -> Result<std::uint32_t> {
    SQLite::Statement select(
        sql, "SELECT link_slot FROM pairs WHERE group_name = ? AND source = ? ORDER BY link_slot");
    bind_all(select, group, source);
    std::uint32_t slot = 0;
    while (select.executeStep() && select.getColumn(0).getUInt() == slot)
      ++slot;
    if (slot > 30)
      return Error{ErrorCode::Full, "group " + group + " has 31 pairs already", "delete one"};
    return slot;
  });
}

} // namespace rc::io
