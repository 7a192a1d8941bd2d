// SPDX-License-Identifier: GPL-2.0-or-later
// The named limits of the FUSE export.
#pragma once

#include <chrono>
#include <cstddef>

#include "core/base/types.h"

namespace dmr::fuse {

// Of one read or write request. Half of what its pages could hold: the kernel ends a request where
// the pages end, and where a program's memory is not aligned that would be within a sector.
inline constexpr u32 kMaxTransferBytes = 512U << 10;
inline constexpr u32 kMaxRequestPages = 256;  // the kernel's own limit
// A request is read so that a write's data begins at a page: behind its two headers.
inline constexpr std::size_t kHeaderBytes = 80;
inline constexpr std::size_t kPageBytes = 4096;
inline constexpr std::size_t kSlotBytes = kPageBytes + kMaxTransferBytes;
inline constexpr unsigned kSlots = 64;           // requests of one worker; memory only once used
inline constexpr unsigned kMaxBatch = 16;        // requests read before the queue gets them
inline constexpr unsigned kMaxWorkers = 4;       // more than that only wake each other
inline constexpr unsigned kMaxBackground = 256;  // asynchronous requests that the kernel sends
inline constexpr unsigned kLoopAttempts = 16;    // others may take the free loop device first
// How long a mount that was seen dead may take to go away.
inline constexpr std::chrono::seconds kUnmountPatience{10};

}  // namespace dmr::fuse
