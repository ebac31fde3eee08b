// SPDX-License-Identifier: GPL-2.0-or-later
// The stream: records in order as they come out of the ring, its end by overflow, freeing, checkpoints by the
// clock. Invariant: freed <= min(written, min over attached links of max(durable there, durable in the
// spill)).
#include "core/mutation.hpp"
#include "core/source_parts.hpp"

#include "base/assert.hpp"

#include <algorithm>

namespace rc::core {
using namespace source;

void Source::Parts::on_records(const RecordsCommitted& event) {
  if (event.records.empty() || event.stream != ring.stream() || (life != Life::Running && life != Life::Lost))
    return;
  const bool waited = !all_found_is_read();
  ring.add(event.records);
  for (const format::Record& record : event.records)
    on_record(record);
  captured_records += event.records.size();
  if (waited && all_found_is_read())
    answer_all();
}

// On the path of every record: one switch, a few additions.
void Source::Parts::on_record(const format::Record& record) {
  switch (record.type) {
  case DMRC_WRITE:
    captured_bytes += record.length;
    [[fallthrough]];
  case DMRC_DISCARD:
  case DMRC_ZEROES:
    last_write = record.seq;
    break;
  case DMRC_COPY:
    saw_copy(record);
    break;
  case DMRC_FAILED:
    if (record.tag != 0)
      saw_copy(record);
    break;
  case DMRC_MARKER:
    history.marker(record, captured_bytes);
    break;
  case DMRC_HELD:
  case DMRC_VOID:
    history.verdict(record);
    break;
  case DMRC_END_OF_COPYING:
    saw_end(record);
    break;
  case DMRC_LOSS:
  case DMRC_SEAL:
    lost_at = record.seq;
    lose_stream();
    break;
  default:
    break;
  }
}

void Source::Parts::lose_stream() {
  if (life == Life::Lost)
    return;
  life = Life::Lost;
  ++overflows;
  life_reason = "the ring overflowed: writes only mark the region map";
  life_next = "a new stream and a resync by delta follow by themselves; a larger ring or journal helps";
  drain_until_ns = now.boot_ns + config.drain_ms * ms;
  note(4, "the stream ended at record " + std::to_string(lost_at) + ": the ring overflowed");
  copies_outstanding = 0;
  for (auto& [slot, link] : links) {
    if (link.resync)
      link.resync->outstanding = 0;
    else if (link.pair.state() == PairState::Duplex)
      link.pair.move(PairState::Pending, fetches_lost, resync_follows);
  }
  end_current("the stream ended by overflow");
}

// The links fetch the old stream's rest for a while; then, or when all have it, the ring is empty and a new
// one starts.
void Source::Parts::drain_lost() {
  if (lost_at == 0 || ring.read() < lost_at || retry_ns != 0)
    return;
  for (auto& [slot, link] : links)
    if (link.attached && link.durable < lost_at) {
      if (now.boot_ns < drain_until_ns && link.streaming())
        return;
      if (now.boot_ns >= drain_until_ns)
        suspend(link, PairState::Suspended, "overflow: the link did not fetch the ended stream in time",
                "resumes by itself with a delta");
    }
  free_ring();
  if (ring.freed() != lost_at)
    return;
  lost_at = 0; // asked once
  start_stream();
}

void Source::Parts::free_ring() {
  Seq least = std::min(ring.written(), ring.read());
  // Of what is spilled the newest stays in the ring for a link that is catching up: once it got there it is
  // served from the ring again, and the spilling ends. For a link that is away all of it is freed.
  const bool any_spilled = spill.kept && spill.stream == ring.stream() && spill.durable > ring.freed();
  const Seq spilled_and_old = any_spilled ? ring.keeping(keep_spilled, std::min(spill.durable, least)) : 0;
  for (const auto& [slot, link] : links) {
    if (!link.attached)
      continue;
    Seq needless = link.durable;
    if (spill.kept && spill.stream == ring.stream() && spill.first <= link.durable + 1)
      needless = std::max(needless, link.streaming() ? spilled_and_old : spill.durable);
    least = std::min(least, needless);
  }
  if (least <= ring.freed())
    return;
  ring.set_freed(least);
  out.push_back(FreeRing{least});
}

void Source::Parts::want_checkpoint() {
  checkpoint_wanted = true;
  tick_checkpoint();
}

void Source::Parts::tick_checkpoint() {
  if (life != Life::Running || links.empty() || checkpoint_asked || config.copyset)
    return;
  if (!checkpoint_wanted && now.boot_ns < next_checkpoint_ns)
    return;
  checkpoint_wanted = false;
  checkpoint_asked = true;
  next_checkpoint_ns = now.boot_ns + config.checkpoint_interval_ms * ms;
  out.push_back(PutCheckpoint{});
}

void Source::Parts::on_checkpoint(const CheckpointPut& event) {
  checkpoint_asked = false;
  if (!event.error.empty()) {
    note(4, "no checkpoint could be put: " + event.error);
    return; // by the clock again; what waits for one keeps wanting it
  }
  era = Era{event.checkpoint.value + 1};
  for (auto& [slot, link] : links)
    if (link.resync && link.resync->end_seq != 0 && link.resync->checkpoint.value == 0) {
      if (event.marker_seq > link.resync->end_seq)
        link.resync->checkpoint = event.checkpoint;
      else
        checkpoint_wanted = true;
    }
  if (sync.phase == Sync::Phase::Waiting && sync.switched && sync.checkpoint.value == 0) {
    if (event.marker_seq > sync.since_seq)
      sync.checkpoint = event.checkpoint;
    else
      checkpoint_wanted = true;
  }
  if (checkpoint_wanted)
    tick_checkpoint();
}

} // namespace rc::core
