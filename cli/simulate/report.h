// SPDX-License-Identifier: GPL-2.0-or-later
// What `dm-remap simulate` prints at its end.
#pragma once

#include <optional>

#include "sim/batch.h"
#include "sim/failure.h"

namespace dmr::cli {

struct Simulation {
  sim::BatchRequest request;
  sim::BatchResult result = {};
  std::optional<sim::Failure> failure = {};
};

void print_simulation(const Simulation& simulation);
void print_simulation_json(const Simulation& simulation);

}  // namespace dmr::cli
