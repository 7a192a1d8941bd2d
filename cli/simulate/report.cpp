// SPDX-License-Identifier: GPL-2.0-or-later
// The table of figures and the story of a failure, for people and as JSON.
#include "cli/simulate/report.h"

#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "cli/app/output.h"
#include "sim/figures.h"

namespace dmr::cli {
namespace {

double runs_per_second(const sim::BatchResult& result) {
  return static_cast<double>(result.totals.runs) / std::max(result.seconds, 0.001);
}

void print_failure(const sim::Failure& failure) {
  fmt::print("{}\n", painted(failure.outcome.summary(), Colour::red));
  fmt::print("seed {}, profile {}: {}\n", failure.plan.seed, failure.plan.profile->name,
             failure.plan.profile->about);
  if (!failure.is_repeatable) {
    fmt::print(
        "It did not happen again when the run was repeated: something else than the seed "
        "decides\nit, or the run was killed from outside. That is a fault of the simulator "
        "or of the engine.\n");
  } else if (failure.steps) {
    fmt::print("{} of its {} steps are enough{}. What happened, by step and virtual time:\n\n",
               failure.steps->list().size(), failure.plan.steps,
               failure.shortest ? "" : " (perhaps fewer: the search was cut short)");
  }
  if (failure.lines_before != 0) fmt::print("  [{} lines before]\n", grouped(failure.lines_before));
  for (const std::string& line : failure.history) fmt::print("  {}\n", line);
  fmt::print("\nTo repeat it:\n  {}\n", painted(failure.command(), Colour::bold));
  fmt::print("With --trace FILE added it writes down all that happened.\n\n");
}

Json json_of(const sim::Failure& failure) {
  return {{"seed", failure.plan.seed},
          {"profile", failure.plan.profile->name},
          {"rule", static_cast<u32>(failure.outcome.rule)},
          {"what", failure.outcome.summary()},
          {"repeatable", failure.is_repeatable},
          {"steps", failure.steps ? Json(failure.steps->list()) : Json(nullptr)},
          {"shortest", failure.shortest},
          {"history", failure.history},
          {"command", failure.command()}};
}

}  // namespace

void print_simulation(const Simulation& simulation) {
  const sim::BatchResult& result = simulation.result;
  if (simulation.failure) print_failure(*simulation.failure);
  const bool is_well = !simulation.failure && !result.interrupted;
  fmt::print("{} from seed {} in {:.1f} s ({:.0f} runs/s){}\n\n",
             counted(result.totals.runs, "run", "runs"), simulation.request.first_seed,
             result.seconds, runs_per_second(result),
             is_well              ? ": " + painted("no rule was broken", Colour::green)
             : simulation.failure ? " went well before that"
                                  : " before the interruption: no rule was broken");
  Table table({{.title = "figure"}, {.title = "count", .right = true}});
  for (const sim::Figure& figure : sim::figures()) {
    table.add({figure.title, grouped(result.totals.*figure.value)});
  }
  table.add({"bytes compared", sectors_size(result.totals.sectors_compared)});
  table.print();
}

void print_simulation_json(const Simulation& simulation) {
  const sim::BatchResult& result = simulation.result;
  Json profiles = Json::array();
  for (const sim::Profile* profile : simulation.request.profiles) {
    profiles.push_back(profile->name);
  }
  Json figures = Json::object();
  for (const sim::Figure& figure : sim::figures()) {
    figures[figure.key] = result.totals.*figure.value;
  }
  print_json({{"first_seed", simulation.request.first_seed},
              {"profiles", profiles},
              {"seconds", result.seconds},
              {"runs_per_second", runs_per_second(result)},
              {"interrupted", result.interrupted},
              {"figures", figures},
              {"failure", simulation.failure ? json_of(*simulation.failure) : Json(nullptr)}});
}

}  // namespace dmr::cli
