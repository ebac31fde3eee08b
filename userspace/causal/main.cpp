// SPDX-License-Identifier: GPL-2.0-or-later
// rc-causal: composes options, writer, image, check and report; maps errors to exit codes.
#include "causal/report.hpp"

#include <csignal>
#include <cstdio>

namespace rc::causal {
namespace {

constexpr int exit_good = 0;
constexpr int exit_violated = 1;
constexpr int exit_usage = 2;
constexpr int exit_cannot = 3;

std::atomic<bool> stop_requested = false;

void on_signal(int) { stop_requested = true; }

int fail(const Error& error) {
  std::fprintf(stderr, "rc-causal: %s\n", error.text().c_str());
  return error.code == ErrorCode::Usage ? exit_usage : exit_cannot;
}

int run(const WriteOptions& options) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};
    action.sa_handler = on_signal;
    ::sigaction(number, &action, nullptr);
  }
  std::signal(SIGPIPE, SIG_IGN);
  const Result<WriteSummary> summary = run_writer(options, stop_requested);
  if (!summary)
    return fail(summary.error());
  std::fputs(write_report(*summary, options).c_str(), options.log == "-" ? stderr : stdout);
  return summary->stats.writes >= options.min_writes ? exit_good : exit_violated;
}

Result<std::vector<LogSection>> load_log(const std::string& path, std::uint64_t offset) {
  const Result<Bytes> bytes = read_whole_file(path);
  if (!bytes)
    return bytes.error();
  if (offset > bytes->size())
    return Error{ErrorCode::Usage, path + " is shorter than --log-offset", ""};
  Result<std::vector<LogSection>> sections = parse_log(ByteView(*bytes).subspan(offset));
  if (!sections)
    return sections.error().because(path);
  return sections;
}

Result<std::optional<AckLog>> load_logs(const VerifyOptions& options) {
  if (options.logs.empty())
    return std::optional<AckLog>();
  std::vector<std::vector<LogSection>> logs;
  for (const std::string& path : options.logs) {
    Result<std::vector<LogSection>> sections = load_log(path, options.log_offset);
    if (!sections)
      return sections.error();
    logs.push_back(std::move(*sections));
  }
  Result<AckLog> joined = join_logs(logs, options.run);
  if (!joined)
    return joined.error();
  return std::optional(std::move(*joined));
}

int run(const VerifyOptions& options) {
  const Result<std::optional<AckLog>> log = load_logs(options);
  if (!log)
    return fail(log.error());
  Shape shape;
  if (*log) {
    shape = (*log)->shape;
  } else {
    std::vector<std::string> paths;
    for (const auto& source : options.devices)
      paths.push_back(source.path);
    const Result<Shape> found = discover(paths, options.run);
    if (!found)
      return fail(found.error());
    shape = *found;
  }
  Image image(shape);
  for (const auto& source : options.devices) {
    if (source.device >= shape.device_total())
      return fail({ErrorCode::Usage,
                   source.path + " would be device " + std::to_string(source.device) + ", the run has " +
                       std::to_string(shape.device_total()),
                   "devices count from 0, host by host"});
    if (const Status status = read_device(source.path, source.device, image); !status)
      return fail(status.error());
  }
  const AckLog* known = *log ? &**log : nullptr;
  const VerifyResult result = judge(image, known, options);
  std::fputs(verify_report(result, image, known, options).c_str(), stdout);
  return result.good ? exit_good : exit_violated;
}

int run(const ReadLogOptions& options) {
  const Result<std::vector<LogSection>> sections = load_log(options.path, options.log_offset);
  if (!sections)
    return fail(sections.error());
  std::fputs(log_report(*sections, options).c_str(), stdout);
  return exit_good;
}

int run(const HelpOptions&) {
  std::fputs(help_text, stdout);
  return exit_good;
}

} // namespace
} // namespace rc::causal

int main(int argc, char** argv) {
  using namespace rc::causal;
  const rc::Result<Options> options = parse_options(std::vector<std::string>(argv + 1, argv + argc));
  if (!options)
    return fail(options.error());
  return std::visit([](const auto& chosen) { return run(chosen); }, *options);
}
