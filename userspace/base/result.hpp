// SPDX-License-Identifier: GPL-2.0-or-later
// Result<T>: a value or an Error. The one way in which an operating error (disk, link, bad input) travels.
// Programmer errors are RC_ASSERT (assert.hpp), never an Error. Nothing here throws.
//
//   Result<int> r = parse(text);
//   if (!r) return r.error().because("the table line is unusable");
//   use(*r);
#pragma once

#include "base/assert.hpp"

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace rc {

// Broad classes: what a caller may decide on. Each maps to one exit code of rcctl (docs/cli.md).
enum class ErrorCode {
  Failed,       // it was tried and did not work
  Usage,        // the request itself makes no sense
  NotFound,     // no such object
  NotPermitted, // not allowed to this caller
  Refused,      // refused for safety; --force would do it
  Unreachable,  // the other side does not answer
  Timeout,      // not done in the time given
  Corrupt,      // bytes fail their checksum or make no sense
  Full,         // no room left
  Again,        // nothing wrong: try when told that something changed
};

const char* to_string(ErrorCode code);

// Every Error says to a person what happened, why, and what to do next (`next` may be empty deep down,
// where the caller knows better).
struct Error {
  ErrorCode code = ErrorCode::Failed;
  std::string what;
  std::string next;

  // Puts the larger picture in front: "cannot open journal /x: read of superblock: ...".
  Error because(const std::string& larger) const { return Error{code, larger + ": " + what, next}; }
  Error then(std::string next_action) const { return Error{code, what, std::move(next_action)}; }
  std::string text() const { return next.empty() ? what : what + " (" + next + ")"; }
};

// From errno: "WHAT: No space left on device"; ENOSPC, EAGAIN, ENOENT, EPERM, ETIMEDOUT get their own class.
Error errno_error(const std::string& what, int number = errno);

template <typename T> class [[nodiscard]] Result {
public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  T& value() {
    RC_ASSERT(ok());
    return std::get<0>(state_);
  }
  const T& value() const {
    RC_ASSERT(ok());
    return std::get<0>(state_);
  }
  const Error& error() const {
    RC_ASSERT(!ok());
    return std::get<1>(state_);
  }

private:
  std::variant<T, Error> state_;
};

template <> class [[nodiscard]] Result<void> {
public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    RC_ASSERT(error_.has_value());
    return *error_;
  }

private:
  std::optional<Error> error_;
};

using Status = Result<void>;

} // namespace rc
