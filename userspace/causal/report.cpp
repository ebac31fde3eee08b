// SPDX-License-Identifier: GPL-2.0-or-later
#include "causal/report.hpp"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace rc::causal {
namespace {

using Json = nlohmann::ordered_json;

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string name(WriteId id) {
  return "lane " + std::to_string(id.lane) + " number " + std::to_string(id.number);
}
std::string name(Place place) {
  return "device " + std::to_string(place.device) + " block " + std::to_string(place.slot);
}

Json json_of(const Shape& shape) {
  return {{"run", hex(shape.run)}, {"seed", shape.seed},       {"hosts", shape.hosts},
          {"lanes", shape.lanes},  {"devices", shape.devices}, {"span_bytes", shape.device_bytes()}};
}

Json json_of(WriteId id, Place place) {
  return {{"lane", id.lane}, {"number", id.number}, {"device", place.device}, {"block", place.slot}};
}

Json json_of(const std::vector<Fault>& faults) {
  Json list = Json::array();
  for (const Fault& fault : faults) {
    if (list.size() == shown_max)
      break;
    list.push_back({{"device", fault.place.device}, {"block", fault.place.slot}, {"what", fault.story}});
  }
  return list;
}

} // namespace

std::string write_report(const WriteSummary& summary, const WriteOptions& options) {
  const BoardStats& stats = summary.stats;
  const bool enough = stats.writes >= options.min_writes;
  const double per_second = summary.seconds > 0 ? static_cast<double>(stats.writes) / summary.seconds : 0;
  if (options.json) {
    Json json = json_of(summary.shape);
    json.update({{"host", summary.host},
                 {"writes", stats.writes},
                 {"bytes", stats.bytes},
                 {"seconds", summary.seconds},
                 {"writes_per_s", per_second},
                 {"longest_write_ms", static_cast<double>(stats.longest_write_us) / 1e3},
                 {"longest_stall_ms", static_cast<double>(stats.longest_stall_ns) / 1e6},
                 {"log_batches", stats.log_batches},
                 {"retried", summary.retried},
                 {"messages_sent", summary.messages_sent},
                 {"messages_received", summary.messages_received},
                 {"min_writes", options.min_writes},
                 {"ok", enough}});
    return json.dump() + "\n";
  }
  std::string text = "run " + hex(summary.shape.run) + " host " + std::to_string(summary.host) + ": " +
                     std::to_string(stats.writes) + " writes, " + std::to_string(stats.bytes) + " bytes in " +
                     fixed(summary.seconds, 2) + " s (" + fixed(per_second, 0) +
                     " writes/s), longest write " + fixed(stats.longest_write_us / 1e3, 1) +
                     " ms, longest stall " + fixed(static_cast<double>(stats.longest_stall_ns) / 1e6, 1) +
                     " ms\n";
  if (summary.retried > 0)
    text += std::to_string(summary.retried) + " failed attempts were repeated\n";
  if (!enough)
    text += "TOO FEW: at least " + std::to_string(options.min_writes) + " writes were asked for\n";
  return text;
}

VerifyResult judge(const Image& image, const AckLog* log, const VerifyOptions& options) {
  VerifyResult result{check(image, log, options.until_ns)};
  const Verdict& verdict = result.verdict;
  result.good = verdict.causal() && image.torn().empty() && image.misplaced().empty() &&
                (!options.acknowledged_all || verdict.lost == 0) &&
                verdict.contained >= options.min_contained;
  return result;
}

