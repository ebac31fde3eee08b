// SPDX-License-Identifier: GPL-2.0-or-later
// What a SourceRuntime does for each action of core::Source; the contract of each stands in
// core/source_events.hpp.
#include "agent/clock.hpp"
#include "agent/journal_glue.hpp"
#include "agent/source_runtime.hpp"
#include "base/log.hpp"
#include "format/messages_cbor.hpp"

namespace rc::agent {

namespace source = core::source;

namespace {
// on_full=throttle: a link that stalls for so long is down by then, and what it lags goes to the journal.
constexpr std::uint32_t throttle_most_ms = 30'000;
} // namespace

bool SourceRuntime::execute(source::Action& action) {
  if (stopped_)
    return true;
  return std::visit([this](auto& one) { return execute(one); }, action);
}

bool SourceRuntime::execute(source::StoreState& action) {
  const Status stored =
      journal_->store(action.state, to_io(action.journal), [this, self = shared_from_this()] {
        if (!stopped_)
          actions_.passed_barrier();
      });
  if (stored)
    return false;
  // Nothing later may happen without it: the queue stays where it is.
  fail("cannot store the state of group " + row_.name + ": " + stored.error().text(),
       "replace the journal's device, then restart rcagent");
  return false;
}

bool SourceRuntime::execute(source::LoadVolumes& action) {
  services_.context.in_background(
      [set = volumes_, generation = action.generation] { return load_primary(set, generation); },
      [this, self = shared_from_this()](const Status& status) {
        if (status)
          failure_.clear();
        else
          fail(status.error().what, status.error().next);
        step(source::VolumesLoaded{.ok = status.ok(), .error = status ? "" : status.error().text()});
        services_.changed(row_.name);
      });
  return true;
}

bool SourceRuntime::execute(source::AttachRing&) {
  auto ring = io::attach_ring(row_.name);
  if (!ring) {
    fail("cannot attach to the ring of group " + row_.name + ": " + ring.error().text(),
         ring.error().next.empty() ? "look at the kernel's log" : ring.error().next);
    return true;
  }
  ring_ = std::move(*ring);
  const auto state = ring_->state();
  auto watch = io::FdWatch::create(services_.context.executor(), ring_->poll_fd());
  if (!state || !watch) {
    fail("cannot use the ring of group " + row_.name + ": " + (state ? watch.error() : state.error()).text(),
         "look at the kernel's log");
    return true;
  }
  if (Status set = set_throttle(row_.on_full); !set)
    services_.context.events.add(control::Severity::Warning, control::EventKind::Change, "group " + row_.name,
                                 row_.name, "the kernel target doesn't take on_full: " + set.error().text(),
                                 "load the module of this version: until then a full ring ends the stream");
  ring_watch_ = std::move(*watch);
  cache_.clear();
  next_read_ = ring_->stream().value ? ring_->first_unread() : 0;
  const auto& geometry = ring_->geometry();
  source::RingAttached attached;
  attached.stream = ring_->stream();
  attached.freed = state->freed;
  attached.reserved = state->reserved;
  attached.acked = state->acked;
  attached.era = Era{state->era};
  attached.lost_at = state->lost_at;
  attached.sync_wait = (state->state & DMRC_STATE_SYNC) != 0;
  attached.alone = (state->state & DMRC_STATE_ALONE) != 0;
  attached.alone_since = Era{state->alone_since};
  attached.alone_after_ns = state->alone_after_ns;
  attached.data_bytes = geometry.data_bytes;
  attached.slots = geometry.slots;
  attached.copy_slots = geometry.copy_slots;
  attached.copy_slot_bytes = geometry.copy_slot_bytes;
  attached.region_sectors = geometry.region_sectors;
  step_later(attached);
  io::post(services_.context.executor(), [this, self = shared_from_this()] { read_ring(); });
  return true;
}

Status SourceRuntime::set_throttle(control::OnFull on_full) {
  return ring_->throttle(on_full == control::OnFull::Throttle ? throttle_most_ms : 0);
}

bool SourceRuntime::execute(source::StartStream&) {
  source::StreamStarted started;
  if (!ring_) {
    started.error = "the ring is not attached";
  } else {
    const StreamId stream{random_id()};
    const auto era = ring_->start(stream);
    if (era) {
      started.stream = stream;
      started.era = *era;
      cache_.clear();
      next_read_ = 0; // the core must have heard of the stream before the first of its records
    } else {
      started.error = era.error().text();
    }
  }
  io::post(services_.context.executor(), [this, self = shared_from_this(), started] {
    if (stopped_)
      return;
    if (ring_ && started.error.empty())
      next_read_ = ring_->first_unread();
    step(started);
    read_ring();
  });
  return true;
}

bool SourceRuntime::execute(source::FreeRing& action) {
  cache_.forget_through(action.freed);
  if (ring_)
    ring_->set_freed(action.freed);
  return true;
}

bool SourceRuntime::execute(source::AckRing& action) {
  if (!ring_)
    return true;
  if (Status done = ring_->ack(action.acked, action.alone_after_ns); !done)
    log::warning("group " + row_.name + ": acknowledgement refused by the kernel: " + done.error().text());
  return true;
}

bool SourceRuntime::execute(source::SetSync& action) {
  if (!ring_)
    return true;
  const auto since = ring_->set_sync(action.wait, action.fence == core::Fence::Stop, action.alone_after_ns);
  if (!since) {
    fail("cannot switch the wait for acknowledgements of group " + row_.name + ": " + since.error().text(),
         "look at the kernel's log");
    return true;
  }
  step_later(source::SyncSwitched{.wait = action.wait, .since_seq = *since});
  return true;
}

bool SourceRuntime::execute(source::PutCheckpoint&) {
  source::CheckpointPut put;
  if (!ring_) {
    put.error = "the ring is not attached";
  } else {
    const auto done = ring_->checkpoint(0, 0, Epoch{});
    if (done) {
      put.checkpoint = done->checkpoint;
      put.marker_seq = done->marker_seq;
      put.time_ns = done->time_ns;
    } else {
      put.error = done.error().text();
    }
  }
  step_later(put);
  return true;
}

bool SourceRuntime::execute(source::SendRecords& action) {
  const auto* info = link_of(action.link);
  io::Link* link = info ? services_.peers.link(info->peer) : nullptr;
  if (!link || !ring_)
    return true; // LinkDown is on its way
  if (action.from == source::SendRecords::From::Spill) {
    send_from_spill(action);
    return true;
  }
  for (Seq next = action.first; next <= action.last;) {
    const auto chunk = cache_.get(*ring_, next, action.last);
    if (!chunk) {
      fail(chunk.error().what, chunk.error().next);
      services_.sessions.close(row_.name, info->peer, chunk.error().what);
      return true;
    }
    next = chunk->records.back().seq + 1;
    link->send_records(channel_, format::outgoing_for_link(*chunk, core::tag_of(action.link)));
  }
  return true;
}

void SourceRuntime::send_from_spill(const source::SendRecords& action) {
  constexpr std::size_t records_max = 4096;
  services_.context.in_background(
      [journal = journal_, action] {
        return journal->read(action.stream, action.first, action.last, action.max_bytes, records_max);
      },
      [this, self = shared_from_this(), slot = action.link](Result<format::RecordsMessage> read) {
        const auto* info = link_of(slot);
        io::Link* link = info ? services_.peers.link(info->peer) : nullptr;
        if (stopped_ || !link || !services_.sessions.up(row_.name, info->peer))
          return;
        if (!read) {
          fail("cannot read the spill of group " + row_.name + ": " + read.error().text(),
               "the pair is resynchronised by delta; check the journal's device");
          services_.sessions.close(row_.name, info->peer, "the spill can't be read");
          return;
        }
        auto outgoing = format::outgoing_for_link(*read, core::tag_of(slot));
        source::SentFromSpill sent;
        sent.link = slot;
        sent.first = read->records.front().seq;
        sent.last = read->records.back().seq;
        sent.bytes = outgoing.body_bytes();
        link->send_records(channel_, std::move(outgoing));
        step(sent);
      });
}

bool SourceRuntime::execute(source::SendMessage& action) {
  const auto* info = link_of(action.link);
  // The deadline that this answer stands for was handed over just before. If it came too late, the kernel is
  // alone, and the copy must not take itself for current any longer.
  if (std::holds_alternative<format::ChallengeAnswerMessage>(action.message) && ring_) {
    const auto state = ring_->state();
    if (!state || (state->state & DMRC_STATE_ALONE))
      return true; // the next report of progress tells the core
  }
  if (io::Link* link = info ? services_.peers.link(info->peer) : nullptr)
    link->send(format::FrameType::Message, channel_, format::encode_message(action.message));
  return true;
}

bool SourceRuntime::execute(source::CloseLink& action) {
  if (const auto* info = link_of(action.link))
    io::post(services_.context.executor(),
             [this, self = shared_from_this(), peer = info->peer, reason = action.reason] {
               if (!stopped_)
                 services_.sessions.close(row_.name, peer, reason);
             });
  return true;
}

bool SourceRuntime::execute(source::SpillRecords& action) {
  for (Seq next = action.first; next <= action.last;) {
    const auto chunk =
        ring_ ? cache_.get(*ring_, next, action.last)
              : Result<format::RecordsMessage>(Error{ErrorCode::Failed, "the ring is not attached", ""});
    const Status done = chunk ? journal_->append(*chunk) : Status(chunk.error());
    if (!done) {
      step_later(
          source::SpillFailed{.error = done.error().text(), .full = done.error().code == ErrorCode::Full});
      return true;
    }
    next = chunk->records.back().seq + 1;
  }
  return true;
}

bool SourceRuntime::execute(source::TrimSpill& action) {
  if (const Status done = journal_->trim({.stream = action.stream, .through = action.through}); !done)
    log::warning("group " + row_.name + ": cannot trim the spill: " + done.error().text());
  return true;
}

bool SourceRuntime::execute(source::ReckonDirty& action) {
  services_.context.in_background(
      [ring = ring_, set = volumes_, since = action.since] { return dirty_extents(*ring, set, since); },
      [this, self = shared_from_this(), action](Result<std::vector<format::Extent>> dirty) {
        if (dirty)
          step(source::Reckoned{action.link, action.ticket, std::move(*dirty)});
        else
          fail("cannot read the region map of group " + row_.name + ": " + dirty.error().text(),
               "look at the kernel's log");
      });
  return true;
}

bool SourceRuntime::execute(source::CopyRegion& action) {
  const Status queued =
      ring_ ? ring_->copy(action.volume, action.sector, action.sectors, core::tag_of(action.link))
            : Status(Error{ErrorCode::Failed, "the ring is not attached", ""});
  if (queued)
    return true;
  if (queued.error().code != ErrorCode::Again)
    log::warning("group " + row_.name + ": copy refused by the kernel: " + queued.error().text());
  step_later(source::CopyRefused{action.link, action.volume, action.sector, action.sectors});
  return true;
}

bool SourceRuntime::execute(source::PutEndOfCopying& action) {
  const auto put = ring_ ? ring_->put(format::RecordType::EndOfCopying, core::tag_of(action.link))
                         : Result<Seq>(Error{ErrorCode::Failed, "the ring is not attached", ""});
  if (!put)
    step_later(source::EndOfCopyingRefused{action.link, put.error().text()});
  return true;
}

// Another site took over. This primary must not serve hosts any more: its volumes become secondary, what its
// hosts wrote since is a lost branch that stays on the disks until a command resolves it.
bool SourceRuntime::execute(source::StaleGeneration& action) {
  services_.context.events.add(
      control::Severity::Error, control::EventKind::Change, "group " + row_.name, row_.name,
      "another site took over: " + action.reason,
      "this node's later writes are a lost branch; its volumes refuse hosts until a command decides");
  services_.context.in_background(
      [set = volumes_] {
        const auto state = loaded(set);
        return state && state->any ? load_secondary(set) : Status();
      },
      [this, self = shared_from_this()](const Status& fenced) {
        if (!fenced)
          fail("cannot fence the stale volumes of group " + row_.name + ": " + fenced.error().text(),
               "stop the applications on them now");
        services_.changed(row_.name);
      });
  return true;
}

bool SourceRuntime::execute(source::Note& action) {
  services_.context.events.note(action.level, "group " + row_.name, row_.name, action.text);
  return true;
}

} // namespace rc::agent
