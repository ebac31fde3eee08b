// SPDX-License-Identifier: GPL-2.0-or-later
// The one list of fields of every value on the control socket. `fields(visit, value)` calls
// visit(name, member) for each field that a decoder may fill in or leave at its default, and
// visit.required(name, member) for each without which the value means nothing. Encoder, decoder and schema
// (control_json.cpp) are visitors. Invariant: a shipped field never changes its name, type or meaning; new
// ones are never `required`.
#pragma once

#include "format/control_messages.hpp"

#include <concepts>

namespace rc::control {

// T or const T: one function serves encoding and decoding.
template <typename T, typename Value>
concept Is = std::same_as<std::remove_const_t<T>, Value>;

template <typename V, Is<VersionRequest> T> void fields(V&, T&) {}

template <typename V, Is<NodeAddRequest> T> void fields(V& visit, T& v) {
  visit.required("name", v.name);
  visit.required("address", v.address);
  visit("site", v.site);
}

template <typename V, Is<NodeRemoveRequest> T> void fields(V& visit, T& v) { visit.required("name", v.name); }

template <typename V, Is<GroupDeleteRequest> T> void fields(V& visit, T& v) {
  visit.required("name", v.name);
}

template <typename V, Is<VolumeDeleteRequest> T> void fields(V& visit, T& v) {
  visit.required("group", v.group);
  visit.required("name", v.name);
}

template <typename V, Is<GroupCreateRequest> T> void fields(V& visit, T& v) {
  visit.required("name", v.name);
  visit.required("journal", v.journal);
  visit("journal_bytes", v.journal_bytes);
  visit("ring_mib", v.ring_mib);
  visit("on_full", v.on_full);
  visit("fence", v.fence);
  visit("checkpoint_ms", v.checkpoint_ms);
  visit("ack_timeout_ms", v.ack_timeout_ms);
  visit("force", v.force);
  visit("dry_run", v.dry_run);
}

template <typename V, Is<GroupSetRequest> T> void fields(V& visit, T& v) {
  visit.required("name", v.name);
  visit("on_full", v.on_full);
  visit("fence", v.fence);
  visit("checkpoint_ms", v.checkpoint_ms);
  visit("ack_timeout_ms", v.ack_timeout_ms);
}

template <typename V, Is<VolumeCreateRequest> T> void fields(V& visit, T& v) {
  visit.required("group", v.group);
  visit.required("name", v.name);
  visit.required("device", v.device);
  visit.required("meta", v.meta);
  visit("keep_data", v.keep_data);
  visit("force", v.force);
  visit("dry_run", v.dry_run);
}

template <typename V, Is<PairVolume> T> void fields(V& visit, T& v) {
  visit.required("name", v.name);
  visit.required("device", v.device);
  visit.required("meta", v.meta);
}

template <typename V, Is<PairCreateRequest> T> void fields(V& visit, T& v) {
  visit.required("group", v.group);
  visit.required("to", v.to);
  visit.required("mode", v.mode);
  visit.required("journal", v.journal);
  visit("journal_bytes", v.journal_bytes);
  visit.required("volumes", v.volumes);
  visit("force", v.force);
  visit("dry_run", v.dry_run);
}

template <typename V, Is<PairActionRequest> T> void fields(V& visit, T& v) {
  visit.required("group", v.group);
  visit("to", v.to);
  visit.required("action", v.action);
  visit("force", v.force);
  visit("in_place", v.in_place);
}

template <typename V, Is<ListRequest> T> void fields(V&, T&) {}

template <typename V, Is<StatusRequest> T> void fields(V& visit, T& v) {
  visit("group", v.group);
  visit("interval_seconds", v.interval_seconds);
}

template <typename V, Is<EventsRequest> T> void fields(V& visit, T& v) {
  visit("group", v.group);
  visit("after", v.after);
  visit("limit", v.limit);
}

template <typename V, Is<CopysetCreateRequest> T> void fields(V& visit, T& v) {
  visit.required("name", v.name);
  visit.required("groups", v.groups);
}

template <typename V, Is<TakeoverRequest> T> void fields(V& visit, T& v) {
  visit.required("group", v.group);
  visit("dry_run", v.dry_run);
  visit("force", v.force);
  visit("accept_loss_of", v.accept_loss_of);
}

template <typename V, Is<ConfirmRequest> T> void fields(V& visit, T& v) {
  visit.required("group", v.group);
  visit("force", v.force);
}

template <typename V, Is<CopyPrepareVolume> T> void fields(V& visit, T& v) {
  visit.required("name", v.name);
  visit.required("number", v.number);
  visit.required("bytes", v.bytes);
  visit.required("device", v.device);
  visit.required("meta", v.meta);
}

template <typename V, Is<CopyPrepareRequest> T> void fields(V& visit, T& v) {
  visit.required("group", v.group);
  visit.required("source", v.source);
  visit("source_site", v.source_site);
  visit("source_address", v.source_address);
  visit.required("mode", v.mode);
  visit.required("journal", v.journal);
  visit("journal_bytes", v.journal_bytes);
  visit("ring_mib", v.ring_mib);
  visit("on_full", v.on_full);
  visit("fence", v.fence);
  visit("checkpoint_ms", v.checkpoint_ms);
  visit("ack_timeout_ms", v.ack_timeout_ms);
  visit("link_slot", v.link_slot);
  visit("generation", v.generation);
  visit.required("volumes", v.volumes);
  visit("force", v.force);
  visit("dry_run", v.dry_run);
}

template <typename V, Is<VersionReply> T> void fields(V& visit, T& v) {
  visit.required("version", v.version);
  visit("node", v.node);
  visit("site", v.site);
  visit("kernel_abi", v.kernel_abi);
  visit("kernel_target", v.kernel_target);
  visit("status_schema", v.status_schema);
}

template <typename V, Is<ChangeReply> T> void fields(V& visit, T& v) {
  visit.required("outcome", v.outcome);
  visit("object", v.object);
  visit("what", v.what);
  visit("details", v.details);
  visit("warnings", v.warnings);
  visit("next_action", v.next_action);
  visit("device", v.device);
  visit("meta_bytes", v.meta_bytes);
}

template <typename V, Is<NodeInfo> T> void fields(V& visit, T& v) {
  visit.required("name", v.name);
  visit("site", v.site);
  visit("address", v.address);
  visit("self", v.self);
  visit("link", v.link);
  visit("reason", v.reason);
}

template <typename V, Is<VolumeInfo> T> void fields(V& visit, T& v) {
  visit.required("group", v.group);
  visit.required("name", v.name);
  visit("number", v.number);
  visit("node", v.node);
  visit("bytes", v.bytes);
  visit("device", v.device);
  visit("meta", v.meta);
  visit("path", v.path);
}

template <typename V, Is<GroupInfo> T> void fields(V& visit, T& v) {
  visit.required("name", v.name);
  visit("role", v.role);
  visit("primary_node", v.primary_node);
  visit("journal", v.journal);
  visit("journal_bytes", v.journal_bytes);
  visit("ring_mib", v.ring_mib);
  visit("on_full", v.on_full);
  visit("fence", v.fence);
  visit("checkpoint_ms", v.checkpoint_ms);
  visit("ack_timeout_ms", v.ack_timeout_ms);
}

template <typename V, Is<PairInfo> T> void fields(V& visit, T& v) {
  visit.required("group", v.group);
  visit.required("source", v.source);
  visit.required("target", v.target);
  visit("mode", v.mode);
  visit("state", v.state);
  visit("journal", v.journal);
}

template <typename V, Is<SeatInfo> T> void fields(V& visit, T& v) {
  visit.required("group", v.group);
  visit.required("site", v.site);
  visit.required("node", v.node);
  visit("master", v.master);
  visit("registrar", v.registrar);
}

template <typename V, Is<CopysetInfo> T> void fields(V& visit, T& v) {
  visit.required("name", v.name);
  visit("epoch", v.epoch);
  visit("seats", v.seats);
}

template <typename V, Is<ListReply> T> void fields(V& visit, T& v) {
  visit("nodes", v.nodes);
  visit("groups", v.groups);
  visit("volumes", v.volumes);
  visit("pairs", v.pairs);
  visit("copysets", v.copysets);
}

template <typename V, Is<CheckpointStatus> T> void fields(V& visit, T& v) {
  visit.required("generation", v.generation);
  visit.required("n", v.n);
  visit("time", v.time);
  visit("age_seconds", v.age_seconds);
}

template <typename V, Is<ProgressStatus> T> void fields(V& visit, T& v) {
  visit.required("bytes_total", v.bytes_total);
  visit.required("bytes_left", v.bytes_left);
  visit("bytes_per_second", v.bytes_per_second);
  visit("seconds_left", v.seconds_left);
}

template <typename V, Is<SpaceStatus> T> void fields(V& visit, T& v) {
  visit.required("bytes", v.bytes);
  visit.required("used", v.used);
  visit("seconds_to_full", v.seconds_to_full);
}

template <typename V, Is<PairStatus> T> void fields(V& visit, T& v) {
  visit.required("group", v.group);
  visit.required("source", v.source);
  visit.required("target", v.target);
  visit("target_site", v.target_site);
  visit.required("mode", v.mode);
  visit.required("state", v.state);
  visit("sync", v.sync);
  visit("link", v.link);
  visit("lag_seconds", v.lag_seconds);
  visit("lag_bytes", v.lag_bytes);
  visit("lag_at_least", v.lag_at_least);
  visit("complete", v.complete);
  visit("progress", v.progress);
  visit("journal", v.journal);
  visit("sent_bytes", v.sent_bytes);
  visit("since", v.since);
  visit("reason", v.reason);
  visit("next_action", v.next_action);
}

template <typename V, Is<VolumeStatus> T> void fields(V& visit, T& v) {
  visit.required("name", v.name);
  visit("number", v.number);
  visit("bytes", v.bytes);
  visit("path", v.path);
  visit("device", v.device);
  visit("update_in_progress", v.update_in_progress);
  visit("reason", v.reason);
}

template <typename V, Is<CopysetStatus> T> void fields(V& visit, T& v) {
  visit.required("name", v.name);
  visit("epoch", v.epoch);
  visit("master", v.master);
  visit("registrar", v.registrar);
  visit("step", v.step);
  visit("waits", v.waits);
  visit("checkpoint", v.checkpoint);
  visit("checkpoints", v.checkpoints);
  visit("voids", v.voids);
  visit("hold_seconds", v.hold_seconds);
}

template <typename V, Is<GroupStatus> T> void fields(V& visit, T& v) {
  visit.required("name", v.name);
  visit.required("role", v.role);
  visit.required("state", v.state);
  visit("primary_node", v.primary_node);
  visit("generation", v.generation);
  visit("lag_seconds", v.lag_seconds);
  visit("image", v.image);
  visit("restartable", v.restartable);
  visit("current", v.current);
  visit("alone", v.alone);
  visit("alone_since", v.alone_since);
  visit("ring", v.ring);
  visit("journal", v.journal);
  visit("written_bytes", v.written_bytes);
  visit("volumes", v.volumes);
  visit("pairs", v.pairs);
  visit("copyset", v.copyset);
  visit("reason", v.reason);
  visit("next_action", v.next_action);
}

template <typename V, Is<LinkStatus> T> void fields(V& visit, T& v) {
  visit.required("node", v.node);
  visit("address", v.address);
  visit.required("state", v.state);
  visit("rtt_seconds", v.rtt_seconds);
  visit("sent_bytes", v.sent_bytes);
  visit("saved_bytes", v.saved_bytes);
  visit("since", v.since);
  visit("reason", v.reason);
  visit("next_action", v.next_action);
}

template <typename V, Is<StatusReply> T> void fields(V& visit, T& v) {
  visit.required("schema", v.schema);
  visit("time", v.time);
  visit("node", v.node);
  visit("site", v.site);
  visit("version", v.version);
  visit.required("groups", v.groups);
  visit("links", v.links);
}

template <typename V, Is<EventInfo> T> void fields(V& visit, T& v) {
  visit.required("id", v.id);
  visit("time", v.time);
  visit("severity", v.severity);
  visit("kind", v.kind);
  visit("object", v.object);
  visit("group", v.group);
  visit("text", v.text);
  visit("next_action", v.next_action);
}

template <typename V, Is<EventsReply> T> void fields(V& visit, T& v) {
  visit.required("events", v.events);
  visit("dump_complete", v.dump_complete);
}

template <typename V, Is<PlanStep> T> void fields(V& visit, T& v) {
  visit("node", v.node);
  visit.required("text", v.text);
  visit.required("state", v.state);
  visit("reason", v.reason);
  visit("kind", v.kind);
}

template <typename V, Is<SiteForecast> T> void fields(V& visit, T& v) {
  visit.required("site", v.site);
  visit("node", v.node);
  visit("reachable", v.reachable);
  visit("image", v.image);
  visit("bytes_beyond", v.bytes_beyond);
}

template <typename V, Is<TakeoverForecast> T> void fields(V& visit, T& v) {
  visit("current", v.current);
  visit("lost_seconds", v.lost_seconds);
  visit("lost_bytes", v.lost_bytes);
  visit("lost_volumes", v.lost_volumes);
  visit("in_words", v.in_words);
}

template <typename V, Is<TakeoverReply> T> void fields(V& visit, T& v) {
  visit.required("group", v.group);
  visit("dry_run", v.dry_run);
  visit("plan", v.plan);
  visit("allowed", v.allowed);
  visit("needs_force", v.needs_force);
  visit("refusal", v.refusal);
  visit("steps", v.steps);
  visit("forecast", v.forecast);
  visit("sites", v.sites);
  visit("complete", v.complete);
  visit("devices", v.devices);
  visit("next_action", v.next_action);
}

} // namespace rc::control
