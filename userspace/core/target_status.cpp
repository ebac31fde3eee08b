// SPDX-License-Identifier: GPL-2.0-or-later
// What a Target tells about itself. Decides nothing.
#include "core/target_parts.hpp"

#include <algorithm>

namespace rc::core {

TargetStatus Target::Parts::status() const {
  TargetStatus s;
  s.state = pair.state();
  s.reason = pair.reason();
  s.next_action = pair.next_action();
  s.connected = link_usable();
  s.stream = stream;
  s.received = received;
  s.durable = durable;
  s.position = state.position;
  s.image_time_ns = state.applied_time_ns;
  s.restartable = has_image();
  s.current = is_current();
  s.was_current = state.current.value != 0 && state.current == stream && !s.current;
  s.current_until_ns = s.current ? now.real_ns : lease.renewed_real_ns();
  s.update_in_progress = applying.has_value() || (state.draft && state.draft->in_place);
  s.draft = state.draft.has_value();
  s.draft_in_place = state.draft && state.draft->in_place;
  s.draft_bytes = state.draft && !state.draft->in_place ? space.used_bytes : 0;
  s.received_bytes = received_bytes;
  s.applied_bytes = applied_bytes;
  s.journal_used = space.used_bytes;
  s.journal_bytes = space.capacity_bytes;
  s.releases = releases;
  s.taking_over = state.takeover.has_value();
  if (s.taking_over)
    s.takeover_step =
        applying ? (applying->release.seal ? "applying the seal" : "applying the last valid checkpoint")
                 : "waiting for the journal";
  if (s.restartable) {
    s.takeover_time_ns = state.applied_time_ns;
    s.takeover_checkpoint = state.position.applied;
    if (applying && !applying->piece) {
      s.takeover_time_ns = std::max(s.takeover_time_ns, applying->release.time_ns);
      s.takeover_checkpoint = std::max(s.takeover_checkpoint, applying->release.checkpoint);
    }
    const Seq after = state.draft ? index.end_of_copying(tag_of(config.link), durable) : 0;
    if (!state.draft || after != 0)
      if (const auto checkpoint = index.last_valid(after, durable)) {
        s.takeover_time_ns = std::max(s.takeover_time_ns, checkpoint->time_ns);
        s.takeover_checkpoint = std::max(s.takeover_checkpoint, checkpoint->era);
      }
    if (seal_through() && index.last_segment())
      s.takeover_time_ns = std::max(s.takeover_time_ns, index.last_segment()->last_time_ns);
  }
  return s;
}

} // namespace rc::core
