// SPDX-License-Identifier: GPL-2.0-or-later
// The node's inventory: topology, history and the last known status, one SQLite file (docs/inventory.md). The
// agent is the only writer; people and monitors read it with plain sqlite3 at any time (WAL). Invariants:
// topology, plans and warnings are on stable storage when a call returned; status rows and small events may
// miss the last moments before a power cut. Losing the file never loses data: positions, lineages, stored
// releases are in the journals' superblocks and on the meta devices. Never a cursor, bitmap or record in
// here. Calling context: one thread for each connection; what writes blocks for the disk. Errors are values;
// nothing throws.
#pragma once

#include "format/control_messages.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace rc::io {

struct NodeRow {
  std::string name;
  std::string site;    // the site is made when missing
  std::string address; // HOST:PORT; empty: unknown (it will connect to us)
  bool self = false;   // one row at most
  bool operator==(const NodeRow&) const = default;
};

// A group as this node runs it.
struct GroupRow {
  std::string name;
  std::string copyset;                         // empty: one of the group's own name (made when missing)
  control::Role role = control::Role::Primary; // of this node
  std::string primary_node;                    // where hosts write, as far as this node knows
  std::uint64_t generation = 0; // information; the truth is in the lineage (journal superblock)
  std::string journal;          // this node's: file or block device
  std::uint64_t journal_bytes = 0;
  std::uint32_t ring_mib = 64;
  std::uint32_t checkpoint_ms = 1000;
  std::uint32_t ack_timeout_ms = 5000;
  control::OnFull on_full = control::OnFull::Suspend;
  control::Fence fence = control::Fence::Go;
  bool operator==(const GroupRow&) const = default;
};

// A volume at a node (this one: it is loaded at boot; others: known from pair creation).
struct VolumeRow {
  std::string group;
  std::string node;
  std::string name;
  std::uint32_t number = 0; // in the group, the same at all nodes
  std::uint64_t bytes = 0;
  std::string device;
  std::string meta;
  bool operator==(const VolumeRow&) const = default;
};

// A group's pair: its volumes at `source` and their copies at `target`.
struct PairRow {
  std::string group;
  std::string source;
  std::string target;
  control::Mode mode = control::Mode::Async;
  std::uint32_t link_slot = 0; // bit of the record's tag at the source, 0..30
  std::string journal;         // at the target
  std::uint64_t journal_bytes = 0;
  bool suspended = false; // by command; survives restarts
  bool operator==(const PairRow&) const = default;
};

// A group of a copyset at a site, and the node that holds it there (docs/copyset.md).
struct SeatRow {
  std::string copyset;
  std::string group;
  std::string site;
  std::string node;
  bool operator==(const SeatRow&) const = default;
};

struct Topology {
  std::vector<NodeRow> nodes;
  std::vector<GroupRow> groups;
  std::vector<VolumeRow> volumes; // by group, node, number
  std::vector<PairRow> pairs;     // by group, source, target
  std::vector<SeatRow> seats;     // of copysets of several groups, by copyset, group, site
};

// A complete checkpoint of a copy, for history (the newest 1,000 per group and node are kept).
struct CheckpointRow {
  std::string group;
  std::string node;
  std::uint64_t generation = 0;
  std::uint64_t n = 0;
  std::string time; // of its marker, RFC 3339 UTC
};

// A takeover that was begun: kept until it ended, so that a restarted agent goes on. Steps are idempotent.
struct PlanRow {
  std::int64_t id = 0; // 0: not stored yet
  bool ended = false;  // complete, or given up: not to be gone on with
  control::TakeoverRequest request;
  control::TakeoverReply plan; // steps with their states
};

class Inventory {
public:
  static constexpr int schema_version = 3;
  static constexpr std::int64_t events_kept = 100000;
  static constexpr std::int64_t checkpoints_kept = 1000;

  // Opens or makes the file (mode 0644, directory must exist), migrates older schemas, checks integrity.
  // ":memory:" for tests. Errors: Corrupt (with what to do), Usage (made by a newer version), Failed.
  static Result<Inventory> open(const std::string& path);
  Inventory(Inventory&&) noexcept;
  Inventory& operator=(Inventory&&) noexcept;
  ~Inventory();

  // A second connection to the same file, for another thread; the two take turns when they write.
  Result<Inventory> another() const;

  Result<Topology> load();

  // Each: Created, Changed or Unchanged. Parents must exist (NotFound names what is missing) but for site and
  // copyset, which are made. A second volume on the same device or meta device of this node: Refused.
  Result<control::Outcome> put(const NodeRow& row);
  Result<control::Outcome> put(const GroupRow& row);
  Result<control::Outcome> put(const VolumeRow& row);
  Result<control::Outcome> put(const PairRow& row);
  // Removed or Unchanged (was not there). A group goes with its volumes and pairs; a node in use is Refused.
  Result<control::Outcome> remove_node(const std::string& name);
  Result<control::Outcome> remove_group(const std::string& name);
  Result<control::Outcome> remove_volume(const std::string& group, const std::string& node,
                                         const std::string& name);
  Result<control::Outcome> remove_pair(const std::string& group, const std::string& source,
                                       const std::string& target);

  // After a takeover or when a peer told: role here, who is primary, which generation.
  Status set_role(const std::string& group, control::Role role, const std::string& primary_node,
                  std::uint64_t generation);

  // The seats of one copyset, all of them: those groups that this node has become part of it. All nodes that
  // are named must be known.
  Result<control::Outcome> put_copyset(const std::string& name, const std::string& registrar_node,
                                       const std::vector<SeatRow>& seats);

  // Numbers never given to another volume of the group while the group exists.
  Result<std::uint32_t> next_volume_number(const std::string& group);
  // Lowest slot that no pair with this source uses; Full above 30.
  Result<std::uint32_t> free_link_slot(const std::string& group, const std::string& source);

  // Status rows of what the report names (groups, pairs, links), one transaction, no flush. Rows that the
  // topology lacks are left out. The caller throttles (about once a second and at each change of state).
  Status store_status(const control::StatusReply& report);
  Status add_checkpoint(const CheckpointRow& row);

  Result<std::int64_t> last_event(); // id; 0: there is none
  // Fills in id when 0, and time when empty. Warnings and errors are flushed.
  Result<control::EventInfo> append(const control::EventInfo& event);
  // Oldest first. after < 0: the newest `limit`; else those with id > after. group empty: all.
  Result<std::vector<control::EventInfo>> events(const std::string& group, std::int64_t after,
                                                 std::uint32_t limit);

  Result<std::int64_t> store_plan(const PlanRow& row); // insert (id 0) or replace
  Result<std::vector<PlanRow>> unfinished_plans();

private:
  struct Database;
  explicit Inventory(std::unique_ptr<Database> database);
  std::unique_ptr<Database> database_;
};

// Now, "2026-11-20T10:22:28.123Z".
std::string utc_now();

} // namespace rc::io
