// SPDX-License-Identifier: GPL-2.0-or-later
// Assertions that stay on in every build: a broken invariant must not reach a disk.
#pragma once

// The host's hook: log file, line and text, then return. The caller traps.
extern "C" void dmr_assertion_failed(const char* file, int line, const char* text);

#define DMR_ASSERT(condition)                               \
  do {                                                      \
    if (!(condition)) [[unlikely]] {                        \
      dmr_assertion_failed(__FILE__, __LINE__, #condition); \
      __builtin_trap();                                     \
    }                                                       \
  } while (false)
