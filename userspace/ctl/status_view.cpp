// SPDX-License-Identifier: GPL-2.0-or-later
#include "ctl/status_view.hpp"

#include "ctl/terminal.hpp"

#include <cstdio>

namespace rc::ctl {
namespace {

using control::to_token;

std::string percent(double fraction) {
  char text[16];
  std::snprintf(text, sizeof text, "%.1f %%", fraction * 100);
  return text;
}

std::string checkpoint_text(const control::CheckpointStatus& point) {
  std::string text = std::to_string(point.generation) + "." + std::to_string(point.n);
  if (point.age_seconds)
    text += ", " + seconds_text(*point.age_seconds) + " old";
  else if (!point.time.empty())
    text += " of " + point.time;
  return text;
}

std::string space_text(const char* what, const control::SpaceStatus& space) {
  if (space.bytes == 0)
    return "";
  std::string text = std::string(what) + " " + bytes_text(space.used) + " of " + bytes_text(space.bytes);
  if (space.seconds_to_full)
    text += ", full in " + seconds_text(*space.seconds_to_full);
  return text;
}

std::string join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts)
    if (!part.empty())
      text += (text.empty() ? "" : "; ") + part;
  return text;
}

std::string progress_text(const control::ProgressStatus& progress, int columns, bool with_bar) {
  const double total = static_cast<double>(progress.bytes_total);
  const double fraction = total > 0 ? 1 - static_cast<double>(progress.bytes_left) / total : 0;
  std::string text;
  if (with_bar && columns >= 80)
    text = bar(fraction, columns >= 110 ? 32 : 20) + " ";
  text += percent(fraction) + ", " + bytes_text(progress.bytes_left) + " left";
  if (progress.bytes_per_second > 0)
    text += ", " + bytes_text(static_cast<std::uint64_t>(progress.bytes_per_second)) + "/s";
  text +=
      progress.seconds_left ? ", " + seconds_text(*progress.seconds_left) + " to go" : ", time left unknown";
  return text;
}

std::string sync_text(const control::PairStatus& pair) {
  switch (pair.sync) {
  case control::SyncState::NotSync:
    return "";
  case control::SyncState::Current:
    return "current: a takeover there loses nothing";
  case control::SyncState::NotCurrent:
    return "not current";
  case control::SyncState::Alone:
    return "ALONE: writes complete without this copy";
  }
  return "";
}

void say(std::string& text, const char* indent, const char* word, const std::string& what) {
  if (!what.empty())
    text += std::string(indent) + word + ": " + what + "\n";
}

std::string pair_text(const control::PairStatus& pair, bool outgoing, int columns, bool with_bar) {
  const std::string where =
      outgoing ? "to " + pair.target + (pair.target_site.empty() ? "" : " (" + pair.target_site + ")")
               : "from " + pair.source;
  std::string text = "  lag " + lag_text(pair.lag_seconds, pair.lag_at_least) + "  " + where + "  " +
                     to_token(pair.mode) + "  " + to_token(pair.state);
  if (pair.link != control::LinkState::Up)
    text += std::string("  link ") + to_token(pair.link);
  text += "\n";
  const char* const indent = "      ";
  if (pair.progress)
    text += indent + progress_text(*pair.progress, columns, with_bar) + "\n";
  const std::string facts =
      join({sync_text(pair), pair.complete ? "image " + checkpoint_text(*pair.complete) : "",
            pair.lag_bytes && *pair.lag_bytes > 0 ? bytes_text(*pair.lag_bytes) + " behind" : "",
            pair.journal ? space_text("journal there", *pair.journal) : ""});
  if (!facts.empty())
    text += indent + facts + "\n";
  say(text, indent, "why", pair.reason);
  say(text, indent, "next", pair.next_action);
  return text;
}

std::string image_text(const control::GroupStatus& group) {
  if (group.role != control::Role::Secondary)
    return "";
  if (!group.restartable)
    return "a takeover here is not possible yet";
  return std::string("a takeover here ") + (group.current ? "loses nothing" : "would show checkpoint") +
         (group.image
              ? (group.current ? " (" : " ") + checkpoint_text(*group.image) + (group.current ? ")" : "")
              : "");
}

std::string group_text(const control::StatusReply& report, const control::GroupStatus& group, int columns,
                       bool with_bar) {
  std::string text = "group " + group.name + ": lag " + lag_text(group.lag_seconds, false) + ", " +
                     to_token(group.role) + ", " + to_token(group.state);
  if (group.role == control::Role::Secondary && !group.primary_node.empty())
    text += ", primary is " + group.primary_node;
  text += ", generation " + std::to_string(group.generation) + "\n";
  if (group.alone)
    text += "  ALONE" + (group.alone_since.empty() ? "" : " since " + group.alone_since) +
            ": sync writes complete without the sync site\n";
  say(text, "  ", "why", group.reason);
  say(text, "  ", "next", group.next_action);
  const std::string facts = join({image_text(group), group.ring ? space_text("ring", *group.ring) : "",
                                  group.journal ? space_text("journal", *group.journal) : ""});
  if (!facts.empty())
    text += "  " + facts + "\n";
  if (group.copyset)
    text += "  copyset " + group.copyset->name + ": " + copyset_facts(*group.copyset) + "\n";
  for (const control::VolumeStatus& volume : group.volumes) {
    text += "  " + volume.name + "  " + bytes_text(volume.bytes) + "  " + volume.path;
    text += volume.update_in_progress ? "  update in progress\n" : "\n";
    say(text, "      ", "why", volume.reason);
  }
  for (const control::PairStatus& pair : group.pairs)
    text += pair_text(pair, pair.source == report.node, columns, with_bar);
  if (group.pairs.empty() && group.role == control::Role::Primary)
    text += "  no copy: next: rcctl pair create " + group.name + " --to NODE ...\n";
  return text;
}

} // namespace

