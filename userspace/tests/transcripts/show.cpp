// SPDX-License-Identifier: GPL-2.0-or-later
// What stories print: one line per action, state of a copy, its image, what it lacks.
#include "base/overloaded.hpp"
#include "core/lineage.hpp"
#include "transcripts/world.hpp"

#include <algorithm>

namespace rc::story {
using namespace core;

namespace {

std::string range(Seq first, Seq last) { return std::to_string(first) + ".." + std::to_string(last); }

std::string text_of(const JournalChange& change) {
  std::string text;
  if (change.trim)
    text += " trim<=" + std::to_string(change.trim->through);
  if (change.empty)
    text += " empty";
  if (change.begin)
    text += " begin@" + std::to_string(change.begin->first);
  return text;
}

std::string text_of(const format::GroupState& state) {
  std::string text = " applied=" + rc::to_string(state.position.applied);
  if (state.release)
    text +=
        std::string(state.release->seal ? " seal" : " release") + "<=" + std::to_string(state.release->last);
  if (state.draft)
    text += state.draft->in_place ? " draft(in place)" : " draft";
  if (state.current.value != 0)
    text += " current";
  if (state.closed.value != 0)
    text += " closed@" + std::to_string(state.closed_at);
  if (state.alone)
    text += " alone";
  if (state.takeover)
    text += " takeover";
  if (state.role == format::Role::Primary)
    text += " primary";
  return text;
}

std::string text_of(const format::GroupMessage& message) {
  return std::visit(
      Overloaded{
          [](const format::HelloMessage& m) {
            return "hello applied=" + rc::to_string(m.position.applied) +
                   " durable=" + std::to_string(m.durable) + (m.current ? " current" : "") +
                   (m.closed ? " closed@" + std::to_string(m.closed_at) : "") + (m.draft ? " draft" : "");
          },
          [](const format::ResumeMessage& m) { return "resume from " + std::to_string(m.from); },
          [](const format::ResyncMessage&) { return std::string("resync"); },
          [](const format::ResyncReadyMessage& m) {
            return "ready agreed=" + (m.full ? "nothing" : rc::to_string(m.agreed)) +
                   " dirty=" + std::to_string(m.dirty.size()) +
                   (m.draft ? " draft broken at " + rc::to_string(m.draft->broken_at) : "");
          },
          [](const format::AttachMessage& m) {
            return "attach from " + std::to_string(m.from) + " copy=" + std::to_string(m.copy_bytes >> 12) +
                   " regions" + (m.keep_draft ? " keep draft" : "");
          },
          [](const format::WatermarksMessage&) { return std::string(); },
          [](const format::ChallengeMessage&) { return std::string(); },
          [](const format::ChallengeAnswerMessage&) { return std::string(); },
          [](const format::CurrentMessage& m) { return "current since " + rc::to_string(m.since); },
          [](const format::CurrentStoredMessage&) { return std::string("current stored"); },
          [](const format::NotCurrentMessage& m) {
            return "not current, closed@" + std::to_string(m.closed_at) + ": " + m.reason;
          },
          [](const format::GenerationMessage& m) { return "generation " + core::to_string(m.lineage); },
          [](const format::RefusedMessage& m) { return "refused: " + m.reason; },
          [](const format::RecordsMessage&) { return std::string("records"); },
      },
      message);
}
} // namespace

std::string describe(const source::Action& action) {
  return std::visit(
      Overloaded{
          [](const source::StoreState& a) { return "store" + text_of(a.state) + text_of(a.journal); },
          [](const source::LoadVolumes& a) { return "load generation " + std::to_string(a.generation); },
          [](const source::AttachRing&) { return std::string("attach ring"); },
          [](const source::StartStream&) { return std::string("start stream"); },
          [](const source::FreeRing& a) { return "free " + std::to_string(a.freed); },
          [](const source::AckRing&) { return std::string(); },
          [](const source::SetSync& a) { return std::string(a.wait ? "sync wait" : "sync off"); },
          [](const source::PutCheckpoint&) { return std::string(); },
          [](const source::SendRecords& a) {
            return "to " + std::to_string(a.link) + ": records " + range(a.first, a.last) +
                   (a.from == source::SendRecords::From::Spill ? " from the spill" : "");
          },
          [](const source::SendMessage& a) {
            const std::string text = text_of(a.message);
            return text.empty() ? text : "to " + std::to_string(a.link) + ": " + text;
          },
          [](const source::CloseLink& a) { return "close " + std::to_string(a.link) + ": " + a.reason; },
          [](const source::SpillRecords& a) { return "spill " + range(a.first, a.last); },
          [](const source::TrimSpill& a) { return "trim spill<=" + std::to_string(a.through); },
          [](const source::ReckonDirty& a) { return "reckon since " + rc::to_string(a.since); },
          [](const source::CopyRegion& a) {
            return "copy " + std::to_string(a.volume) + ":" + std::to_string(a.sector / region_sectors) +
                   " for " + std::to_string(a.link);
          },
          [](const source::PutEndOfCopying& a) { return "end of copying for " + std::to_string(a.link); },
          [](const source::StaleGeneration& a) { return "STALE: " + a.reason; },
          [](const source::TellCopyset&) { return std::string("tell the copyset"); },
          [](const source::Note& a) { return "note: " + a.text; },
      },
      action);
}

std::string describe(const target::Action& action) {
  return std::visit(
      Overloaded{
          [](const target::StoreState& a) { return "store" + text_of(a.state) + text_of(a.journal); },
          [](const target::AppendJournal& a) {
            return "append " + range(a.message->records.front().seq, a.message->records.back().seq);
          },
          [](const target::SetUpdateInProgress& a) {
            return std::string(a.in_progress ? "update in progress" : "update done");
          },
          [](const target::ApplyRecords& a) {
            return "apply <=" + std::to_string(a.last) + (a.redo ? " (redo)" : "");
          },
          [](const target::ReckonOwnDirty& a) { return "reckon since " + rc::to_string(a.since); },
          [](const target::SendMessage& a) {
            const std::string text = text_of(a.message);
            return text.empty() ? text : "say " + text;
          },
          [](const target::CloseLink& a) { return "close: " + a.reason; },
          [](const target::BecomePrimary&) { return std::string("become primary"); },
          [](const target::TakeoverRefused& a) { return "takeover refused: " + a.reason; },
          [](const target::TellCopyset&) { return std::string("tell the copyset"); },
          [](const target::Note& a) { return "note: " + a.text; },
      },
      action);
}

std::string World::image(const std::string& name) const {
  const Node& node = nodes_.at(name);
  const Volumes& volumes = name == primary_ ? node.kernel.volumes : node.copy.volumes;
  std::string text;
  for (const auto& [number, volume] : volumes) {
    text += (number != 0 ? " |" : "");
    for (const Region& region : volume)
      text += ' ' + std::to_string(region.value);
  }
  return text;
}

std::string World::show(const std::string& name) {
  Node& it = node(name);
  if (name == primary_) {
    if (!it.source)
      return name + ": down\n";
    const SourceStatus s = it.source->status(now());
    std::string text = name + ": " + s.state + (s.alone ? " ALONE" : "") + (s.spilling ? " spilling" : "") +
                       (s.reason.empty() ? "" : " (" + s.reason + ")") + "\n";
    for (const LinkStatus& link : s.links)
      text += "  " + link.peer + " " + to_string(link.state) +
              (link.mode == LinkMode::Sync ? std::string(" sync ") + to_string(link.sync)
                                           : std::string(" async")) +
              ": " + link.reason + "\n";
    return text;
  }
  if (!it.target)
    return name + ": down\n";
  const TargetStatus s = it.target->status(now());
  return name + ": " + to_string(s.state) + " applied=" + rc::to_string(s.position.applied) +
         " durable=" + std::to_string(s.durable) + (s.restartable ? "" : " no-image") +
         (s.current ? " CURRENT" : "") + (s.was_current ? " was-current" : "") + (s.draft ? " draft" : "") +
         (it.copy.update_in_progress ? " update-in-progress" : "") + "\n";
}

std::string World::compare(const std::string& name) {
  const Volumes& ours = primary().kernel.volumes;
  const Volumes& theirs = node(name).copy.volumes;
  std::string text;
  for (const auto& [number, volume] : ours)
    for (std::size_t i = 0; i < volume.size(); ++i)
      if (volume[i].value != theirs.at(number)[i].value)
        text += " " + std::to_string(number) + ":" + std::to_string(i);
  return text.empty() ? "identical\n" : "DIFFER at" + text + "\n";
}

// A write that was acknowledged by the sync site and not overwritten at its primary since must be there.
std::string World::lost(const std::string& name) {
  const Volumes& there = name == primary_ ? node(name).kernel.volumes : node(name).copy.volumes;
  std::string text;
  for (const auto& [other, each] : nodes_) {
    const auto& acked = each.kernel.completed_acked;
    for (const auto& [number, volume] : each.kernel.volumes)
      for (std::size_t i = 0; i < volume.size(); ++i)
        if (std::find(acked.begin(), acked.end(), volume[i].value) != acked.end() &&
            there.at(number)[i].value != volume[i].value)
          text += " " + std::to_string(volume[i].value);
  }
  return text.empty() ? "none\n" : "LOST" + text + "\n";
}

} // namespace rc::story
