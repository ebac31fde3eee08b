// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/event_log.hpp"

#include "base/log.hpp"

namespace rc::agent {

using control::Severity;

void EventLog::add(Severity severity, control::EventKind kind, const std::string& object,
                   const std::string& group, const std::string& text, const std::string& next_action) {
  const int level = severity == Severity::Error     ? 3
                    : severity == Severity::Warning ? 4
                    : severity == Severity::Notice  ? 5
                                                    : 6;
  log::line(static_cast<log::Level>(level),
            object + ": " + text + (next_action.empty() ? "" : " (" + next_action + ")"));
  control::EventInfo event;
  event.severity = severity;
  event.kind = kind;
  event.object = object;
  event.group = group;
  event.text = text;
  event.next_action = next_action;
  event.id = ++last_;
  event.time = io::utc_now();
  writer_.append(event);
  const auto followers = followers_; // a follower may unfollow while it is told
  for (const auto& [id, follower] : followers)
    if (followers_.contains(id))
      follower(event);
}

void EventLog::note(int level, const std::string& object, const std::string& group, const std::string& text,
                    const std::string& next_action) {
  if (level >= 7) {
    log::debug(object + ": " + text);
    return;
  }
  const Severity severity = level <= 3   ? Severity::Error
                            : level == 4 ? Severity::Warning
                            : level == 5 ? Severity::Notice
                                         : Severity::Info;
  add(severity, control::EventKind::Change, object, group, text, next_action);
}

int EventLog::follow(Follower follower) {
  followers_.emplace(next_id_, std::move(follower));
  return next_id_++;
}

void EventLog::unfollow(int id) { followers_.erase(id); }

} // namespace rc::agent
