// SPDX-License-Identifier: GPL-2.0-or-later
// Takeover at this copy: close the stream, finish a stored release, release the seal or the last valid
// checkpoint, drop the rest, store the new lineage entry with role primary; only then may a host write.
// Decided once and stored first, so that a restart goes on; each step is idempotent.
#include "core/target_parts.hpp"

#include <algorithm>

namespace rc::core {
using namespace target;

void Target::Parts::on_takeover(const TakeoverRequested& event) {
  if (state.takeover)
    return; // goes on
  if (!has_image()) {
    out.push_back(TakeoverRefused{state.draft && state.draft->in_place
                                      ? "the copy is being written in place: it holds no restartable image"
                                      : "the copy is blank: it holds no image",
                                  "take over at another site, or let the copying end first"});
    return;
  }
  if (journal_failed) {
    out.push_back(TakeoverRefused{"the journal failed in this life of the agent",
                                  "restart the agent: what is durable in the journal is found again"});
    return;
  }
  format::LineageEntry entry;
  entry.generation = std::max({newest_generation(state.position.lineage),
                               newest_generation(state.source_lineage), event.newest_known}) +
                     1;
  entry.site = event.site;
  entry.id = event.id;
  state.takeover = entry;
  if (stream.value != 0 && state.closed != stream) {
    state.closed = stream;
    state.closed_at = received;
  }
  store();
  note(5, "takeover: the stream is closed at record " + std::to_string(state.closed_at));
  if (link_usable()) {
    send(format::NotCurrentMessage{stream, state.closed_at, "takeover at " + event.site});
    out.push_back(CloseLink{"takeover at this copy"});
    talk = Talk::Closed;
  }
}

void Target::Parts::advance_takeover() {
  if (durable < received || release_newest() || seal())
    return;
  format::LineageEntry entry = *state.takeover;
  entry.base = state.position.applied; // the last whole checkpoint in the image, also if the seal holds more
  become_primary(entry);
  state.takeover.reset();
  state.confirmed = true; // by the command that decided the takeover
  JournalChange change;
  change.empty = true;
  store(change);
  forget_journal();
  became_primary = true;
  note(5, "takeover complete: generation " + std::to_string(entry.generation) + ", base " +
              rc::to_string(entry.base));
  out.push_back(BecomePrimary{entry.generation});
}

void Target::Parts::become_primary(const format::LineageEntry& entry) {
  state.position.lineage.push_back(entry);
  state.position.applied = Era::open();
  state.role = format::Role::Primary;
  state.draft.reset();
  state.source_lineage.clear();
  state.current = {};
  state.current_since = {};
  state.sealed_since = {};
  state.closed = {};
  state.closed_at = 0;
}

} // namespace rc::core
