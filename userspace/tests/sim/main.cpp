// SPDX-License-Identifier: GPL-2.0-or-later
// Command line of the simulator; scripts/run-sim is the way to call it.
#include "tests/sim/runner.hpp"
#include "tests/sim/stories.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace rc::sim {
namespace {

double seconds_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

std::string repeat_command(const RunOptions& options, std::uint64_t seed) {
  std::string command = "scripts/run-sim --seed " + std::to_string(seed) + " -v";
  if (options.groups != 1)
    command += " --groups " + std::to_string(options.groups);
  if (options.seconds != 60)
    command += " --seconds " + std::to_string(options.seconds);
  if (!options.story.empty())
    command += " --story " + options.story;
  if (options.mutation != core::Mutation::None)
    command += std::string(" --mutation ") + core::to_string(options.mutation);
  if (options.model != ModelMutation::None)
    command += std::string(" --mutation ") + to_string(options.model);
  return command;
}

void print_failure(const RunOptions& options, const Failure& failure) {
  std::printf("seed %llu FAILED: %s\n", static_cast<unsigned long long>(failure.seed),
              failure.reason.c_str());
  RunOptions one = options;
  one.first = failure.seed;
  one.seeds = 1;
  show_seed(one, 40);
  std::printf("  repeat: %s\n", repeat_command(options, failure.seed).c_str());
}

int run(const RunOptions& options, std::size_t show, bool need_counters) {
  const double began = seconds_now();
  RunResult result = run_seeds(options);
  std::uint64_t failed = result.failures.size();
  for (std::size_t n = 0; n < result.failures.size() && n < show; ++n)
    print_failure(options, result.failures[n]);
  std::map<std::string, std::uint64_t> rules;
  for (const Failure& failure : result.failures)
    ++rules[failure.reason.substr(0, failure.reason.find(']') + 1)];
  for (const auto& [rule, count] : rules)
    std::printf("failed by rule %s: %llu\n", rule.c_str(), static_cast<unsigned long long>(count));
  for (std::size_t n = show; n < result.failures.size() && n < 200; ++n)
    std::printf("  %llu %s\n", static_cast<unsigned long long>(result.failures[n].seed),
                result.failures[n].reason.c_str());
  std::printf("counters:");
  std::size_t column = 200;
  for (const auto& [name, count] : result.counters.all()) {
    const std::string text = name + " " + std::to_string(count);
    if (column + text.size() > 110) {
      std::printf("\n  ");
      column = 2;
    }
    std::printf("%s; ", text.c_str());
    column += text.size() + 2;
  }
  const double took = seconds_now() - began;
  std::printf("\n%llu events (at least %llu in a history), %.1f s, %.0f histories a minute\n",
              static_cast<unsigned long long>(result.events),
              static_cast<unsigned long long>(result.events_least), took,
              static_cast<double>(result.passed + failed) * 60 / took);
  constexpr std::uint64_t events_least = 3000;
  if (result.passed && result.events_least < events_least) {
    std::printf("a history had only %llu events: too short to prove anything\n",
                static_cast<unsigned long long>(result.events_least));
    ++failed;
  }
  if (need_counters)
    for (const std::string& name : options.groups > 1 ? expected_of_copysets() : expected_counters())
      if (result.counters.of(name) == 0) {
        std::printf("never happened in the whole run: %s\n", name.c_str());
        ++failed;
      }
  for (const Story& story : stories()) {
    if (!need_counters || options.groups > 1)
      break;
    RunOptions directed = options;
    directed.story = story.name;
    directed.seeds = 25;
    const RunResult told = run_seeds(directed);
    result.passed += told.passed;
    failed += told.failures.size();
    if (!told.failures.empty()) {
      std::printf("story %s:\n", story.name);
      print_failure(directed, told.failures.front());
    }
  }
  std::printf("sim: %llu passed, %llu failed, 0 skipped\n", static_cast<unsigned long long>(result.passed),
              static_cast<unsigned long long>(failed));
  return failed ? 1 : 0;
}

struct Catch {
  bool caught = false;
  std::string how;
};

Catch catch_mutation(RunOptions options, std::uint64_t seeds) {
  options.stop_at_first = true;
  for (const Story& story : stories()) {
    if (story.mutation != options.mutation || options.mutation == core::Mutation::None)
      continue;
    options.story = story.name;
    options.seeds = 5;
    const RunResult told = run_seeds(options);
    if (!told.failures.empty())
      return {true, std::string("story ") + story.name + ", seed " +
                        std::to_string(told.failures.front().seed) + ": " + told.failures.front().reason};
  }
  options.story.clear();
  options.seeds = seeds;
  const RunResult result = run_seeds(options);
  if (result.failures.empty())
    return {false, std::to_string(seeds) + " seeds"};
  return {true,
          "seed " + std::to_string(result.failures.front().seed) + ": " + result.failures.front().reason};
}

int run_mutants(RunOptions options, std::uint64_t seeds, const std::string& only) {
  unsigned passed = 0, failed = 0;
  const auto tell = [&](const std::string& name, const Catch& result, bool wanted) {
    const bool good = result.caught == wanted;
    ++(good ? passed : failed);
    std::printf("%-32s %-11s%s%s\n", name.c_str(), result.caught ? "caught" : "not caught",
                good ? "" : "WRONG ", result.how.substr(0, 150).c_str());
    std::fflush(stdout);
  };
  // A checker that cries wolf would catch everything: unchanged, the same seeds must pass.
  tell("none", catch_mutation(options, std::max<std::uint64_t>(seeds / 10, 50)), false);
  options.groups = 2;
  tell("none, of a copyset", catch_mutation(options, std::max<std::uint64_t>(seeds / 10, 50)), false);
  for (int n = 1; n <= static_cast<int>(core::Mutation::NoGate); ++n) {
    options.mutation = static_cast<core::Mutation>(n);
    if (!only.empty() && only != core::to_string(options.mutation))
      continue;
    const bool control = options.mutation == core::Mutation::NoGate;
    options.groups = core::of_copysets(options.mutation) ? 2 : 1;
    tell(core::to_string(options.mutation), catch_mutation(options, seeds), !control);
  }
  options.mutation = core::Mutation::None;
  options.groups = 1;
  for (const auto model : {ModelMutation::CaptureBeforeOpen, ModelMutation::CloseWithoutFlush,
                           ModelMutation::EraNotStable, ModelMutation::ApplyBeforeMark}) {
    if (!only.empty() && only != to_string(model))
      continue;
    options.model = model;
    tell(to_string(model), catch_mutation(options, seeds), true);
  }
  std::printf("mutants: %u passed, %u failed, 0 skipped\n", passed, failed);
  return failed ? 1 : 0;
}

int usage() {
  std::printf("usage: sim [--seeds N] [--first-seed S] [--seconds T] [--seed X [-v]] [--story NAME] "
              "[--mutation NAME]\n"
              "           [--groups N] [--mutants [--max-seeds N]] [--show N] [--no-counters]\n");
  return 2;
}

} // namespace
} // namespace rc::sim

