// SPDX-License-Identifier: GPL-2.0-or-later
// The subcommands. Each declares its options on the command line and brings its work.
#pragma once

#include "cli/app/command_line.h"

namespace dmr::cli {

void add_create(CommandLine& line);
void add_start(CommandLine& line);
void add_stop(CommandLine& line);
void add_list(CommandLine& line);
void add_status(CommandLine& line);
void add_map(CommandLine& line);
void add_events(CommandLine& line);
void add_scrub(CommandLine& line);
void add_mark(CommandLine& line);
void add_forget(CommandLine& line);
void add_import(CommandLine& line);
void add_export(CommandLine& line);
void add_check(CommandLine& line);
void add_repair(CommandLine& line);
void add_backup(CommandLine& line);
void add_restore(CommandLine& line);
void add_dump(CommandLine& line);
void add_simulate(CommandLine& line);
void add_completion(CommandLine& line);

}  // namespace dmr::cli
