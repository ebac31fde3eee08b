// SPDX-License-Identifier: GPL-2.0-or-later
// What completion logs say: the acknowledged writes of one run, over the logs of all its hosts.
// A damaged log is an error, never a shorter log: only the torn end of a section (a power cut) is let pass.
#pragma once

#include "causal/log_format.hpp"

#include <vector>

namespace rc::causal {

struct LogSection {
  LogHeader header;
  std::vector<Completion> completions; // in the order of the log; per lane 1, 2, 3... without a gap
  std::uint64_t ended_ns = 0;          // 0: the writer did not end by itself
  std::size_t torn_bytes = 0;          // of a record cut off at the end
};

// All sections of one file's bytes. Corrupt: a record in the middle is damaged, a lane has a gap, or a record
// names another place than its number has.
Result<std::vector<LogSection>> parse_log(ByteView bytes);

struct AckLog {
  Shape shape;
  std::uint64_t started_ns = 0;        // the earliest start
  std::vector<Completion> completions; // of all hosts, by completion time
  std::vector<std::uint32_t> acked;    // highest number of each lane
  std::size_t hosts_missing = 0;       // hosts of the run without a log
};

// Joins the sections of one run. `run` 0: the run of the last section of the first log. NotFound: no such
// section. Corrupt: two sections of the same run and host, or shapes that differ.
Result<AckLog> join_logs(const std::vector<std::vector<LogSection>>& logs, std::uint64_t run);

Result<Bytes> read_whole_file(const std::string& path);

} // namespace rc::causal
