// SPDX-License-Identifier: GPL-2.0-or-later
// The fixed tokens of the control protocol: what JSON, SQL, CLI and logs call roles, modes and states.
// Invariant: one word per idea, and a token once shipped never changes its meaning
// (docs/control-protocol.md). Every enum has `to_token` and `from_token` (nothing for an unknown word);
// tokens are listed in docs/schema.
#pragma once

#include "base/result.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace rc::control {

enum class Mode { Sync, Async };

enum class Role { Primary, Secondary };

// A pair's state: one table for all five papers (docs/design.md section 1).
enum class PairState { Simplex, InitialCopy, Duplex, Suspending, Suspended, Failed, Pending };

// What a group does on the node that is asked.
enum class GroupState {
  Inactive,    // its volumes are not loaded
  Active,      // primary: hosts may read and write
  Unconfirmed, // primary that was away: takes no write until a peer or `confirm --force` confirms its
               // generation
  Secondary,   // holds a copy; no host may use it
  Updating,    // secondary, update in progress
  TakingOver,  // a takeover plan runs
  LostBranch,  // another site took over: what this one wrote since is a lost branch
  Failed,      // see reason
};

enum class LinkState { Down, Connecting, Up };

// Does the copy lose nothing if the primary dies now? NotSync: the pair is async.
enum class SyncState { NotSync, NotCurrent, Current, Alone };

enum class StepState { Planned, Running, Done, Failed, Skipped };

enum class Outcome { Created, Changed, Removed, Unchanged, Planned };

enum class Severity { Info, Notice, Warning, Error };

// What an event did to its object (the words of events2 of other replication systems).
enum class EventKind { Exists, Create, Change, Destroy, Call, Response };

// What happens when a group's ring is full because a link that is up is slower than the application.
enum class OnFull {
  Suspend,  // the application never waits: records go to the journal, then the link is suspended
  Throttle, // the application waits for room
};

// What a write does when no sync copy answers in time.
enum class Fence {
  Go,   // completes; the primary goes on alone
  Stop, // fails
};

enum class PairAction { Delete, Suspend, Resume, Resync };

// All tokens of an enum, in the order of its values: for schemas, help, completion and SQL checks.
template <typename Enum> const std::vector<const char*>& tokens();
template <> const std::vector<const char*>& tokens<Mode>();
template <> const std::vector<const char*>& tokens<Role>();
template <> const std::vector<const char*>& tokens<OnFull>();
template <> const std::vector<const char*>& tokens<Fence>();
template <> const std::vector<const char*>& tokens<PairState>();
template <> const std::vector<const char*>& tokens<GroupState>();
template <> const std::vector<const char*>& tokens<LinkState>();
template <> const std::vector<const char*>& tokens<SyncState>();
template <> const std::vector<const char*>& tokens<StepState>();
template <> const std::vector<const char*>& tokens<Outcome>();
template <> const std::vector<const char*>& tokens<Severity>();
template <> const std::vector<const char*>& tokens<EventKind>();
template <> const std::vector<const char*>& tokens<PairAction>();

template <typename Enum>
requires std::is_enum_v<Enum>
const char* to_token(Enum value) { return tokens<Enum>()[static_cast<std::size_t>(value)]; }

template <typename Enum> std::optional<Enum> from_token(std::string_view token) {
  const auto& all = tokens<Enum>();
  for (std::size_t i = 0; i < all.size(); ++i)
    if (token == all[i])
      return static_cast<Enum>(i);
  return std::nullopt;
}

// "sync, async": for messages that say what is possible.
template <typename Enum> std::string token_list() {
  std::string text;
  for (const char* token : tokens<Enum>())
    text += text.empty() ? token : std::string(", ") + token;
  return text;
}

// Names. Sites, nodes, volumes: a letter or digit, then up to 47 letters, digits and . _ -
// Groups likewise but without '-', so that the device name GROUP-VOLUME can be taken apart.
// "." and ".." can't be made; no name can escape a path or a dm table line.
Status check_name(const char* what, std::string_view name);
Status check_group_name(std::string_view name);
Status check_volume_name(std::string_view name);
// An absolute path without white space or control characters (it goes into a dm table line), at most 255
// bytes.
Status check_path(const char* what, std::string_view path);

// HOST:PORT, [V6]:PORT; the port 1..65535 must be there.
struct Address {
  std::string host; // without brackets
  std::uint16_t port = 0;
  bool operator==(const Address&) const = default;
};
Result<Address> parse_address(std::string_view text);
std::string to_string(const Address& address);

inline constexpr std::uint16_t default_port = 7700;

// The device a host uses: "/dev/mapper/GROUP-VOLUME".
std::string device_path(std::string_view group, std::string_view volume);

} // namespace rc::control
