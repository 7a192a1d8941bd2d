// SPDX-License-Identifier: GPL-2.0-or-later
// Says on stderr which assertion of the engine failed; the engine traps right after.
#include <cstdio>

#include "core/base/assert.h"

extern "C" void dmr_assertion_failed(const char* file, int line, const char* text) {
  std::fprintf(stderr, "dm-remap: assertion failed at %s:%d: %s\n", file, line, text);
  std::fflush(stderr);
}
