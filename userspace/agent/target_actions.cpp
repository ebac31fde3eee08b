// SPDX-License-Identifier: GPL-2.0-or-later
// What a TargetRuntime does for each action of core::Target; the contract of each stands in
// core/target_events.hpp.
#include "agent/clock.hpp"
#include "agent/journal_glue.hpp"
#include "agent/target_runtime.hpp"
#include "format/messages_cbor.hpp"

namespace rc::agent {

namespace target = core::target;

bool TargetRuntime::execute(target::Action& action) {
  if (stopped_)
    return true;
  return std::visit([this](auto& one) { return execute(one); }, action);
}

bool TargetRuntime::execute(target::StoreState& action) {
  const bool changes = !action.journal.none();
  const Status stored =
      journal_->store(action.state, to_io(action.journal), [this, self = shared_from_this(), changes] {
        if (stopped_)
          return;
        actions_.passed_barrier();
        if (changes)
          step(target::JournalTrimmed{space()});
      });
  if (!stored)
    journal_failed(stored.error()); // nothing later may happen without it: the queue stays where it is
  return false;
}

bool TargetRuntime::execute(target::AppendJournal& action) {
  if (const Status done = journal_->append(*action.message); !done)
    step_later(target::JournalFailed{done.error().text()});
  return true;
}

bool TargetRuntime::execute(target::SetUpdateInProgress& action) {
  services_.context.in_background(
      [ring = ring_, set = volumes_, action]() -> Status {
        for (const auto& volume : set.volumes)
          if (Status done =
                  ring->set_update(static_cast<VolumeNumber>(volume.number), action.in_progress, action.era);
              !done)
            return done.error().because("volume " + volume.name + ": update in progress");
        return {};
      },
      [this, self = shared_from_this()](const Status& done) {
        if (stopped_)
          return;
        if (!done)
          step(target::ApplyFailed{done.error().text()});
        actions_.passed_barrier();
      });
  return false;
}

bool TargetRuntime::execute(target::ApplyRecords& action) {
  io::Applier::Job job;
  job.journal = journal_;
  job.control = ring_;
  job.volumes = disks_;
  for (const auto& volume : volumes_.volumes)
    job.volume_sectors[static_cast<VolumeNumber>(volume.number)] = volume.bytes / 512;
  job.stream = action.stream;
  job.last = action.last;
  job.redo = action.redo;
  applier_->apply(std::move(job),
                  [this, self = shared_from_this(), action](const Result<io::ApplyResult>& result) {
                    if (result)
                      step(target::Applied{action.stream, action.last});
                    else
                      step(target::ApplyFailed{result.error().text()});
                  });
  return true;
}

bool TargetRuntime::execute(target::ReckonOwnDirty& action) {
  services_.context.in_background(
      [ring = ring_, set = volumes_, since = action.since] { return dirty_extents(*ring, set, since); },
      [this, self = shared_from_this(), action](Result<std::vector<format::Extent>> dirty) {
        if (dirty)
          step(target::OwnDirty{action.ticket, std::move(*dirty)});
        else
          fail("cannot read the region map of group " + row_.name + ": " + dirty.error().text(),
               "look at the kernel's log");
      });
  return true;
}

bool TargetRuntime::execute(target::SendMessage& action) {
  if (io::Link* link = services_.peers.link(pair_.source))
    link->send(format::FrameType::Message, channel_, format::encode_message(action.message));
  return true;
}

bool TargetRuntime::execute(target::CloseLink& action) {
  io::post(services_.context.executor(), [this, self = shared_from_this(), reason = action.reason] {
    if (!stopped_)
      services_.sessions.close(row_.name, pair_.source, reason);
  });
  return true;
}

// Replaced from the loop: this object must not end inside one of its own calls.
bool TargetRuntime::execute(target::BecomePrimary&) {
  takeover_refused_ = nullptr;
  io::post(services_.context.executor(),
           [this, self = shared_from_this()] { services_.become_primary(row_.name); });
  return false;
}

bool TargetRuntime::execute(target::TakeoverRefused& action) {
  if (auto refused = std::move(takeover_refused_))
    refused(Error{ErrorCode::Refused, action.reason, action.next_action});
  takeover_refused_ = nullptr;
  return true;
}

bool TargetRuntime::execute(target::Note& action) {
  services_.context.events.note(action.level, "group " + row_.name, row_.name, action.text);
  return true;
}

} // namespace rc::agent
