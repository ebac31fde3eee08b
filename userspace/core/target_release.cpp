// SPDX-License-Identifier: GPL-2.0-or-later
// From the journal into the copy. A release is stored, then update in progress is set, then all of it is
// applied; only when that is complete do position and lineage change, in the same step in which the journal
// is trimmed. A draft is released only by a checkpoint whose marker follows its end of copying; in place (no
// image to protect) it is applied piece by piece before, with update in progress standing throughout.
#include "core/mutation.hpp"
#include "core/target_parts.hpp"

#include "base/assert.hpp"

namespace rc::core {
using namespace target;

namespace {
constexpr std::uint64_t piece_every_ns = 200 * ms;
constexpr std::uint64_t retry_after_ns = 5 * second;
} // namespace

bool Target::Parts::release_newest() {
  const JournalSegment* segment = index.last_segment();
  if (!segment || segment->last < segment->first)
    return false;
  Seq after = 0;
  if (state.draft) {
    after = index.end_of_copying(tag_of(config.link), durable);
    if (after == 0 && !mutated(Mutation::ReleaseBeforeEndOfCopying))
      return false;
  }
  const auto checkpoint = index.last_valid(after, durable);
  if (!checkpoint)
    return false;
  start_release({checkpoint->stream, checkpoint->held, checkpoint->era, false, checkpoint->time_ns});
  return true;
}

void Target::Parts::start_release(format::Release release) {
  if (mutated(Mutation::PositionAtRelease))
    state.position.applied = release.checkpoint;
  if (!mutated(Mutation::ReleaseNotStored)) {
    state.release = release;
    store();
  }
  applying = Applying{release, false, true, 0};
  ask_apply(false);
}

void Target::Parts::ask_apply(bool redo) {
  const format::Release& what = applying->release;
  applying->asked = true;
  if (!applying->piece)
    out.push_back(SetUpdateInProgress{true, what.checkpoint});
  out.push_back(ApplyRecords{what.stream, what.last, what.checkpoint, redo || redo_next});
  redo_next = false;
  if (talk == Talk::Receiving && !applying->piece)
    send_watermarks();
}

bool Target::Parts::apply_piece() {
  if (!state.draft || !state.draft->in_place || now.boot_ns - last_piece_ns < piece_every_ns)
    return false;
  const JournalSegment* segment = index.last_segment();
  if (!segment || durable < segment->first)
    return false;
  // From the end of copying on it waits for its checkpoint: the last piece is an ordinary release. In a
  // copyset that may take long; no image is there to protect, so what doesn't fit is applied, too, and a
  // later checkpoint will do.
  const bool ended = state.draft->copied || index.end_of_copying(tag_of(config.link), received) != 0;
  if (ended && !(config.copyset && half_full()))
    return false;
  last_piece_ns = now.boot_ns;
  applying = Applying{{stream, durable, state.draft->agreed, false, 0}, true, true, 0};
  ask_apply(false);
  return true;
}

bool Target::Parts::half_full() const {
  return space.used_bytes > space.capacity_bytes / 2 || space.used_slots > space.capacity_slots / 2;
}

void Target::Parts::on_applied(const Applied& event) {
  if (!applying || event.stream != applying->release.stream || event.last != applying->release.last)
    return;
  const Applying done = *std::exchange(applying, std::nullopt);
  if (done.piece)
    complete_piece(done.release);
  else
    complete_release(done.release);
}

void Target::Parts::complete_release(const format::Release& release) {
  const bool first_image = !has_image();
  const bool was_draft = state.draft.has_value();
  if (was_draft || !release.seal)
    state.position.lineage = state.source_lineage;
  state.position.applied = release.checkpoint;
  state.applied_time_ns = release.time_ns;
  state.image_volumes = present_volumes();
  state.release.reset();
  state.draft.reset();
  const bool in_term = config.copyset && state.current == release.stream; // ends for all copies at once
  if (state.closed == release.stream && release.last > state.closed_at && !release.seal && !in_term) {
    state.current = {}; // a later checkpoint is the image: the old seal is history
    state.current_since = {};
    state.closed = {};
    state.closed_at = 0;
  }
  JournalChange change;
  change.trim = JournalChange::Trim{release.stream, release.last};
  store(change);
  if (!config.copyset || mutated(Mutation::FlagResetPerNode)) // else when all copies of the site are complete
    out.push_back(SetUpdateInProgress{false, release.checkpoint});
  index.trim(release.stream, release.last);
  ++releases;
  if (was_draft)
    note(5, std::string(first_image ? "the first image is complete: checkpoint "
                                    : "the resync is complete: checkpoint ") +
                rc::to_string(release.checkpoint));
  if (talk == Talk::Receiving) {
    pair.move(PairState::Duplex, "receives the source's writes", "none");
    send_watermarks();
  }
}

void Target::Parts::complete_piece(const format::Release& piece) {
  RC_ASSERT(state.draft);
  ExtentSet all(state.draft->shipped);
  if (piece.stream == stream)
    all.add(index.copied(piece.last));
  state.draft->shipped = largest(all.extents());
  if (const Seq end = index.end_of_copying(tag_of(config.link), durable); end != 0 && end <= piece.last)
    state.draft->copied = true;
  JournalChange change;
  change.trim = JournalChange::Trim{piece.stream, piece.last};
  store(change);
  index.trim(piece.stream, piece.last);
}

void Target::Parts::on_apply_failed(const ApplyFailed& event) {
  if (!applying)
    return;
  applying->asked = false;
  applying->retry_ns = now.boot_ns + retry_after_ns;
  pair.move(PairState::Failed, "a disk of the copy failed in an update in progress: " + event.error,
            "repair or replace the disk; it is tried again by itself");
  note(3, "apply failed: " + event.error);
}

} // namespace rc::core