std::string status_text(const control::StatusReply& report, int columns, bool with_bar) {
  std::string text = "node " + report.node + ", site " + report.site + ", " + report.time + "\n";
  for (const control::GroupStatus& group : report.groups)
    text += "\n" + group_text(report, group, columns, with_bar);
  if (report.groups.empty())
    text += "no group (next: rcctl group create GROUP --journal PATH)\n";
  bool first = true;
  for (const control::LinkStatus& link : report.links) {
    if (std::exchange(first, false))
      text += "\n";
    text += "link to " + link.node + (link.address.empty() ? "" : " (" + link.address + ")") + ": " +
            to_token(link.state);
    if (link.rtt_seconds) {
      char rtt[32];
      std::snprintf(rtt, sizeof rtt, ", %.1f ms", *link.rtt_seconds * 1000);
      text += rtt;
    }
    if (link.saved_bytes != 0) {
      const auto percent = 100 * link.saved_bytes / (link.saved_bytes + link.sent_bytes);
      text += ", compression saves " + std::to_string(percent) + " %";
    }
    text += "\n";
    if (link.state != control::LinkState::Up) {
      say(text, "  ", "why", link.reason);
      say(text, "  ", "next", link.next_action);
    }
  }
  return text;
}

std::string copyset_facts(const control::CopysetStatus& copyset) {
  std::string text = "epoch " + std::to_string(copyset.epoch);
  text += copyset.step.empty() ? ", led by " + copyset.master : ", leads its site: " + copyset.step;
  if (!copyset.waits.empty())
    text += ", waits for " + copyset.waits;
  if (copyset.checkpoint)
    text += ", last common checkpoint " + std::to_string(copyset.checkpoint->generation) + "." +
            std::to_string(copyset.checkpoint->n) + " (" + std::to_string(copyset.checkpoints) + " made, " +
            std::to_string(copyset.voids) + " not held)";
  if (copyset.hold_seconds) {
    char hold[48];
    std::snprintf(hold, sizeof hold, ", writes held for %.1f ms", *copyset.hold_seconds * 1000);
    text += hold;
  }
  return text;
}

std::string copyset_list_text(const std::vector<control::CopysetInfo>& copysets) {
  std::vector<std::vector<std::string>> rows{{"COPYSET", "EPOCH", "SEATS"}};
  for (const control::CopysetInfo& one : copysets) {
    std::string seats;
    for (const control::SeatInfo& seat : one.seats)
      seats += (seats.empty() ? "" : " ") + seat.group + "@" + seat.site;
    rows.push_back({one.name, one.epoch == 0 ? "-" : std::to_string(one.epoch), seats});
  }
  return copysets.empty() ? "no copyset (next: rcctl copyset create NAME GROUP...)\n" : table(rows);
}

std::string copyset_text(const control::CopysetInfo& copyset) {
  std::vector<std::vector<std::string>> rows{{"SEAT", "NODE", ""}};
  for (const control::SeatInfo& seat : copyset.seats)
    rows.push_back({seat.group + "@" + seat.site, seat.node,
                    std::string(seat.master ? "leads its site" : "") +
                        (seat.master && seat.registrar ? ", " : "") + (seat.registrar ? "registrar" : "")});
  return "copyset " + copyset.name + ", epoch " +
         (copyset.epoch == 0 ? "unknown" : std::to_string(copyset.epoch)) + "\n" + table(rows);
}

std::string takeover_text(const control::TakeoverReply& plan) {
  std::string text;
  const auto& forecast = plan.forecast;
  if (forecast.current)
    text += "loss: none\n";
  else
    text += "loss: " + (forecast.lost_seconds ? seconds_text(*forecast.lost_seconds) : "unknown time") +
            ", " + (forecast.lost_bytes ? bytes_text(*forecast.lost_bytes) : "unknown bytes") +
            (forecast.lost_volumes.empty() ? "" : ", volumes " + join(forecast.lost_volumes)) + "\n";
  if (!forecast.in_words.empty())
    text += "  " + forecast.in_words + "\n";
  for (const control::SiteForecast& site : plan.sites) {
    text += "site " + site.site + (site.node.empty() ? "" : " (node " + site.node + ")") + ": " +
            (site.reachable ? site.image : "not reachable: what it holds is unknown");
    if (site.bytes_beyond && *site.bytes_beyond > 0)
      text += "; holds " + bytes_text(*site.bytes_beyond) + " that this takeover gives up";
    text += "\n";
  }
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const control::PlanStep& step = plan.steps[i];
    rows.push_back({std::to_string(i + 1), to_token(step.state), step.node,
                    step.text + (step.reason.empty() ? "" : ": " + step.reason)});
  }
  return text + table(rows, "  ");
}

std::string event_line(const control::EventInfo& event) {
  std::string text = event.time + "  " + to_token(event.severity) + "  " + to_token(event.kind) + "  " +
                     event.object + ": " + event.text;
  if (!event.next_action.empty())
    text += " (next: " + event.next_action + ")";
  return text;
}

} // namespace rc::ctl
