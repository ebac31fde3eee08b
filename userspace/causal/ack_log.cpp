// SPDX-License-Identifier: GPL-2.0-or-later
#include "causal/ack_log.hpp"

#include <algorithm>
#include <fcntl.h>
#include <unistd.h>

namespace rc::causal {
namespace {

Error corrupt(std::size_t at, const std::string& why) {
  return {ErrorCode::Corrupt, "completion log, byte " + std::to_string(at) + ": " + why,
          "nothing can be proven with a damaged log; check how it left the machine"};
}

std::size_t next_header(ByteView bytes, std::size_t from) {
  while (from + log_header_bytes <= bytes.size() && !decode_log_header(bytes.subspan(from)))
    from++;
  return from + log_header_bytes <= bytes.size() ? from : bytes.size();
}

// Reads records from `at` until the section ends; returns where the next header (or the end) is.
Result<std::size_t> parse_records(ByteView bytes, std::size_t at, LogSection& section) {
  const Shape& shape = section.header.shape;
  std::vector<std::uint32_t> next(shape.lane_total(), 1);
  while (at < bytes.size()) {
    const std::optional<LogRecord> record = decode_log_record(bytes.subspan(at));
    if (!record) {
      const std::size_t header = next_header(bytes, at);
      section.torn_bytes = header - at;
      if (section.torn_bytes >= log_record_bytes)
        return corrupt(at, std::to_string(section.torn_bytes) + " bytes that are no records");
      return header;
    }
    if (section.ended_ns != 0)
      return corrupt(at, "a record after the end of its section");
    at += log_record_bytes;
    if (!record->completion) {
      section.ended_ns = record->end.ended_ns;
      continue;
    }
    const Completion& done = *record->completion;
    if (done.id.lane / shape.lanes != section.header.host)
      return corrupt(at, "a record of lane " + std::to_string(done.id.lane) + ", which is not of this host");
    if (done.id.number != next[done.id.lane]++)
      return corrupt(at, "lane " + std::to_string(done.id.lane) + " has number " +
                             std::to_string(done.id.number) + " where " +
                             std::to_string(next[done.id.lane] - 1) + " is due");
    if (done.place != shape.place_of(done.id))
      return corrupt(at, "a record names a place that its write does not have");
    section.completions.push_back(done);
  }
  return at;
}

} // namespace

Result<std::vector<LogSection>> parse_log(ByteView bytes) {
  std::vector<LogSection> sections;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::optional<LogHeader> header = decode_log_header(bytes.subspan(at));
    if (!header) {
      // A start that was cut off in the middle of its header has acknowledged nothing.
      if (bytes.size() - at < log_header_bytes)
        break;
      return corrupt(at, "no log header");
    }
    LogSection section{.header = *header};
    const Result<std::size_t> next = parse_records(bytes, at + log_header_bytes, section);
    if (!next)
      return next.error();
    sections.push_back(std::move(section));
    at = *next;
  }
  return sections;
}

Result<AckLog> join_logs(const std::vector<std::vector<LogSection>>& logs, std::uint64_t run) {
  if (run == 0 && !logs.empty() && !logs[0].empty())
    run = logs[0].back().header.shape.run;
  AckLog joined;
  std::vector<bool> seen;
  for (const auto& log : logs) {
    for (const LogSection& section : log) {
      const LogHeader& header = section.header;
      if (header.shape.run != run)
        continue;
      if (seen.empty()) {
        joined.shape = header.shape;
        joined.started_ns = header.started_ns;
        joined.acked.resize(header.shape.lane_total());
        seen.resize(header.shape.hosts);
      }
      if (joined.shape != header.shape)
        return Error{ErrorCode::Corrupt, "the logs of run " + hex(run) + " disagree about its shape",
                     "start all hosts of a run with the same options"};
      if (seen[header.host])
        return Error{ErrorCode::Corrupt,
                     "host " + std::to_string(header.host) + " has two logs of run " + hex(run),
                     "give each start a run id of its own and each log once"};
      seen[header.host] = true;
      joined.started_ns = std::min(joined.started_ns, header.started_ns);
      joined.completions.insert(joined.completions.end(), section.completions.begin(),
                                section.completions.end());
    }
  }
  if (seen.empty())
    return Error{ErrorCode::NotFound, run == 0 ? "the log holds no run" : "no log holds run " + hex(run),
                 "name the log of the run that wrote these devices"};
  joined.hosts_missing = static_cast<std::size_t>(std::count(seen.begin(), seen.end(), false));
  std::stable_sort(joined.completions.begin(), joined.completions.end(),
                   [](const Completion& a, const Completion& b) { return a.done_ns < b.done_ns; });
  for (const Completion& done : joined.completions)
    joined.acked[done.id.lane] = std::max(joined.acked[done.id.lane], done.id.number);
  return joined;
}

Result<Bytes> read_whole_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return errno_error("open " + path);
  Bytes bytes;
  for (;;) {
    constexpr std::size_t step = 1 << 20;
    const std::size_t before = bytes.size();
    bytes.resize(before + step);
    const ssize_t got = ::read(fd, bytes.data() + before, step);
    if (got < 0 && errno != EINTR) {
      const Error error = errno_error("read " + path);
      ::close(fd);
      return error;
    }
    bytes.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0)
      break;
  }
  ::close(fd);
  return bytes;
}

} // namespace rc::causal
