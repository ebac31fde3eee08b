// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/sim/runner.hpp"

#include "tests/sim/cluster.hpp"
#include "tests/sim/fleet.hpp"
#include "tests/sim/stories.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/wait.h>
#include <unistd.h>

namespace rc::sim {

namespace {

struct History {
  std::string failure; // empty: passed
  std::uint64_t events = 0;
};

const std::vector<std::string>* shown_trace = nullptr; // printed when an assertion breaks
std::size_t shown_lines = 0;

void print_trace(const std::vector<std::string>& all, std::size_t lines) {
  for (std::size_t n = all.size() > lines ? all.size() - lines : 0; n < all.size(); ++n)
    std::printf("  %s\n", all[n].c_str());
}

void on_abort(int) {
  if (shown_trace)
    print_trace(*shown_trace, shown_lines);
  std::printf("  an assertion of the core broke (see above)\n");
  std::fflush(stdout);
  std::_Exit(3);
}

History run_history(const RunOptions& options, std::uint64_t seed, Counters& counters,
                    std::size_t trace_lines) {
  core_mutate(options.mutation);
  Random random(seed);
  ClusterSettings settings = draw_settings(random);
  settings.length = options.seconds * second;
  settings.mutation = options.model;
  settings.check_gate = options.mutation != core::Mutation::NoGate;
  const Story* story = options.story.empty() ? nullptr : find_story(options.story);
  if (story)
    settings = story->settings(settings);
  const auto tell = [&](auto& cluster, auto&& what) {
    History history;
    shown_trace = trace_lines ? &cluster.lines() : nullptr;
    shown_lines = trace_lines;
    try {
      what();
      if (!story && cluster.scheduler().now() < settings.length)
        throw Violation("length", "the history was too short");
    } catch (const std::exception& broken) {
      history.failure = broken.what();
      if (history.failure.empty())
        history.failure = "?";
    }
    history.events = cluster.scheduler().done();
    if (trace_lines)
      print_trace(cluster.lines(), trace_lines);
    shown_trace = nullptr;
    return history;
  };
  if (options.groups > 1 && !story) {
    settings = draw_copyset(settings, options.groups, random);
    Fleet fleet(seed, settings, random, counters, trace_lines > 0);
    return tell(fleet, [&] { fleet.run(); });
  }
  Cluster cluster(seed, settings, random, counters, trace_lines > 0);
  return tell(cluster, [&] { story ? story->tell(cluster) : cluster.run(); });
}

// The child: one line for each thing that happens.
[[noreturn]] void run_child(const RunOptions& options, std::uint64_t from, std::uint64_t to, int out) {
  FILE* pipe = fdopen(out, "w");
  setvbuf(pipe, nullptr, _IOLBF, 1 << 16);
  Counters counters;
  const auto send_counters = [&] {
    for (const auto& [name, count] : counters.all())
      std::fprintf(pipe, "C %llu %s\n", static_cast<unsigned long long>(count), name.c_str());
    counters = {};
  };
  for (std::uint64_t seed = from; seed < to; ++seed) {
    std::fprintf(pipe, "B %llu\n", static_cast<unsigned long long>(seed));
    const History history = run_history(options, seed, counters, 0);
    send_counters();
    std::string reason = history.failure;
    for (char& c : reason)
      if (c == '\n')
        c = ' ';
    std::fprintf(pipe, "E %llu %s\n", static_cast<unsigned long long>(history.events), reason.c_str());
    if (!reason.empty() && options.stop_at_first)
      break;
  }
  std::fclose(pipe);
  std::_Exit(0);
}

} // namespace

RunResult run_seeds(const RunOptions& options) {
  RunResult result;
  std::uint64_t next = options.first;
  const std::uint64_t end = options.first + options.seeds;
  while (next < end && !(options.stop_at_first && !result.failures.empty())) {
    int ends[2];
    if (pipe(ends) != 0)
      std::abort();
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      close(ends[0]);
      if (freopen("/dev/null", "w", stderr) == nullptr)
        std::_Exit(2);
      run_child(options, next, end, ends[1]);
    }
    close(ends[1]);
    FILE* in = fdopen(ends[0], "r");
    char line[4096];
    bool open = false; // a history began and has not ended
    while (std::fgets(line, sizeof line, in)) {
      line[std::strcspn(line, "\n")] = 0;
      char* rest = nullptr;
      const std::uint64_t number = std::strtoull(line + 2, &rest, 10);
      if (line[0] == 'B') {
        next = number;
        open = true;
      } else if (line[0] == 'C') {
        result.counters.add(rest + 1, number);
      } else if (line[0] == 'E') {
        open = false;
        result.events += number;
        if (rest[0] == ' ' && rest[1]) {
          result.failures.push_back({next, rest + 1});
        } else {
          ++result.passed;
          result.events_least = std::min(result.events_least, number);
        }
        ++next;
      }
    }
    std::fclose(in);
    int status = 0;
    waitpid(child, &status, 0);
    if (open) {
      result.failures.push_back({next, "[assert] the core broke off"});
      ++next;
    }
  }
  return result;
}

bool show_seed(const RunOptions& options, std::size_t lines) {
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    dup2(1, 2);
    std::signal(SIGABRT, on_abort);
    Counters counters;
    const History history = run_history(options, options.first, counters, lines);
    std::printf("  %s\n", history.failure.empty() ? "passed" : history.failure.c_str());
    std::fflush(stdout);
    std::_Exit(history.failure.empty() ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

} // namespace rc::sim
