// SPDX-License-Identifier: GPL-2.0-or-later
// What the inventory's source files share: the open database, and the one place where SQLite's exceptions
// become values. Private to io/inventory*.cpp.
#pragma once

#include "io/inventory.hpp"

#include <SQLiteCpp/SQLiteCpp.h>
#include <mutex>
#include <sqlite3.h>

namespace rc::io {

// inventory_schema.cpp: the statements that make version 1, those that bring 1 to 2, and 2 to 3.
extern const char* const inventory_schema_1;
extern const char* const inventory_schema_2;
extern const char* const inventory_schema_3;

// The connections of one process take turns: waiting for each other is no reason to give a command up.
struct Inventory::Database {
  Database(const std::string& path_, std::shared_ptr<std::mutex> turn_)
      : path(path_), turn(std::move(turn_)), sql(path_, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE) {}
  std::string path;
  std::shared_ptr<std::mutex> turn;
  bool patient = false; // its thread may wait
  SQLite::Database sql;
};

Error sqlite_error(const std::string& what, const SQLite::Exception& exception);

// Runs `body` (returns T) and turns an exception into an Error: "inventory: WHAT: ...".
template <typename T, typename Body> Result<T> guarded(const std::string& what, Body&& body) {
  try {
    return body();
  } catch (const SQLite::Exception& exception) {
    return sqlite_error(what, exception);
  }
}

// The same in one write transaction; an Error from `body` rolls back.
template <typename T, typename Database, typename Body>
Result<T> in_transaction(Database& database, const std::string& what, Body&& body) {
  const std::lock_guard turn(*database.turn);
  return guarded<T>(what, [&]() -> Result<T> {
    SQLite::Transaction transaction(database.sql, SQLite::TransactionBehavior::IMMEDIATE);
    Result<T> result = body();
    if (result)
      transaction.commit();
    return result;
  });
}

// Waiting for somebody who writes with sqlite3 by hand: the agent's one thread has better things to do.
inline constexpr int busy_ms = 200;

// While one lives, nothing waits: commits not for the disk (in WAL mode a power cut then takes the last of
// them back, whole), and not for another program's lock, unless the connection is patient.
class Unflushed {
public:
  template <typename Database> explicit Unflushed(Database& database) : sql_(database.sql) {
    sql_.tryExec("PRAGMA synchronous=NORMAL");
    if (!database.patient)
      sqlite3_busy_timeout(sql_.getHandle(), 0);
  }
  ~Unflushed() {
    sql_.tryExec("PRAGMA synchronous=FULL");
    sqlite3_busy_timeout(sql_.getHandle(), busy_ms);
  }
  Unflushed(const Unflushed&) = delete;
  Unflushed& operator=(const Unflushed&) = delete;

private:
  SQLite::Database& sql_;
};

inline std::int64_t as_sql(std::uint64_t number) { return static_cast<std::int64_t>(number); }

inline void bind(SQLite::Statement& statement, int place, const std::string& value) {
  statement.bind(place, value);
}
inline void bind(SQLite::Statement& statement, int place, bool value) {
  statement.bind(place, value ? 1 : 0);
}
inline void bind(SQLite::Statement& statement, int place, double value) { statement.bind(place, value); }
template <std::integral Number> void bind(SQLite::Statement& statement, int place, Number value) {
  statement.bind(place, static_cast<std::int64_t>(value));
}
template <typename Enum>
requires std::is_enum_v<Enum>
void bind(SQLite::Statement& statement, int place, Enum value) {
  statement.bind(place, control::to_token(value));
}
template <typename T> void bind(SQLite::Statement& statement, int place, const std::optional<T>& value) {
  if (value)
    bind(statement, place, *value);
  else
    statement.bind(place); // NULL
}
template <typename... Values> void bind_all(SQLite::Statement& statement, const Values&... values) {
  int place = 0;
  (bind(statement, ++place, values), ...);
}

// How many rows the statement changed.
template <typename... Values> int run(SQLite::Database& sql, const char* text, const Values&... values) {
  SQLite::Statement statement(sql, text);
  bind_all(statement, values...);
  return statement.exec();
}

// Is there a row?
template <typename... Values> bool any(SQLite::Database& sql, const char* text, const Values&... values) {
  SQLite::Statement statement(sql, text);
  bind_all(statement, values...);
  return statement.executeStep();
}

template <typename Enum> Enum column_token(SQLite::Statement& statement, int column) {
  // The schema's CHECK lets no other word in.
  return control::from_token<Enum>(statement.getColumn(column).getString()).value_or(Enum{});
}

} // namespace rc::io