int main(int argc, char** argv) {
  using namespace rc::sim;
  RunOptions options;
  options.seeds = 100;
  bool mutants = false, one = false, verbose = false, need_counters = true;
  std::uint64_t max_seeds = 1000;
  std::size_t show = 2;
  std::string mutation;
  for (int n = 1; n < argc; ++n) {
    const std::string word = argv[n];
    const bool has = n + 1 < argc;
    const auto number = [&] { return std::strtoull(argv[++n], nullptr, 10); };
    if (word == "--seeds" && has)
      options.seeds = number();
    else if (word == "--first-seed" && has)
      options.first = number();
    else if (word == "--seconds" && has)
      options.seconds = number();
    else if (word == "--groups" && has)
      options.groups = static_cast<int>(number());
    else if (word == "--max-seeds" && has)
      max_seeds = number();
    else if (word == "--show" && has)
      show = number();
    else if (word == "--seed" && has) {
      options.first = number();
      options.seeds = 1;
      one = true;
    } else if (word == "--story" && has)
      options.story = argv[++n];
    else if (word == "--mutation" && has)
      mutation = argv[++n];
    else if (word == "-v")
      verbose = true;
    else if (word == "--mutants")
      mutants = true;
    else if (word == "--no-counters")
      need_counters = false;
    else
      return usage();
  }
  if (!mutation.empty() && !mutants) {
    options.mutation = rc::core::mutation_from(mutation.c_str());
    options.model = model_mutation_from(mutation);
    if (options.mutation != rc::core::Mutation::None && !core_can_mutate()) {
      std::printf("this build has no mutations: run the program sim_mutants\n");
      return 2;
    }
    if (options.mutation == rc::core::Mutation::None && options.model == ModelMutation::None) {
      std::printf("no mutation is called %s\n", mutation.c_str());
      return 2;
    }
  }
  if (!options.story.empty() && !find_story(options.story)) {
    std::printf("no story is called %s\n", options.story.c_str());
    return 2;
  }
  if (mutants)
    return run_mutants(options, max_seeds, mutation);
  if (one && verbose) {
    const bool passed = show_seed(options, ~std::size_t{0} >> 1);
    std::printf("sim: %d passed, %d failed, 0 skipped\n", passed ? 1 : 0, passed ? 0 : 1);
    return passed ? 0 : 1;
  }
  return run(options, show,
             need_counters && !one && options.seeds >= 1000 && options.mutation == rc::core::Mutation::None);
}
