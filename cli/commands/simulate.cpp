// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap simulate`: plays lives of simulated volumes on simulated disks that fail, and compares
// every sector with what the contract allows.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "cli/app/interruption.h"
#include "cli/app/output.h"
#include "cli/commands/commands.h"
#include "cli/simulate/progress_bar.h"
#include "cli/simulate/report.h"
#include "sim/batch.h"
#include "sim/failure.h"

namespace dmr::cli {
namespace {

constexpr CommandText kSimulateText{
    .name = "simulate",
    .group = "Other",
    .summary = "Try the engine on simulated disks that fail",
    .explanation =
        "Plays lives of a volume with the engine that serves real ones, on virtual disks and in\n"
        "virtual time: clients read, write and flush, sectors go bad, cables drop out, the power\n"
        "fails in the middle of writes. An oracle that knows every write compares each answer\n"
        "with what docs/contract.md allows. No real disk is touched.\n"
        "\n"
        "The seed decides a run to its last step; the runs have the seeds N, N+1, N+2, ...\n"
        "Without --profile each seed stands for one of the kinds of trouble, in turn.\n"
        "A run that breaks a rule ends the simulation. It is shortened as far as it still fails,\n"
        "told step by step, and the command that repeats it is printed; the exit status is 1.\n"
        "Ctrl-C ends it with the figures so far.",
    .examples =
        "  dm-remap simulate                              1000 runs, seeds drawn at random\n"
        "  dm-remap simulate --seconds 600 --profile power-cuts\n"
        "  dm-remap simulate --seed 4711                  this one run, again\n"
        "  dm-remap simulate --seed 4711 --trace run.txt  and all that happened in it"};

constexpr u64 kNotGiven = ~u64{0};
constexpr u64 kDefaultRuns = 1000;
constexpr u32 kMostJobs = 256;
// A drawn seed is short enough to be typed; any other is as good.
constexpr u64 kDrawnSeeds = 1'000'000'000;

struct SimulateOptions {
  u64 seed = kNotGiven;
  u64 runs = kNotGiven;
  u64 seconds = kNotGiven;
  std::string profile;
  std::string trace;
  std::string only_steps;
  u32 jobs = std::clamp(std::thread::hardware_concurrency(), 1U, kMostJobs);
  bool json = false;
};

Expected<void> check_options(const SimulateOptions& options) {
  if (options.jobs == 0 || options.jobs > kMostJobs) {
    return misused(fmt::format("--jobs is 1 to {}", kMostJobs));
  }
  if (options.runs == 0) return misused("--runs 0 would try nothing");
  if (options.seconds == 0) return misused("--seconds 0 would try nothing");
  if (options.seed == kNotGiven && !options.only_steps.empty()) {
    return misused("--only-steps are the steps of one run: give its --seed, too");
  }
  const bool is_single = !options.trace.empty() || !options.only_steps.empty();
  const bool is_many =
      (options.runs != kNotGiven && options.runs != 1) || options.seconds != kNotGiven;
  if (is_single && is_many) {
    return misused(
        "--trace and --only-steps are about one run: give its --seed, and neither "
        "--runs nor --seconds");
  }
  return {};
}

sim::BatchRequest request_of(const SimulateOptions& options) {
  sim::BatchRequest request{.jobs = options.jobs};
  const bool is_one = options.seed != kNotGiven || !options.trace.empty();
  request.first_seed =
      options.seed != kNotGiven ? options.seed : std::random_device()() % kDrawnSeeds;
  request.runs = options.runs;
  if (options.seconds != kNotGiven) {
    request.seconds = options.seconds;
  } else if (options.runs == kNotGiven) {
    request.runs = is_one ? 1 : kDefaultRuns;
  }
  for (const sim::Profile& profile : sim::profiles()) {
    const bool is_wanted = options.profile.empty() || options.profile == profile.name;
    if (is_wanted) request.profiles.push_back(&profile);
  }
  return request;
}

// One run, of which more may be wanted than that it goes well.
Expected<void> play_one(const SimulateOptions& options, const Interruption& interruption,
                        Simulation& simulation) {
  sim::Plan plan = simulation.request.plan(0);
  std::optional<sim::Steps> only;
  if (!options.only_steps.empty()) {
    only = sim::Steps::parse(options.only_steps, plan.steps);
    if (!only) {
      return misused(
          fmt::format("--only-steps `{}` is no ascending list, such as 3,17,40-42, of "
                      "steps from 1 to {}",
                      options.only_steps, plan.steps));
    }
    plan.only = &*only;
  }
  if (!options.trace.empty()) {
    plan.trace = std::fopen(options.trace.c_str(), "we");
    if (plan.trace == nullptr) return runtime::fail_errno(options.trace, errno);
  }
  const auto begin = std::chrono::steady_clock::now();
  const sim::Outcome outcome = sim::run_isolated(plan);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  if (plan.trace != nullptr) {
    const int error = std::fclose(std::exchange(plan.trace, nullptr)) != 0 ? errno : 0;
    if (error != 0) return runtime::fail_errno(options.trace, error);
  }
  simulation.result.seconds = took.count();
  simulation.result.totals = outcome.totals;
  simulation.result.interrupted = interruption.pending();
  if (!outcome.ok()) {
    simulation.failure = sim::explain(plan, outcome, {}, [&] { return interruption.pending(); });
  }
  return {};
}

void play_many(const Interruption& interruption, Simulation& simulation) {
  const std::function<bool()> stop = [&] { return interruption.pending(); };
  {
    ProgressBar bar(simulation.request);
    simulation.result = sim::run_batch(simulation.request, stop,
                                       [&](const sim::Progress& progress) { bar.show(progress); });
  }
  if (!simulation.result.failed_run) return;
  const sim::Plan plan = simulation.request.plan(*simulation.result.failed_run);
  const sim::Outcome again = sim::run_isolated(plan);
  if (!again.ok()) {
    simulation.failure = sim::explain(plan, again, {}, stop);
    return;
  }
  sim::Failure& failure = simulation.failure.emplace();
  failure.plan = plan;
  failure.outcome.end = sim::End::crash;
  failure.outcome.text = "its process failed or was killed";
  failure.is_repeatable = false;
}

Expected<Exit> simulate(const SimulateOptions& options) {
  if (auto checked = check_options(options); !checked) return std::unexpected(checked.error());
  Interruption interruption;
  Simulation simulation{.request = request_of(options)};
  if (simulation.request.runs == 1) {
    const auto played = play_one(options, interruption, simulation);
    if (!played) return std::unexpected(played.error());
  } else {
    play_many(interruption, simulation);
  }
  if (options.json) {
    print_simulation_json(simulation);
  } else {
    print_simulation(simulation);
  }
  if (simulation.failure) {
    return failed(
        fmt::format("the run with seed {} broke the contract", simulation.failure->plan.seed));
  }
  interruption.obey();
  return Exit::ok;
}

std::vector<std::string> profile_names() {
  std::vector<std::string> names;
  for (const sim::Profile& profile : sim::profiles()) names.emplace_back(profile.name);
  return names;
}

std::string explanation_with_profiles() {
  std::string text =
      fmt::format("{}\n\nThe kinds of trouble for --profile:", kSimulateText.explanation);
  for (const sim::Profile& profile : sim::profiles()) {
    text += fmt::format("\n  {:<16} {}", profile.name, profile.about);
  }
  return text;
}

}  // namespace

void add_simulate(CommandLine& line) {
  const std::string explanation = explanation_with_profiles();
  CommandText text = kSimulateText;
  text.explanation = explanation.c_str();
  Command& command = line.add(text);
  const auto options = std::make_shared<SimulateOptions>();
  command.add_option("--seed", options->seed, "The (first) seed; alone it means this one run")
      ->type_name("N");
  command.add_option("--runs", options->runs, "How many runs; without --seed 1000")->type_name("N");
  command.add_option("--seconds", options->seconds, "Begin no run after so many seconds")
      ->type_name("N");
  add_choice(command, "--profile", options->profile, profile_names(),
             "One kind of trouble instead of all in turn");
  command.add_option("--jobs", options->jobs, "Processes at work; as a rule one a core")
      ->type_name("N");
  command.add_option("--trace", options->trace, "Write down all that happens in one run")
      ->type_name("FILE");
  command
      .add_option("--only-steps", options->only_steps,
                  "Play these steps of the run and leave out the others")
      ->type_name("LIST");
  add_json(command, options->json);
  line.on_run(command, [options] { return simulate(*options); });
}

}  // namespace dmr::cli
