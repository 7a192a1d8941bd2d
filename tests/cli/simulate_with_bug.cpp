// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap simulate` alone, of an engine with a deliberate bug: what cannot be read is taken for
// zeros. For the test of what the command says about a run that fails.
#include "cli/app/command_line.h"
#include "cli/commands/commands.h"
#include "core/base/bugs.h"

int main(int argc, char** argv) {
  dmr::deliberate_bugs[static_cast<dmr::u32>(dmr::Bug::zeros_for_unreadable)] = true;
  dmr::cli::CommandLine line;
  dmr::cli::add_simulate(line);
  return line.run(argc, argv);
}
