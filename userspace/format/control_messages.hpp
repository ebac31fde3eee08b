// SPDX-License-Identifier: GPL-2.0-or-later
// The control protocol's values: one plain struct for each request and each reply of the local socket, with
// total conversion from and to JSON. Used by both sides and by tests; docs/control-protocol.md is the page
// for people. Invariants: sizes are bytes, durations seconds, times RFC 3339 UTC text; unknown fields are
// ignored (mixed versions), a missing required field or a wrong type is an Error that names it; decoding
// never throws. Each struct's fields are named once, in control_fields.hpp: encoder, decoder and JSON schema
// all come from there. Must not: do anything. JSON: control_json.hpp. Who acts on a request: ControlHandler
// (control_handler.hpp).
#pragma once

#include "base/result.hpp"
#include "format/control_types.hpp"

namespace rc::control {

// ---- requests
// -----------------------------------------------------------------------------------------------

struct VersionRequest {
  static constexpr const char* method = "version";
};

// Idempotent: the same name with the same address and site is Unchanged; other values are Changed.
struct NodeAddRequest {
  static constexpr const char* method = "node.add";
  std::string name;    // as in its certificate
  std::string address; // HOST:PORT
  std::string site;    // empty: a site of the node's own name
};

// Forgets it and ends the link. Refused while a pair with it, or a volume at it, is known here.
struct NodeRemoveRequest {
  static constexpr const char* method = "node.remove";
  std::string name;
};

struct GroupCreateRequest {
  static constexpr const char* method = "group.create";
  std::string name;
  std::string journal;             // file (made when missing) or block device
  std::uint64_t journal_bytes = 0; // 0: the device's size; for a file the default (1 GiB)
  std::uint32_t ring_mib = 0;      // 0: default
  OnFull on_full = OnFull::Suspend;
  Fence fence = Fence::Go;
  std::uint32_t checkpoint_ms = 0;  // interval; 0: default
  std::uint32_t ack_timeout_ms = 0; // longest wait of a write for a sync site; 0: default
  bool force = false;               // the journal device holds something else: overwrite it
  bool dry_run = false;
};

// Changes settings of a group at its primary and at every copy; what is left out stays as it is. A peer that
// is told (call group.settings, news) gets all of them.
struct GroupSetRequest {
  static constexpr const char* method = "group.set";
  std::string name;
  std::optional<OnFull> on_full;
  std::optional<Fence> fence;
  std::uint32_t checkpoint_ms = 0;  // 0: stays
  std::uint32_t ack_timeout_ms = 0; // 0: stays
};

// The group without volumes and pairs: its journal is given up, its name is free.
struct GroupDeleteRequest {
  static constexpr const char* method = "group.delete";
  std::string name;
};

// The volume becomes primary here. `keep_data`: the device holds data that shall be protected (the usual
// case); without it the device must be blank. The meta device must be blank, unless `force`.
struct VolumeCreateRequest {
  static constexpr const char* method = "volume.create";
  std::string group;
  std::string name;
  std::string device;
  std::string meta;
  bool keep_data = false;
  bool force = false;
  bool dry_run = false;
};

// Takes the volume's device away from the hosts; what is on the backing device stays. Refused while the group
// has pairs, and while the device is open.
struct VolumeDeleteRequest {
  static constexpr const char* method = "volume.delete";
  std::string group;
  std::string name;
};

struct PairVolume {
  std::string name;   // of the group's volume
  std::string device; // on the remote node
  std::string meta;
};

// Makes the group's copy at `to`: probes, formats and loads there what is needed, then starts the initial
// copy.
struct PairCreateRequest {
  static constexpr const char* method = "pair.create";
  std::string group;
  std::string to; // node
  Mode mode = Mode::Async;
  std::string journal; // on the remote node
  std::uint64_t journal_bytes = 0;
  std::vector<PairVolume> volumes; // every volume of the group, once
  bool force = false;              // remote devices that are not blank: overwrite them
  bool dry_run = false;
};

struct PairActionRequest {
  static constexpr const char* method = "pair.action";
  std::string group;
  std::string to; // node; empty: the group's only pair
  PairAction action = PairAction::Suspend;
  bool force = false;    // delete: also when the other node can't be told
  bool in_place = false; // resync: what the copy's journal can't gather is applied in place; only with force
};

// Makes groups of several nodes one copyset: common checkpoints from now on (docs/copyset.md). Repeated, it
// brings seats that lack the table into it.
struct CopysetCreateRequest {
  static constexpr const char* method = "copyset.create";
  std::string name;
  std::vector<std::string> groups;
};

// The topology that this node knows (inventory). `list` and `show` of rcctl.
struct ListRequest {
  static constexpr const char* method = "list";
};

// `more`: a new report at least every interval, and at once when a state changed, until the client hangs up.
struct StatusRequest {
  static constexpr const char* method = "status";
  std::string group; // empty: all
  double interval_seconds = 1.0;
};

// With `more`: first what is stored, then (an empty list with dump_complete) new ones as they come.
struct EventsRequest {
  static constexpr const char* method = "events";
  std::string group;       // empty: all
  std::int64_t after = -1; // id; -1: the last `limit`
  std::uint32_t limit = 100;
};

// dry_run: only the plan. With `more`: the whole plan again whenever a step changed, last reply when it
// ended.
struct TakeoverRequest {
  static constexpr const char* method = "takeover";
  std::string group;
  bool dry_run = false;
  bool force = false; // the primary may still be alive, or loss was shown and is accepted
  std::vector<std::string> accept_loss_of; // nodes whose newer data may be given up or can't be asked
};

// A primary that came back after it was fenced: its generation is the valid one, take writes.
struct ConfirmRequest {
  static constexpr const char* method = "confirm";
  std::string group;
  bool force = false;
};

// Source agent -> target agent (over the link, same values): make the copy's side of a pair. rcctl never
// sends it.
struct CopyPrepareVolume {
  std::string name;
  std::uint32_t number = 0;
  std::uint64_t bytes = 0; // size of the source's volume; the copy's device must be at least that
  std::string device;
  std::string meta;
};
struct CopyPrepareRequest {
  static constexpr const char* method = "copy.prepare";
  std::string group;
  std::string source; // node
  std::string source_site;
  std::string source_address;
  Mode mode = Mode::Async;
  std::string journal;
  std::uint64_t journal_bytes = 0;
  std::uint32_t ring_mib = 0;
  OnFull on_full = OnFull::Suspend;
  Fence fence = Fence::Go;
  std::uint32_t checkpoint_ms = 0;
  std::uint32_t ack_timeout_ms = 0;
  std::uint32_t link_slot = 0;
  std::vector<CopyPrepareVolume> volumes;
  bool force = false;
  bool dry_run = false;
  std::uint64_t generation = 0; // of the source; 0: not told
};

// ---- replies
// ------------------------------------------------------------------------------------------------

struct VersionReply {
  std::string version;
  std::string node;
  std::string site;
  std::uint32_t kernel_abi = 0; // 0: module not loaded
  std::string kernel_target;    // "1.0.0"; empty: not loaded
  std::string status_schema;
};

// What a changing command did. `what` is one line for people; details are further lines (steps, sizes).
struct ChangeReply {
  Outcome outcome = Outcome::Unchanged;
  std::string object; // "group bank", "volume bank/data", "pair bank@sy"
  std::string what;
  std::vector<std::string> details;
  std::vector<std::string> warnings;
  std::string next_action;
  std::optional<std::string> device;       // volume: what hosts use
  std::optional<std::uint64_t> meta_bytes; // volume: meta space that its size needs
};

struct NodeInfo {
  std::string name;
  std::string site;
  std::string address;
  bool self = false;
  LinkState link = LinkState::Down;
  std::string reason; // why the link is not up
};
struct VolumeInfo {
  std::string group;
  std::string name;
  std::uint32_t number = 0;
  std::string node;
  std::uint64_t bytes = 0;
  std::string device; // backing
  std::string meta;
  std::string path; // what hosts use; empty on other nodes
};
struct GroupInfo {
  std::string name;
  Role role = Role::Secondary;
  std::string primary_node; // empty: unknown
  std::string journal;
  std::uint64_t journal_bytes = 0;
  std::uint32_t ring_mib = 0;
  OnFull on_full = OnFull::Suspend;
  Fence fence = Fence::Go;
  std::uint32_t checkpoint_ms = 0;
  std::uint32_t ack_timeout_ms = 0;
};
struct PairInfo {
  std::string group;
  std::string source;
  std::string target;
  Mode mode = Mode::Async;
  PairState state = PairState::Simplex;
  std::string journal; // at the target
};
// A group at a site; of copysets of several groups.
struct SeatInfo {
  std::string group;
  std::string site;
  std::string node;
  bool master = false; // of its site
  bool registrar = false;
};
struct CopysetInfo {
  std::string name;
  std::uint64_t epoch = 0; // as this node's seat has stored it; 0: it has not yet
  std::vector<SeatInfo> seats;
};
struct ListReply {
  std::vector<NodeInfo> nodes;
  std::vector<GroupInfo> groups;
  std::vector<VolumeInfo> volumes;
  std::vector<PairInfo> pairs;
  std::vector<CopysetInfo> copysets;
};

// ---- status: schema "remotecopy.status/1", only ever added to
// -----------------------------------------------

inline constexpr const char* status_schema = "remotecopy.status/1";

struct CheckpointStatus {
  std::uint64_t generation = 0;
  std::uint64_t n = 0;
  std::string time; // of its marker; empty: not known
  std::optional<double> age_seconds;
};

// Of an initial copy or a resync.
struct ProgressStatus {
  std::uint64_t bytes_total = 0;
  std::uint64_t bytes_left = 0;
  double bytes_per_second = 0;        // over about ten seconds
  std::optional<double> seconds_left; // absent: not known
};

struct SpaceStatus {
  std::uint64_t bytes = 0;
  std::uint64_t used = 0;
  std::optional<double> seconds_to_full; // absent: not filling
};

struct PairStatus {
  std::string group;
  std::string source;
  std::string target;
  std::string target_site;
  Mode mode = Mode::Async;
  PairState state = PairState::Simplex;
  SyncState sync = SyncState::NotSync;
  LinkState link = LinkState::Down;
  // Lag (RPO): age of the oldest completed write that is not durable at the target; 0 when there is none;
  // absent when it can't be known (never 0 for a link that is down).
  std::optional<double> lag_seconds;
  std::optional<std::uint64_t> lag_bytes;
  bool lag_at_least = false;                // the true lag may be higher (the copy was away)
  std::optional<CheckpointStatus> complete; // the image at the target
  std::optional<ProgressStatus> progress;   // while state is initial_copy or pending
  std::optional<SpaceStatus> journal;       // at the target
  std::uint64_t sent_bytes = 0;             // records and data over this link since the agent started
  std::string since;                        // when the state was entered
  std::string reason;                       // in words; never empty unless state is duplex
  std::string next_action;
};

struct VolumeStatus {
  std::string name;
  std::uint32_t number = 0;
  std::uint64_t bytes = 0;
  std::string path; // "/dev/mapper/GROUP-VOLUME"
  std::string device;
  bool update_in_progress = false;
  std::string reason; // when something is wrong with it
};

// What the group's seat does for its copyset (docs/copyset.md).
struct CopysetStatus {
  std::string name;
  std::uint64_t epoch = 0;
  std::string master; // of this site: "bank@async"
  std::string registrar;
  std::string step;                           // at the master: what it is doing
  std::string waits;                          // at the master: for whom
  std::optional<CheckpointStatus> checkpoint; // primary site's master: the last that all lifted in time
  std::uint64_t checkpoints = 0;              // of them, since the agent started
  std::uint64_t voids = 0;                    // that were given up or lifted too late
  std::optional<double> hold_seconds;         // primary: how long its last hold withheld completions
};

struct GroupStatus {
  std::string name;
  Role role = Role::Secondary;
  GroupState state = GroupState::Inactive;
  std::string primary_node; // empty: not known
  std::uint64_t generation = 0;
  // Primary: the worst of its pairs. Secondary: age of its image. Absent: not known.
  std::optional<double> lag_seconds;
  std::optional<CheckpointStatus> image; // secondary: what a takeover here would show
  bool restartable = false;              // secondary: there is such an image
  bool current = false;                  // secondary: a takeover here loses nothing
  bool alone = false;                    // completes sync writes without the sync site
  std::string alone_since;
  std::optional<SpaceStatus> ring;    // primary
  std::optional<SpaceStatus> journal; // this node's: secondary: received; primary: spilled
  std::uint64_t written_bytes = 0;    // by hosts since the agent started
  std::vector<VolumeStatus> volumes;
  std::vector<PairStatus> pairs;        // those this node is an end of
  std::optional<CopysetStatus> copyset; // absent: the group is on its own
  std::string reason;
  std::string next_action;
};

struct LinkStatus {
  std::string node;
  std::string address;
  LinkState state = LinkState::Down;
  std::optional<double> rtt_seconds;
  std::uint64_t sent_bytes = 0;  // over this connection, before encryption
  std::uint64_t saved_bytes = 0; // that compression took off
  std::string since;
  std::string reason;
  std::string next_action;
};

struct StatusReply {
  std::string schema = status_schema;
  std::string time;
  std::string node;
  std::string site;
  std::string version;
  std::vector<GroupStatus> groups;
  std::vector<LinkStatus> links;
};

// ---- events
// -------------------------------------------------------------------------------------------------

struct EventInfo {
  std::int64_t id = 0; // grows by one: a reader sees a gap
  std::string time;
  Severity severity = Severity::Info;
  EventKind kind = EventKind::Change;
  std::string object; // "pair bank@sy"
  std::string group;  // may be empty
  std::string text;
  std::string next_action;
};
struct EventsReply {
  std::vector<EventInfo> events;
  bool dump_complete = false; // what was stored has been told; new ones follow
};

// ---- takeover
// -----------------------------------------------------------------------------------------------

struct PlanStep {
  std::string node;
  std::string text;
  StepState state = StepState::Planned;
  std::string reason;    // of a failure or a skip
  std::string kind = {}; // fence close_stream seal ... tell_peers
};

// What one site holds; the plan says what the others lack.
struct SiteForecast {
  std::string site;
  std::string node;
  bool reachable = false;                    // false: unknown, not zero
  std::string image;                         // "seal", "checkpoint 2.17", "unknown"
  std::optional<std::uint64_t> bytes_beyond; // held there and given up by this takeover
};

struct TakeoverForecast {
  bool current = false;               // no completed sync write is lost
  std::optional<double> lost_seconds; // absent: not known
  std::optional<std::uint64_t> lost_bytes;
  std::vector<std::string> lost_volumes; // volumes that may have lost writes
  std::string in_words;
};

struct TakeoverReply {
  std::string group;
  bool dry_run = false;
  std::int64_t plan = 0;    // id in the inventory; 0: not stored (dry run)
  bool allowed = false;     // dry run: would be done as asked
  bool needs_force = false; // dry run: refused as asked, `force` or `accept_loss_of` would do it
  std::string refusal;      // why it would be refused
  std::vector<PlanStep> steps;
  TakeoverForecast forecast;
  std::vector<SiteForecast> sites;
  bool complete = false;
  std::vector<std::string> devices; // when complete: what hosts may use now
  std::string next_action;
};

} // namespace rc::control
