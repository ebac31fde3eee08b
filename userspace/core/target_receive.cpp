// SPDX-License-Identifier: GPL-2.0-or-later
// Receiving: link up and down, Hello, Resume, records into the journal, watermarks back. Invariant: a record
// is appended only while records are due (Talk::Receiving), contiguous, checked, and - while the copy is
// current - under a standing lease; `durable` goes to the source only after the journal said so.
#include "core/mutation.hpp"
#include "core/receiver.hpp"
#include "core/target_parts.hpp"

#include <algorithm>

namespace rc::core {
using namespace target;

void Target::Parts::link_up() {
  if (journal_failed || state.takeover || state.role == format::Role::Primary)
    return;
  talk = Talk::Waiting;
  forget_session();
  if (durable == received)
    say_hello();
}

void Target::Parts::link_down(const std::string& reason) {
  talk = Talk::Down;
  forget_session();
  if (pair.state() == PairState::Duplex)
    pair.move(PairState::Duplex, "link down: " + reason, "wait for the link; check the network if it lasts");
}

void Target::Parts::say_hello() {
  // A challenge first: its answer comes before the first record, so a copy that is still current goes on
  // under a lease.
  if (lease.wanted() && stream.value != 0 && !config.copyset)
    send_challenge();
  format::HelloMessage hello;
  hello.epoch = state.epoch;
  hello.position = state.position;
  hello.stream = stream;
  hello.durable = durable;
  hello.current = state.current.value != 0 && state.current == stream;
  hello.update_in_progress = applying.has_value() || (state.draft && state.draft->in_place);
  hello.closed = state.closed.value != 0 && state.closed == stream;
  hello.closed_at = hello.closed ? state.closed_at : 0;
  if (state.draft)
    hello.draft = format::DraftInfo{state.draft->source_lineage, state.draft->agreed, break_of_draft(),
                                    shipped(), state.draft->from};
  hello.volume_sectors = config.volume_sectors;
  hello.image_volumes = state.image_volumes;
  send(std::move(hello));
  talk = Talk::Greeted;
}

void Target::Parts::on_resume(const format::ResumeMessage& message) {
  if (talk != Talk::Greeted)
    return refuse("resume without a greeting", "check the versions of both agents");
  const bool taken_as_contiguous =
      (mutated(Mutation::NewStreamContiguous) || mutated(Mutation::LossDropped)) &&
      message.stream != stream && message.from != 0;
  if (taken_as_contiguous) {
    stream = message.stream;
    received = durable = message.from - 1;
    JournalChange change;
    change.begin = JournalChange::Begin{stream, message.from};
    store(change);
    index.begin(stream, message.from);
  } else if (message.stream != stream || message.from != received + 1) {
    return refuse("resume at another place than this copy's", "check the versions of both agents");
  }
  if (message.epoch > state.epoch) {
    state.epoch = message.epoch;
    store();
  }
  talk = Talk::Receiving;
  if (!state.draft)
    pair.move(PairState::Duplex, "receives the source's writes", "none");
  else
    pair.move(state.position.lineage.empty() ? PairState::InitialCopy : PairState::Pending,
              "the copying goes on", "wait for its end");
  send_watermarks();
}

bool Target::Parts::fits(const format::RecordsMessage& message) const {
  std::uint64_t bytes = 0;
  for (const format::Record& record : message.records)
    bytes += format::data_bytes(record);
  const std::uint64_t waiting_bytes =
      unflushed.empty() ? 0 : unflushed.back().bytes - (unflushed.front().bytes);
  const std::uint64_t waiting_slots =
      unflushed.empty() ? 0 : unflushed.back().slots - (unflushed.front().slots);
  return space.used_bytes + waiting_bytes + bytes <= space.capacity_bytes &&
         space.used_slots + waiting_slots + message.records.size() <= space.capacity_slots;
}

void Target::Parts::on_records(const RecordsArrived& event) {
  const format::RecordsMessage& message = *event.message;
  const bool late = state.closed.value != 0 && state.closed == stream && talk != Talk::Receiving;
  if (late && mutated(Mutation::LateArrivalsCounted) && message.stream == stream &&
      !message.records.empty() && message.records.front().seq == received + 1)
    state.closed_at = message.records.back().seq; // and on, as if nothing had been closed
  else if (talk != Talk::Receiving)
    return; // after a close, or before this copy agreed to anything: never stored
  if (message.records.empty())
    return;
  if (state.current.value != 0 && state.current == stream && state.closed != stream && !lease.standing(now) &&
      !mutated(Mutation::CurrentAfterLeaseEnd)) {
    close_stream("the lease ended");
    return;
  }
  ReceiverChecks checks;
  checks.stream = stream;
  checks.next = received + 1;
  checks.volume_sectors = &config.volume_sectors;
  checks.last_marker = state.position.applied.is_open() ? Era{} : state.position.applied;
  for (auto mark = index.marks().rbegin(); mark != index.marks().rend(); ++mark)
    if (mark->type == format::RecordType::Marker) {
      checks.last_marker = std::max(checks.last_marker, mark->era);
      break;
    }
  checks.ended = index.last_segment()->ended;
  if (std::string wrong = check_batch(checks, message); !wrong.empty())
    return refuse("records refused: " + wrong, "the link starts anew; report it if it repeats");
  if (!fits(message))
    return refuse("the journal is full", "enlarge the copy's journal; " +
                                             std::to_string(space.capacity_bytes >> 20) +
                                             " MiB are too small for the writes between two checkpoints");
  if (unflushed.empty())
    unflushed.push_back({received, appended_bytes, appended_slots});
  for (const format::Record& record : message.records)
    appended_bytes += format::data_bytes(record);
  appended_slots += message.records.size();
  index.add(message.records);
  received = message.records.back().seq;
  received_bytes = appended_bytes;
  unflushed.push_back({received, appended_bytes, appended_slots});
  out.push_back(AppendJournal{event.message});
  if (mutated(Mutation::ReportBeforeDurable)) {
    const Seq truly = std::exchange(durable, received);
    send_watermarks();
    durable = truly;
  }
}

void Target::Parts::on_durable(const JournalDurable& event) {
  space = event.space;
  if (event.stream != stream || event.seq <= durable)
    return;
  durable = std::min(event.seq, received);
  // The first entry says what had been appended when `durable` was reached.
  while (unflushed.size() > 1 && unflushed[1].last <= durable)
    unflushed.pop_front();
  if (unflushed.size() == 1)
    unflushed.clear();
  if (talk == Talk::Receiving)
    send_watermarks();
  else if (talk == Talk::Waiting && durable == received)
    say_hello();
}

} // namespace rc::core
