// SPDX-License-Identifier: GPL-2.0-or-later
// Opening, migrating, history (events, checkpoints, plans). Rows of the topology: inventory_rows.cpp.
#include "io/inventory.hpp"

#include "format/control_json.hpp"
#include "format/control_wire.hpp"
#include "io/inventory_database.hpp"

#include <ctime>
#include <sqlite3.h>

namespace rc::io {
namespace {

constexpr const char* move_away = "move the file away and start again: no data is lost; groups, volumes and "
                                  "pairs are made again with rcctl";

Status check_integrity(SQLite::Database& sql) {
  SQLite::Statement check(sql, "PRAGMA integrity_check(1)");
  if (!check.executeStep() || check.getColumn(0).getString() != "ok")
    return Error{ErrorCode::Corrupt, "inventory: " + check.getColumn(0).getString(), move_away};
  SQLite::Statement foreign(sql, "PRAGMA foreign_key_check");
  if (foreign.executeStep())
    return Error{ErrorCode::Corrupt,
                 "inventory: a row of " + foreign.getColumn(0).getString() + " has lost its parent",
                 move_away};
  return {};
}

template <typename Database> Status migrate(Database& database, const std::string& path) {
  SQLite::Database& sql = database.sql;
  const int version = sql.execAndGet("PRAGMA user_version").getInt();
  if (version > Inventory::schema_version)
    return Error{ErrorCode::Usage,
                 "inventory: " + path + " has schema " + std::to_string(version) +
                     ", this rcagent knows up to " + std::to_string(Inventory::schema_version),
                 "start the newer rcagent again, or move the file away"};
  if (version == Inventory::schema_version)
    return {};
  const auto done =
      in_transaction<std::monostate>(database, "make the schema in " + path, [&]() -> Result<std::monostate> {
        if (version < 1) // the empty file
          sql.exec(inventory_schema_1);
        if (version < 2)
          sql.exec(inventory_schema_2);
        sql.exec(inventory_schema_3);
        sql.exec("PRAGMA user_version = " + std::to_string(Inventory::schema_version));
        return std::monostate{};
      });
  return done ? Status{} : Status{done.error()};
}

void set_up(SQLite::Database& sql) {
  sql.setBusyTimeout(busy_ms);
  sql.exec("PRAGMA journal_mode=WAL");
  sql.exec("PRAGMA synchronous=FULL");
  sql.exec("PRAGMA foreign_keys=ON");
  sql.exec("PRAGMA trusted_schema=OFF");
  sql.exec("PRAGMA journal_size_limit=16777216");
}

template <typename T> Result<T> parse(const std::string& text, const char* what) {
  Result<control::Json> json = control::parse_object(text);
  if (!json)
    return json.error().because(std::string("inventory: ") + what);
  return control::from_json<T>(*json);
}

} // namespace

Error sqlite_error(const std::string& what, const SQLite::Exception& exception) {
  const std::string text = "inventory: " + what + ": " + exception.what();
  switch (exception.getErrorCode()) {
  case SQLITE_FULL:
    return {ErrorCode::Full, text, "make room in the state directory's file system"};
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
    return {ErrorCode::Corrupt, text, move_away};
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
    return {ErrorCode::Again, text, "another program holds the file's write lock: end it"};
  case SQLITE_CANTOPEN:
    return {ErrorCode::NotFound, text, "does the state directory exist, and is it writable?"};
  default:
    return {ErrorCode::Failed, text, "see 'journalctl -u rcagent'"};
  }
}

Result<Inventory> Inventory::open(const std::string& path) {
  return guarded<Inventory>("open " + path, [&]() -> Result<Inventory> {
    auto database = std::make_unique<Database>(path, std::make_shared<std::mutex>());
    set_up(database->sql);
    if (Status whole = check_integrity(database->sql); !whole)
      return whole.error();
    if (Status status = migrate(*database, path); !status)
      return status.error();
    return Inventory(std::move(database));
  });
}

Result<Inventory> Inventory::another() const {
  return guarded<Inventory>("open " + database_->path, [&]() -> Result<Inventory> {
    auto database = std::make_unique<Database>(database_->path, database_->turn);
    database->patient = true;
    set_up(database->sql);
    return Inventory(std::move(database));
  });
}

Inventory::Inventory(std::unique_ptr<Database> database) : database_(std::move(database)) {}
Inventory::Inventory(Inventory&&) noexcept = default;
Inventory& Inventory::operator=(Inventory&&) noexcept = default;
Inventory::~Inventory() = default;

Status Inventory::add_checkpoint(const CheckpointRow& row) {
  SQLite::Database& sql = database_->sql;
  const Unflushed unflushed(*database_);
  const auto done = in_transaction<std::monostate>(*database_, "checkpoint", [&]() -> Result<std::monostate> {
    run(sql,
        "INSERT OR IGNORE INTO checkpoints(group_name, node, generation, n, time) VALUES (?, ?, ?, ?, ?)",
        row.group, row.node, row.generation, row.n, row.time);
    run(sql,
        "DELETE FROM checkpoints WHERE group_name = ?1 AND node = ?2 AND id <= (SELECT id FROM checkpoints "
        "WHERE group_name = ?1 AND node = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)",
        row.group, row.node, checkpoints_kept);
    return std::monostate{};
  });
  return done ? Status{} : Status{done.error()};
}

Result<control::EventInfo> Inventory::append(const control::EventInfo& event) {
  SQLite::Database& sql = database_->sql;
  std::optional<Unflushed> unflushed;
  if (event.severity < control::Severity::Warning)
    unflushed.emplace(*database_);
  return in_transaction<control::EventInfo>(*database_, "event", [&]() -> Result<control::EventInfo> {
    control::EventInfo stored = event;
    if (stored.time.empty())
      stored.time = utc_now();
    run(sql,
        "INSERT INTO events(id, time, severity, kind, object, group_name, text, next_action) VALUES (?, ?, "
        "?, "
        "?, ?, ?, ?, ?)",
        stored.id != 0 ? std::optional(stored.id) : std::nullopt, stored.time, stored.severity, stored.kind,
        stored.object, stored.group, stored.text, stored.next_action);
    stored.id = sql.getLastInsertRowid();
    run(sql, "DELETE FROM events WHERE id <= ?", stored.id - events_kept);
    return stored;
  });
}

Result<std::int64_t> Inventory::last_event() {
  return guarded<std::int64_t>("events", [&]() -> Result<std::int64_t> {
    return database_->sql.execAndGet("SELECT ifnull(max(id), 0) FROM events").getInt64();
  });
}

Result<std::vector<control::EventInfo>> Inventory::events(const std::string& group, std::int64_t after,
                                                          std::uint32_t limit) {
  SQLite::Database& sql = database_->sql;
  return guarded<std::vector<control::EventInfo>>("events", [&]() -> Result<std::vector<control::EventInfo>> {
    const char* const forward =
        "SELECT id, time, severity, kind, object, group_name, text, next_action FROM events "
        "WHERE (?1 = '' OR group_name = ?1) AND id > ?2 ORDER BY id LIMIT ?3";
    const char* const newest =
        "SELECT * FROM (SELECT id, time, severity, kind, object, group_name, text, next_action FROM events "
        "WHERE (?1 = '' OR group_name = ?1) AND id > ?2 ORDER BY id DESC LIMIT ?3) ORDER BY id";
    SQLite::Statement select(sql, after < 0 ? newest : forward);
    bind_all(select, group, after, limit);
    std::vector<control::EventInfo> found;
    while (select.executeStep()) {
      control::EventInfo event;
      event.id = select.getColumn(0).getInt64();
      event.time = select.getColumn(1).getString();
      event.severity = column_token<control::Severity>(select, 2);
      event.kind = column_token<control::EventKind>(select, 3);
      event.object = select.getColumn(4).getString();
      event.group = select.getColumn(5).getString();
      event.text = select.getColumn(6).getString();
      event.next_action = select.getColumn(7).getString();
      found.push_back(std::move(event));
    }
    return found;
  });
}

Result<std::int64_t> Inventory::store_plan(const PlanRow& row) {
  SQLite::Database& sql = database_->sql;
  return in_transaction<std::int64_t>(*database_, "plan", [&]() -> Result<std::int64_t> {
    const std::string request =
        control::to_json(row.request).dump(-1, ' ', false, control::Json::error_handler_t::replace);
    const std::string plan =
        control::to_json(row.plan).dump(-1, ' ', false, control::Json::error_handler_t::replace);
    const std::string now = utc_now();
    if (row.id != 0) {
      if (run(sql, "UPDATE plans SET ended = ?, request = ?, plan = ?, updated = ? WHERE id = ?", row.ended,
              request, plan, now, row.id) == 0)
        return Error{ErrorCode::NotFound, "inventory: there is no plan " + std::to_string(row.id), ""};
      return row.id;
    }
    run(sql,
        "INSERT INTO plans(group_name, kind, ended, request, plan, created, updated) VALUES (?, 'takeover', "
        "?, ?, ?, ?, ?)",
        row.request.group, row.ended, request, plan, now, now);
    return sql.getLastInsertRowid();
  });
}

Result<std::vector<PlanRow>> Inventory::unfinished_plans() {
  SQLite::Database& sql = database_->sql;
  return guarded<std::vector<PlanRow>>("plans", [&]() -> Result<std::vector<PlanRow>> {
    SQLite::Statement select(sql, "SELECT id, request, plan FROM plans WHERE ended = 0 ORDER BY id");
    std::vector<PlanRow> rows;
    while (select.executeStep()) {
      PlanRow row;
      row.id = select.getColumn(0).getInt64();
      Result<control::TakeoverRequest> request =
          parse<control::TakeoverRequest>(select.getColumn(1).getString(), "request of a plan");
      if (!request)
        return request.error();
      Result<control::TakeoverReply> plan =
          parse<control::TakeoverReply>(select.getColumn(2).getString(), "plan");
      if (!plan)
        return plan.error();
      row.request = std::move(*request);
      row.plan = std::move(*plan);
      row.plan.plan = row.id;
      rows.push_back(std::move(row));
    }
    return rows;
  });
}

std::string utc_now() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  std::tm fields{};
  gmtime_r(&now.tv_sec, &fields);
  char text[40];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &fields);
  std::snprintf(text + size, sizeof text - size, ".%03dZ", static_cast<int>(now.tv_nsec / 1000000));
  return text;
}

} // namespace rc::io
