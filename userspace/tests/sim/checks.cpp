// SPDX-License-Identifier: GPL-2.0-or-later
// The oracle: design.md section 9, as far as it applies to one primary host with its copies. Rules are named
// by their number there. Cheap checks run at every event of their kind, image checks where an image is shown.
#include "tests/sim/cluster.hpp"
#include "tests/sim/fleet.hpp"

#include <algorithm>

namespace rc::sim {

namespace {
std::string of(StreamId stream, Seq seq) {
  return "record " + std::to_string(seq) + " of stream " + std::to_string(stream.value & 0xffff);
}
} // namespace

// ---- 2, 4, 10: completions

void Cluster::write_completed(Host& at, const HostWrite& write, Completion why) {
  counters_.add("writes");
  const Time waited = scheduler_.now() - write.on_disk;
  // A hold that began before the wait ended is added to it.
  const Time most = settings_.ack_timeout_ms * ms + 500 * ms + (fleet() ? settings_.max_hold_ms * ms : 0);
  if (waited > most && at.last_pause_end() + most < scheduler_.now() && at.slowness_meta == 1)
    throw Violation("4", "a write waited " + std::to_string(waited / ms) + " ms for an acknowledgement");
  if (why == Completion::Acknowledged)
    counters_.add("writes acknowledged");
  else if (why == Completion::Alone)
    counters_.add("writes alone");
  ghost_.completed(at.target().lineage_id(), write.stream, write.seq);
  if (fleet() && (why == Completion::Alone || !at.target().sync_wait()))
    fleet()->check_alone(at);
  for (auto& copy : hosts_) {
    const auto& state = copy->journal().state();
    if (copy->number() == at.number() || state.role == format::Role::Primary || state.current.value == 0)
      continue;
    if (why == Completion::Acknowledged && state.current == write.stream && state.closed != write.stream) {
      // An acknowledged write is on stable storage there, or already in the image.
      const bool applied =
          copy->shown && copy->shown->stream == write.stream && copy->shown->seq >= write.seq;
      if (!applied && copy->journal().durable(write.stream) < write.seq)
        throw Violation("2", of(write.stream, write.seq) + " was acknowledged, but " + copy->name() +
                                 " has it not on stable storage");
      if (!fleet() || fleet()->in_term(copy->number()))
        ghost_.promise(copy->number(), write.stream, write.seq);
    } else {
      check_current(*copy);
    }
  }
}

// A copy that calls itself current lacks no write that its primary has completed.
void Cluster::check_current(Host& copy) {
  const auto* agent = dynamic_cast<TargetAgent*>(copy.agent());
  const auto& state = copy.journal().state();
  if (!agent || state.current.value == 0 || copy.paused())
    return;
  const core::TargetStatus status = agent->status();
  if (!status.current)
    return;
  const GhostStream* stream = ghost_.stream(status.stream);
  if (!stream)
    throw Violation("10", copy.name() + " is current for a stream that never was");
  const Completed* last = ghost_.last_completed(stream->lineage_id);
  if (!last || last->stream_order < stream->order)
    return;
  Seq has = copy.journal().durable(status.stream);
  if (copy.shown && copy.shown->stream == status.stream)
    has = std::max(has, copy.shown->seq);
  if (last->stream_order > stream->order || last->seq > has || last->uncaptured)
    throw Violation("10", copy.name() + " calls itself current for " + of(status.stream, has) +
                              ", the primary has completed " + of(last->stream, last->seq) +
                              (last->uncaptured ? " and writes beyond any stream" : ""));
  if (!settings_.check_gate)
    return;
  for (const auto& other : hosts_)
    if (other->number() != copy.number() && other->journal().state().role == format::Role::Secondary &&
        other->journal().newest_held(status.stream) > has)
      throw Violation(
          "10", other->name() + " holds " + of(status.stream, other->journal().newest_held(status.stream)) +
                    " while the current copy " + copy.name() + " holds only " + std::to_string(has));
}

void Cluster::check_waits(const Host& at) {
  const Time oldest = at.target().oldest_waiting();
  const Time most = settings_.ack_timeout_ms * ms + 700 * ms + (fleet() ? settings_.max_hold_ms * ms : 0);
  if (oldest && oldest + most < scheduler_.now() && at.last_pause_end() + most < scheduler_.now() &&
      at.slowness_meta == 1)
    throw Violation("4", "a write has waited " + std::to_string((scheduler_.now() - oldest) / ms) +
                             " ms for an acknowledgement and still waits");
}

// ---- 11: who may write

void Cluster::check_load(Host& at, std::uint64_t generation, bool heard) {
  const auto& state = at.journal().state();
  if (state.role != format::Role::Primary || state.position.lineage.empty() ||
      state.position.lineage.back().generation != generation)
    throw Violation("11", at.name() + " loads volumes as primary, its stored lineage does not say so");
  if (!heard)
    throw Violation("11", at.name() + " takes writes although nobody confirmed its generation");
}

// ---- 1, 9, 12: images

void Cluster::check_shown(const Host& at, const char* when) {
  if (!at.shown)
    return;
  const Image& wanted = ghost_.image(at.shown->stream, at.shown->seq);
  const Image has = at.target().disk().content();
  if (has != wanted)
    throw Violation("1", at.name() + " (" + when + ") shows " + to_string(has, settings_.shape) + ", " +
                             of(at.shown->stream, at.shown->seq) + " is " +
                             to_string(wanted, settings_.shape));
}

void Cluster::check_takeover_image(const Host& at) {
  if (at.target().update_in_progress())
    throw Violation("9", at.name() + " is promoted while an update is in progress");
  if (!at.shown) {
    if (at.fed)
      throw Violation("1", at.name() + " takes over with an image that is none");
    return;
  }
  check_shown(at, "takeover");
  const GhostStream& stream = *ghost_.stream(at.shown->stream);
  if (const Promise* promise = ghost_.promised(at.number())) {
    // A stream of a lower generation is on a branch that a takeover by command gave up, also when it began
    // later: its primary had not heard of the takeover yet.
    const std::pair promised{ghost_.stream(promise->stream)->generation, promise->stream_order};
    const std::pair shown{stream.generation, stream.order};
    if (promised > shown || (promised == shown && promise->seq > at.shown->seq))
      throw Violation("2", of(promise->stream, promise->seq) + " was acknowledged while " + at.name() +
                               " was current, its takeover image ends with " +
                               of(at.shown->stream, at.shown->seq));
  }
  const auto& lineage = at.journal().state().position.lineage;
  check_claim(at, lineage.back().base, {lineage.begin(), lineage.end() - 1}, "the base of the takeover");
  counters_.add("takeover images");
}

// `claimed`, a checkpoint in the life that `lineage` ends with (or an earlier one), lies within the image.
void Cluster::check_claim(const Host& at, Era claimed, const std::vector<format::LineageEntry>& lineage,
                          const char* what) {
  if (!at.shown || claimed.value == 0 || claimed.is_open())
    return;
  const GhostCheckpoint* checkpoint = ghost_.find_checkpoint(Ghost::entry_of(lineage, claimed), claimed);
  const GhostStream& shown = *ghost_.stream(at.shown->stream);
  if (!checkpoint)
    throw Violation("12",
                    at.name() + ": " + what + " is " + to_string(claimed) + ", a checkpoint that never was");
  const GhostStream& stream = *ghost_.stream(checkpoint->stream);
  if (stream.order > shown.order || (stream.order == shown.order && checkpoint->marker > at.shown->seq))
    throw Violation("12", at.name() + ": " + what + " is " + to_string(claimed) + " (" +
                              of(checkpoint->stream, checkpoint->marker) + "), its image ends with " +
                              of(at.shown->stream, at.shown->seq));
}

// What a copy stores about itself.
void Cluster::check_stored(const Host& at, const format::GroupState& state) {
  if (state.role == format::Role::Primary || !at.shown || state.position.lineage.empty() ||
      (state.draft && state.draft->in_place))
    return;
  const GhostStream& shown = *ghost_.stream(at.shown->stream);
  if (state.position.lineage.back().id != shown.lineage_id && !at.position_behind)
    throw Violation("12", at.name() + " stores the lineage of another history than its image's");
  check_claim(at, state.position.applied, state.position.lineage, "the stored position");
}

// ---- 7: the map

void Cluster::check_map(const Host& at, const char* when) {
  const auto& state = at.journal().state();
  const Shape& shape = settings_.shape;
  const RegionMap& map = at.target().map();
  const Disk& disk = at.target().disk();
  for (std::uint32_t v = 0; v < shape.volumes; ++v)
    for (std::uint32_t r = 0; r < shape.regions; ++r)
      if (!map.settled(v, r, disk))
        throw Violation("7", at.name() + " (" + when + "): region " + std::to_string(v) + "/" +
                                 std::to_string(r) +
                                 " is closed in the map, but a write to it is not on stable storage");
  const auto& lineage = state.position.lineage;
  if (lineage.empty() || state.release || (state.draft && state.draft->in_place) || map.stable_super().update)
    return;
  Era point = state.position.applied;
  if (state.role == format::Role::Primary) {
    point = ghost_.last_checkpoint(lineage.back().id);
    if (point.value == 0)
      point = lineage.back().base;
  }
  if (point.value == 0)
    return;
  const Image* then = ghost_.checkpoint(Ghost::entry_of(lineage, point), point);
  if (!then)
    throw Violation("12", at.name() + " (" + when + ") stands at " + to_string(point) +
                              ", a checkpoint that never was");
  for (std::uint32_t v = 0; v < shape.volumes; ++v)
    for (std::uint32_t r = 0; r < shape.regions; ++r) {
      const StableRegion& region = map.stable(map.index(v, r));
      if (region.open || region.era > point)
        continue;
      for (std::uint32_t b = 0; b < region_blocks; ++b) {
        const auto index = block_index(v, r * region_blocks + b);
        if (disk.stable()[index] != (*then)[index])
          throw Violation("7", at.name() + " (" + when + "): region " + std::to_string(v) + "/" +
                                   std::to_string(r) + " is closed with era " + to_string(region.era) +
                                   ", holds " + std::to_string(disk.stable()[index]) + ", at " +
                                   to_string(point) + " it was " + std::to_string((*then)[index]));
      }
    }
}

void Cluster::check_all() {
  for (auto& at : hosts_) {
    check_map(*at, "at rest");
    check_waits(*at);
    check_current(*at);
    const auto& state = at->journal().state();
    if (at->powered() && state.role == format::Role::Secondary && !state.release && !state.draft &&
        !at->target().update_in_progress())
      check_shown(*at, "at rest");
  }
}

} // namespace rc::sim
