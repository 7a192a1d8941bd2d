// SPDX-License-Identifier: GPL-2.0-or-later
// dm-remap: one program, one subcommand for each thing that a user does with a volume.
#include <cstdio>
#include <exception>

#include "cli/app/command_line.h"
#include "cli/commands/commands.h"

int main(int argc, char** argv) {
  try {
    dmr::cli::CommandLine line;
    dmr::cli::add_create(line);
    dmr::cli::add_start(line);
    dmr::cli::add_stop(line);
    dmr::cli::add_list(line);
    dmr::cli::add_status(line);
    dmr::cli::add_map(line);
    dmr::cli::add_events(line);
    dmr::cli::add_scrub(line);
    dmr::cli::add_mark(line);
    dmr::cli::add_forget(line);
    dmr::cli::add_import(line);
    dmr::cli::add_export(line);
    dmr::cli::add_check(line);
    dmr::cli::add_repair(line);
    dmr::cli::add_backup(line);
    dmr::cli::add_restore(line);
    dmr::cli::add_dump(line);
    dmr::cli::add_simulate(line);
    dmr::cli::add_completion(line);
    return line.run(argc, argv);
  } catch (const std::exception& error) {
    // Printing more than the buffer holds throws; less is noticed when the program ends.
    const bool is_output = std::ferror(stdout) != 0;
    std::fprintf(stderr, "dm-remap: %s\n",  // fmt::print() would throw again
                 is_output ? "the output could not be written" : error.what());
    return static_cast<int>(dmr::cli::Exit::failed);
  }
}
