// SPDX-License-Identifier: GPL-2.0-or-later
// The status columns: what the last report said, for people with sqlite3. Not flushed: after a power cut the
// last second of it may be missing, and the agent writes it anew anyway.
#include "io/inventory_database.hpp"

namespace rc::io {
namespace {

using Text = std::optional<std::string>;

std::optional<std::uint64_t> used(const std::optional<control::SpaceStatus>& space) {
  return space ? std::optional(space->used) : std::nullopt;
}
std::optional<std::uint64_t> size(const std::optional<control::SpaceStatus>& space) {
  return space ? std::optional(space->bytes) : std::nullopt;
}
Text image(const std::optional<control::CheckpointStatus>& point) {
  return point ? Text(std::to_string(point->generation) + "." + std::to_string(point->n)) : std::nullopt;
}
Text image_time(const std::optional<control::CheckpointStatus>& point) {
  return point && !point->time.empty() ? Text(point->time) : std::nullopt;
}

void store(SQLite::Database& sql, const control::GroupStatus& g, const std::string& now) {
  run(sql,
      "UPDATE groups SET state = ?, lag_seconds = ?, alone = ?, is_current = ?, ring_bytes = ?, ring_used = "
      "?, "
      "journal_used = ?, image = ?, image_time = ?, reason = ?, next_action = ?, updated = ? WHERE name = ?",
      g.state, g.lag_seconds, g.alone, g.current, size(g.ring), used(g.ring), used(g.journal), image(g.image),
      image_time(g.image), g.reason, g.next_action, now, g.name);
}

void store(SQLite::Database& sql, const control::PairStatus& p, const std::string& now) {
  const auto& c = p.progress;
  run(sql,
      "UPDATE pairs SET state = ?, sync = ?, link = ?, lag_seconds = ?, lag_bytes = ?, lag_at_least = ?, "
      "image = ?, "
      "image_time = ?, bytes_total = ?, bytes_left = ?, bytes_per_second = ?, seconds_left = ?, journal_used "
      "= ?, "
      "sent_bytes = ?, since = ?, reason = ?, next_action = ?, updated = ? WHERE group_name = ? AND source = "
      "? AND target = ?",
      p.state, p.sync, p.link, p.lag_seconds, p.lag_bytes, p.lag_at_least, image(p.complete),
      image_time(p.complete), c ? std::optional(c->bytes_total) : std::nullopt,
      c ? std::optional(c->bytes_left) : std::nullopt, c ? std::optional(c->bytes_per_second) : std::nullopt,
      c ? c->seconds_left : std::nullopt, used(p.journal), p.sent_bytes, p.since, p.reason, p.next_action,
      now, p.group, p.source, p.target);
}

void store(SQLite::Database& sql, const control::LinkStatus& l, const std::string& now) {
  run(sql,
      "INSERT INTO links(node, state, since, rtt_seconds, reason, next_action, updated) "
      "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE EXISTS (SELECT 1 FROM nodes WHERE name = ?1) "
      "ON CONFLICT (node) DO UPDATE SET state = excluded.state, since = excluded.since, "
      "rtt_seconds = excluded.rtt_seconds, reason = excluded.reason, next_action = excluded.next_action, "
      "updated = excluded.updated",
      l.node, l.state, l.since, l.rtt_seconds, l.reason, l.next_action, now);
}

} // namespace

Status Inventory::store_status(const control::StatusReply& report) {
  SQLite::Database& sql = database_->sql;
  const Unflushed unflushed(*database_);
  const auto done = in_transaction<std::monostate>(*database_, "status", [&]() -> Result<std::monostate> {
    const std::string now = utc_now();
    for (const control::GroupStatus& group : report.groups) {
      store(sql, group, now);
      for (const control::PairStatus& pair : group.pairs)
        store(sql, pair, now);
    }
    for (const control::LinkStatus& link : report.links)
      store(sql, link, now);
    return std::monostate{};
  });
  return done ? Status{} : Status{done.error()};
}

} // namespace rc::io
