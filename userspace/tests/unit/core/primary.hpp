// SPDX-License-Identifier: GPL-2.0-or-later
// A Source with one link, driven by hand: what the kernel, the copy and the journal say is said by the test.
#pragma once

#include "unit/core/samples.hpp"

#include <gtest/gtest.h>
#include <optional>

namespace rc::core {

using namespace source;

struct Primary {
  explicit Primary(LinkMode mode = LinkMode::Async, std::uint64_t window_bytes = 8 << 20, bool live = true,
                   const RecoveredSpill& spill = {}, bool throttle = false) {
    config.throttle = throttle;
    config.group = "g";
    config.site = "paris";
    config.volume_sectors = {64};
    LinkConfig link;
    link.peer = link.site = "lyon";
    link.mode = mode;
    link.window_bytes = window_bytes;
    config.links = {link};
    format::GroupState state;
    state.role = format::Role::Primary;
    state.position = {{first_entry()}, Era::open()};
    source.emplace(config, state, spill);
    first = step(Started{live});
    if (live)
      begin();
  }
  static RingAttached ring_facts() {
    RingAttached ring;
    ring.era = Era::of(1, 1);
    ring.data_bytes = 1 << 20;
    ring.slots = 256;
    ring.copy_slots = 4;
    ring.copy_slot_bytes = 4096;
    ring.region_sectors = 8;
    return ring;
  }
  void begin() {
    step(ring_facts());
    step(StreamStarted{test_stream, Era::of(1, 1), ""});
  }
  // The agent is killed and starts again: of the stream (freed, reserved] is in the ring, none of it read
  // yet.
  void restart(Seq freed, Seq reserved) {
    source.emplace(config, format::GroupState(source->state()), RecoveredSpill{});
    step(Started{true});
    RingAttached ring = ring_facts();
    ring.stream = test_stream;
    ring.freed = freed;
    ring.reserved = reserved;
    step(ring);
  }
  Actions step(const Event& event, std::uint64_t time_ms = 0) {
    Actions actions = source->step(event, at_ms(time_ms));
    source->check_invariants();
    return actions;
  }
  Actions say(format::GroupMessage message, std::uint64_t time_ms = 0) {
    return step(MessageArrived{0, std::move(message)}, time_ms);
  }
  Actions capture(std::vector<format::Record> records, std::uint64_t time_ms = 0) {
    read = records.back().seq;
    Actions actions = step(RecordsCommitted{test_stream, records}, time_ms);
    for (Action& action : step(RingProgress{read, false, Era{}}, time_ms))
      actions.push_back(std::move(action));
    return actions;
  }
  format::HelloMessage hello(Seq durable = 0, bool of_stream = true) {
    format::HelloMessage message;
    message.position = {{first_entry()}, Era::of(1, 1)};
    if (of_stream)
      message.stream = test_stream;
    message.durable = durable;
    message.volume_sectors = {64};
    message.image_volumes = {0};
    return message;
  }
  format::WatermarksMessage marks(Seq durable) {
    format::WatermarksMessage message;
    message.stream = test_stream;
    message.durable = durable;
    message.journal_bytes = 1 << 20;
    message.journal_slots = 1000;
    return message;
  }
  // A blank copy greets and is attached at the next record.
  Actions attach_blank() {
    step(LinkUp{0});
    format::HelloMessage blank = hello(0, false);
    blank.position = {};
    blank.image_volumes = {};
    say(blank);
    format::ResyncReadyMessage ready;
    ready.full = true;
    const Actions asked = say(ready);
    return step(Reckoned{0, of<ReckonDirty>(asked)[0].ticket, {}});
  }
  // Does what the kernel and the copy would do until the end of copying is in the stream and durable there.
  void finish_copying(Actions todo) {
    for (Action& action : say(marks(0)))
      todo.push_back(std::move(action));
    while (!todo.empty()) {
      const Action action = todo.front();
      todo.erase(todo.begin());
      Actions more;
      if (const auto* region = std::get_if<CopyRegion>(&action))
        more = capture({copy(read + 1, region->sector / 8, 1)}, 10);
      else if (std::holds_alternative<PutEndOfCopying>(action))
        more = capture({end_of_copying(read + 1, 1)}, 10);
      else if (std::holds_alternative<SendRecords>(action))
        more = say(marks(std::get<SendRecords>(action).last), 10);
      todo.insert(todo.end(), more.begin(), more.end());
    }
  }
  SourceConfig config;
  std::optional<Source> source;
  Actions first;
  Seq read = 0;
};

} // namespace rc::core
