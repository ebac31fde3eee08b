// SPDX-License-Identifier: GPL-2.0-or-later
#include "ctl/wait_condition.hpp"

#include "ctl/terminal.hpp"

namespace rc::ctl {
namespace {

std::string why(const control::PairStatus& pair, const std::string& what) {
  return "pair " + pair.group + "@" + pair.target + " " + what +
         (pair.reason.empty() ? "" : ": " + pair.reason);
}

// Empty: met by this pair.
std::string missing(const control::PairStatus& pair, const Condition& condition) {
  using Kind = Condition::Kind;
  const bool up = pair.link == control::LinkState::Up;
  const bool duplex = pair.state == control::PairState::Duplex;
  switch (condition.kind) {
  case Kind::Connected:
    return up ? "" : why(pair, std::string("has its link ") + control::to_token(pair.link));
  case Kind::Synced:
    if (!duplex)
      return why(pair, std::string("is ") + control::to_token(pair.state));
    return pair.mode == control::Mode::Async || pair.sync == control::SyncState::Current
               ? ""
               : why(pair, "is not current");
  case Kind::LagBelow:
    if (!pair.lag_seconds || pair.lag_at_least)
      return why(pair, "has a lag that is not known");
    return *pair.lag_seconds < condition.lag_seconds
               ? ""
               : why(pair, "lags by " + seconds_text(*pair.lag_seconds));
  case Kind::Drained:
    if (!duplex || !up)
      return why(pair, std::string("is ") + control::to_token(pair.state) + ", link " +
                           control::to_token(pair.link));
    return pair.lag_bytes && *pair.lag_bytes == 0 && !pair.lag_at_least
               ? ""
               : why(pair, "has " + (pair.lag_bytes ? bytes_text(*pair.lag_bytes) : "an unknown amount") +
                               " under way");
  case Kind::Active:
    break;
  }
  return "";
}

} // namespace

Result<Condition> parse_condition(const std::string& text) {
  using Kind = Condition::Kind;
  if (text == "connected")
    return Condition{Kind::Connected};
  if (text == "synced")
    return Condition{Kind::Synced};
  if (text == "drained")
    return Condition{Kind::Drained};
  if (text == "active")
    return Condition{Kind::Active};
  if (text.starts_with("lag<")) {
    const Result<double> seconds = parse_seconds(text.substr(4));
    if (!seconds)
      return seconds.error().because("--for " + text);
    return Condition{Kind::LagBelow, *seconds};
  }
  return Error{ErrorCode::Usage, "--for " + text + " is no condition",
               "one of connected, synced, drained, active, 'lag<5s' (quoted: the shell knows <)"};
}

Judgement judge(const control::StatusReply& report, const Condition& condition, const std::string& group,
                const std::string& node) {
  bool any = false;
  for (const control::GroupStatus& one : report.groups) {
    if (!group.empty() && one.name != group)
      continue;
    if (condition.kind == Condition::Kind::Active) {
      any = true;
      if (one.state != control::GroupState::Active)
        return {false, "group " + one.name + " is " + control::to_token(one.state) +
                           (one.reason.empty() ? "" : ": " + one.reason)};
      continue;
    }
    for (const control::PairStatus& pair : one.pairs) {
      if (!node.empty() && pair.target != node && pair.source != node)
        continue;
      any = true;
      if (const std::string reason = missing(pair, condition); !reason.empty())
        return {false, reason};
    }
  }
  if (any)
    return {true, ""};
  if (condition.kind == Condition::Kind::Active)
    return {false, "there is no such group on this node"};
  return {false, "there is no such pair" + (group.empty() ? "" : " of group " + group)};
}

} // namespace rc::ctl
