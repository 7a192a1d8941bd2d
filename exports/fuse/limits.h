// SPDX-License-Identifier: GPL-2.0-or-later
// The named limits of the FUSE export.
#pragma once

#include <chrono>
#include <cstddef>

#include "core/base/types.h"

namespace dmr::fuse {

inline constexpr u32 kMaxTransferBytes = 1U << 20;  // of one read or write request
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