std::string verify_report(const VerifyResult& result, const Image& image, const AckLog* log,
                          const VerifyOptions& options) {
  const Verdict& verdict = result.verdict;
  const Shape& shape = image.shape();
  const std::uint64_t devices_unread = shape.device_total() - options.devices.size();
  if (options.json) {
    Json json = json_of(shape);
    json.update({{"ok", result.good},
                 {"causal", verdict.causal()},
                 {"blocks_read", image.read()},
                 {"writes_seen", image.whole()},
                 {"contained", verdict.contained},
                 {"missing", verdict.missing},
                 {"torn", image.torn().size()},
                 {"misplaced", image.misplaced().size()},
                 {"devices_unread", devices_unread},
                 {"unread", verdict.unread},
                 {"frontier", verdict.frontier}});
    if (log)
      json.update({{"acknowledged", verdict.acknowledged},
                   {"lost", verdict.lost},
                   {"lost_bytes", verdict.lost_bytes},
                   {"rpo_s", verdict.rpo_s},
                   {"log_behind", verdict.log_behind},
                   {"log_hosts_missing", log->hosts_missing}});
    Json missing = Json::array();
    for (const Missing& one : verdict.first_missing) {
      Json entry = json_of(one.id, one.place);
      entry["needed_by"] = json_of(one.needed_by, one.needed_by_place);
      missing.push_back(entry);
    }
    Json lost = Json::array();
    for (const Completion& done : verdict.first_lost) {
      Json entry = json_of(done.id, done.place);
      entry["done_ns"] = done.done_ns;
      lost.push_back(entry);
    }
    json.update({{"first_missing", missing},
                 {"first_lost", lost},
                 {"first_torn", json_of(image.torn())},
                 {"first_misplaced", json_of(image.misplaced())}});
    return json.dump() + "\n";
  }

  std::string text = "run " + hex(shape.run) + ": " + std::to_string(image.read()) + " blocks read, " +
                     std::to_string(image.whole()) + " of the run; " + std::to_string(verdict.contained) +
                     " writes contained\n";
  for (const Missing& one : verdict.first_missing) {
    text += "MISSING " + name(one.id) + " at " + name(one.place) + ": ";
    text += image.content(one.place) == Content::Whole  ? "there is " + name(image.version(one.place))
            : image.content(one.place) == Content::Torn ? std::string("there is a torn block")
                                                        : std::string("there is older content");
    text += "; but " + name(one.needed_by) + " at " + name(one.needed_by_place) + " depends on it\n";
  }
  if (verdict.missing > verdict.first_missing.size())
    text += "... " + std::to_string(verdict.missing) + " missing in all\n";
  for (std::size_t i = 0; i < std::min(shown_max, image.torn().size()); i++)
    text += "TORN " + name(image.torn()[i].place) + ": " + image.torn()[i].story + "\n";
  for (std::size_t i = 0; i < std::min(shown_max, image.misplaced().size()); i++)
    text += "MISPLACED " + name(image.misplaced()[i].place) + ": " + image.misplaced()[i].story + "\n";
  if (log) {
    text += std::to_string(verdict.acknowledged) + " acknowledged, " + std::to_string(verdict.lost) +
            " lost (" + std::to_string(verdict.lost_bytes) + " bytes), RPO " + fixed(verdict.rpo_s, 3) +
            " s\n";
    if (options.acknowledged_all)
      for (const Completion& done : verdict.first_lost)
        text += "LOST " + name(done.id) + " at " + name(done.place) + ", completed at " +
                std::to_string(done.done_ns) + "\n";
    if (verdict.log_behind > 0)
      text += "the log lacks " + std::to_string(verdict.log_behind) +
              " writes that had completed: its end was lost, losses may be more than counted\n";
    if (log->hosts_missing > 0)
      text += "no log of " + std::to_string(log->hosts_missing) + " hosts: their losses are not counted\n";
  }
  if (devices_unread > 0)
    text += std::to_string(devices_unread) +
            " devices of the run were not given: " + std::to_string(verdict.unread) +
            " writes on them were not judged\n";
  if (verdict.contained < options.min_contained)
    text += "TOO FEW: at least " + std::to_string(options.min_contained) + " writes should be contained\n";
  text += std::string(verdict.causal() ? "causal" : "NOT CAUSAL") +
          (image.torn().empty() ? "" : ", " + std::to_string(image.torn().size()) + " torn") +
          (image.misplaced().empty() ? "" : ", " + std::to_string(image.misplaced().size()) + " misplaced") +
          (result.good ? ": ok\n" : ": FAILED\n");
  return text;
}

std::string log_report(const std::vector<LogSection>& sections, const ReadLogOptions& options) {
  std::string text;
  for (const LogSection& section : sections) {
    const Shape& shape = section.header.shape;
    if (options.run != 0 && options.run != shape.run)
      continue;
    std::uint64_t bytes = 0;
    std::uint64_t newest = section.header.started_ns;
    std::uint64_t stall = 0;
    std::uint64_t stall_at = newest;
    std::vector<Completion> by_time = section.completions;
    std::stable_sort(by_time.begin(), by_time.end(),
                     [](const Completion& a, const Completion& b) { return a.done_ns < b.done_ns; });
    for (const Completion& done : by_time) {
      bytes += shape.size_at(done.place.slot);
      if (done.done_ns > newest && done.done_ns - newest > stall) {
        stall = done.done_ns - newest;
        stall_at = newest;
      }
      newest = std::max(newest, done.done_ns);
      if (options.records && options.json) {
        Json json = json_of(done.id, done.place);
        json.update({{"bytes", shape.size_at(done.place.slot)},
                     {"done_ns", done.done_ns},
                     {"took_us", done.took_us},
                     {"flushed", done.flushed}});
        text += json.dump() + "\n";
      } else if (options.records) {
        text += std::to_string(done.done_ns) + " " + name(done.id) + " " + name(done.place) + " " +
                std::to_string(shape.size_at(done.place.slot)) + " bytes, " + std::to_string(done.took_us) +
                " us" + (done.flushed ? ", flushed\n" : "\n");
      }
    }
    const double seconds = static_cast<double>(newest - section.header.started_ns) * 1e-9;
    if (options.json) {
      Json json = json_of(shape);
      json.update({{"host", section.header.host},
                   {"acknowledged", section.completions.size()},
                   {"bytes", bytes},
                   {"started_ns", section.header.started_ns},
                   {"newest_ns", newest},
                   {"seconds", seconds},
                   {"longest_stall_ms", static_cast<double>(stall) / 1e6},
                   {"longest_stall_from_ns", stall_at},
                   {"ended", section.ended_ns != 0},
                   {"torn_bytes", section.torn_bytes}});
      text += json.dump() + "\n";
    } else {
      text += "run " + hex(shape.run) + " host " + std::to_string(section.header.host) + ": " +
              std::to_string(section.completions.size()) + " acknowledged, " + std::to_string(bytes) +
              " bytes in " + fixed(seconds, 2) + " s, longest stall " +
              fixed(static_cast<double>(stall) / 1e6, 1) + " ms, " +
              (section.ended_ns ? "ended by itself" : "cut off") + "\n";
    }
  }
  return text;
}

} // namespace rc::causal
