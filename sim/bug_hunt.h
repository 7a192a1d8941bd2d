// SPDX-License-Identifier: GPL-2.0-or-later
// For the tests of the simulator itself: lives of an engine with a deliberate bug. They are played
// in a child process, since the bug may also trip an assertion of the engine, which counts as
// found.
#pragma once

#include <sys/wait.h>

#include <unistd.h>

#include "core/base/bugs.h"
#include "sim/run.h"

namespace dmr::sim {

inline void set_bug(Bug bug, bool on) { deliberate_bugs[static_cast<u32>(bug)] = on; }

// True when `play` said so in the child, and ended without a complaint. A life that hangs counts as
// one that does not go well.
template <class Play>
bool goes_well(const Play& play) {
  constexpr u32 kLimit_s = 60;
  const pid_t child = fork();
  if (child == 0) {
    (void)close(STDERR_FILENO);
    (void)alarm(kLimit_s);
    _exit(play() ? 0 : 1);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return true;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

template <class Play>
bool goes_well_with(Bug bug, const Play& play) {
  set_bug(bug, true);
  const bool well = goes_well(play);
  set_bug(bug, false);
  return well;
}

}  // namespace dmr::sim
