// SPDX-License-Identifier: GPL-2.0-or-later
// The copy's side of a resync: end the old stream (finish the release under way, apply what is valid, apply
// the seal of a current copy), report the own map beyond the agreed point, begin a draft. Invariant: position
// and lineage stay what the image is until the draft is complete; a draft is kept only for the same source
// lineage and the same agreed point.
#include "core/mutation.hpp"
#include "core/target_parts.hpp"

#include <algorithm>

namespace rc::core {
using namespace target;

void Target::Parts::on_resync(const format::ResyncMessage& message) {
  if (talk != Talk::Greeted)
    return refuse("resync without a greeting", "check the versions of both agents");
  if (message.epoch < state.epoch)
    return refuse("a message of an older epoch",
                  "the source was taken out of the copyset: ask its registrar");
  state.epoch = message.epoch;
  ending_lineage = message.source_lineage;
  may_discard = mutated(Mutation::DiscardBeforeAsking);
  talk = Talk::Ending;
}

// Called after each event until the old stream is ended: each part waits for its durable or Applied.
void Target::Parts::advance_ending() {
  if (durable < received || (!config.copyset && (release_newest() || seal())))
    return;
  const Agreement agreement = agree({ending_lineage, Era::open()}, state.position);
  ending_agreed = agreement.agreed;
  ending_full = agreement.full();
  const bool keep =
      state.draft && (draft_usable(ending_agreed, ending_full) || mutated(Mutation::DraftAcrossSources));
  if (keep) {
    state.draft->broken_at = break_of_draft();
  } else if (state.draft) {
    // The records of another source's draft are of no use. What was applied in place has spoilt the image:
    // that stays known.
    const bool spoilt = state.draft->in_place;
    state.draft.reset();
    if (spoilt)
      state.draft = format::Draft{ending_lineage, ending_agreed, ending_full, Era{}, true, {}, 0};
  }
  if (config.copyset && holds_term())
    state.sealed_since = state.current_since;
  state.current = {};
  state.current_since = {};
  state.closed = {};
  state.closed_at = 0;
  JournalChange change;
  change.empty = !keep;
  store(change);
  if (!keep)
    forget_journal();
  if (ending_full) {
    send_ready({});
    return;
  }
  talk = Talk::Reckoning;
  out.push_back(ReckonOwnDirty{++ticket, ending_agreed});
}

bool Target::Parts::draft_usable(Era agreed, bool full) const {
  return state.draft->source_lineage == ending_lineage && state.draft->agreed == agreed &&
         state.draft->full == full;
}

// Everything that the source wrote after the break has this era or a later one.
Era Target::Parts::break_of_draft() const {
  const Era before = state.draft->broken_at.value_or(Era{});
  const JournalSegment* segment = index.last_segment();
  if (!segment || segment->last < segment->first || segment->last_era.value == 0)
    return before;
  return segment->last_era;
}

std::vector<format::Extent> Target::Parts::shipped() const {
  ExtentSet all(state.draft->shipped);
  all.add(index.copied(durable));
  return all.extents();
}

// Beyond the limit the smallest are forgotten: after a break they are copied again.
std::vector<format::Extent> Target::Parts::largest(std::vector<format::Extent> extents) {
  constexpr std::size_t most = 1024;
  if (extents.size() > most) {
    std::nth_element(extents.begin(), extents.begin() + most, extents.end(),
                     [](const auto& a, const auto& b) { return a.sectors > b.sectors; });
    extents.resize(most);
  }
  return extents;
}

std::vector<VolumeNumber> Target::Parts::present_volumes() const {
  std::vector<VolumeNumber> present;
  for (std::size_t volume = 0; volume < config.volume_sectors.size(); ++volume)
    if (config.volume_sectors[volume] != 0)
      present.push_back(static_cast<VolumeNumber>(volume));
  return present;
}

void Target::Parts::on_own_dirty(const OwnDirty& event) {
  if (talk == Talk::Reckoning && event.ticket == ticket)
    send_ready(event.dirty);
}

void Target::Parts::send_ready(std::vector<format::Extent> dirty) {
  format::ResyncReadyMessage message;
  message.position = state.position;
  message.agreed = ending_agreed;
  message.full = ending_full;
  message.dirty = std::move(dirty);
  if (state.draft)
    message.draft = format::DraftInfo{state.draft->source_lineage, state.draft->agreed, break_of_draft(),
                                      shipped(), state.draft->from};
  message.image_volumes = state.image_volumes;
  send(std::move(message));
  talk = Talk::Ready;
}

void Target::Parts::on_attach(const format::AttachMessage& message) {
  if (talk != Talk::Ready || message.source_lineage != ending_lineage || message.agreed != ending_agreed ||
      message.full != ending_full || message.stream.value == 0 || message.from == 0)
    return refuse("attach that does not fit what was agreed",
                  "the link starts anew; report it if it repeats");
  const bool keep = message.keep_draft && state.draft.has_value();
  const bool spoilt = state.draft && state.draft->in_place;
  const std::uint64_t used = keep ? space.used_bytes : 0;
  const std::uint64_t need = message.copy_bytes + message.copy_bytes / 10;
  const bool gathers = used + need <= space.capacity_bytes;
  const bool blank = state.position.lineage.empty();
  const bool crowded = used + need > space.capacity_bytes / 4 * 3 || // live writes need room, too
                       space.used_slots > space.capacity_slots / 4 * 3;
  if (keep && crowded && !spoilt) {
    // What the draft holds already leaves no room for the rest: the next attempt gathers anew, less of it.
    state.draft.reset();
    JournalChange change;
    change.empty = true;
    store(change);
    forget_journal();
    return refuse("the draft that was kept fills the copy's journal", "the resync starts anew by itself");
  }
  if (!blank && !spoilt && !gathers && !config.in_place_allowed && !message.in_place)
    return refuse(
        "the resync needs about " + std::to_string(need >> 20) + " MiB of journal, the copy's journal has " +
            std::to_string((space.capacity_bytes - used) >> 20) + " MiB to spare",
        "rcctl pair resync " + config.group + (config.node.empty() ? "" : " --to " + config.node) +
            " --in-place goes on without room, and without an image until it is complete; or delete "
            "the pair and create it with a larger journal there: everything is copied");
  format::Draft draft;
  draft.source_lineage = message.source_lineage;
  draft.agreed = message.agreed;
  draft.full = message.full;
  draft.from = message.from;
  draft.in_place = blank || spoilt || !gathers;
  if (keep) {
    draft.broken_at = state.draft->broken_at;
    ExtentSet still(shipped());
    if (!mutated(Mutation::ShippedNotReduced))
      still.remove(ExtentSet(message.go_again));
    draft.shipped = largest(still.extents());
  }
  state.draft = std::move(draft);
  state.source_lineage = message.source_lineage;
  if (mutated(Mutation::LineageAtStart))
    state.position.lineage = message.source_lineage;
  if (state.draft->in_place && !blank) {
    // From here on the volumes hold no checkpoint of any history; after a break everything is copied.
    state.position = {};
    state.image_volumes.clear();
    note(4, "resync in place: no takeover is possible here until it is complete");
  }
  JournalChange change;
  change.empty = !keep;
  change.begin = JournalChange::Begin{message.stream, message.from};
  store(change);
  if (!keep)
    forget_journal();
  index.begin(message.stream, message.from);
  unflushed.clear();
  stream = message.stream;
  received = durable = message.from - 1;
  lease.expire();
  talk = Talk::Receiving;
  if (state.draft->in_place)
    out.push_back(SetUpdateInProgress{true, state.draft->agreed});
  if (blank)
    pair.move(PairState::InitialCopy, "everything is copied", "wait for its end");
  else if (state.draft->in_place)
    pair.move(PairState::Pending,
              "resynchronising in place: " + std::to_string(message.copy_bytes >> 20) +
                  " MiB are copied; no takeover is possible here until it is complete",
              "wait for its end; an interruption makes it copy everything");
  else
    pair.move(PairState::Pending,
              "resynchronising: " + std::to_string(message.copy_bytes >> 20) + " MiB are copied",
              "wait for its end");
  send_watermarks();
}

} // namespace rc::core
