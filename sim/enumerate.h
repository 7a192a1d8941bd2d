// SPDX-License-Identifier: GPL-2.0-or-later
// Not at random but all of it: one small workload with the power cut at every event, with each
// torn write of metadata, with every call of the host failing in turn, and with every metadata
// block gone bad in each way.
#pragma once

#include <string>
#include <string_view>

#include "sim/run.h"

namespace dmr::sim {

struct Enumeration {
  u64 cases = 0;   // lives, or ways to go on from one moment of a life
  u64 points = 0;  // events, calls or places, each of which was tried
  u64 masks = 0;   // torn writes: choices of sectors that the cases stand for
  Violation violation;
  std::string where;  // which case broke it
  std::string history;

  [[nodiscard]] bool ok() const { return violation.rule == Rule::none; }
  [[nodiscard]] std::string text() const;
};

// Every event x `subsets` choices of what of the caches survives: nothing, everything, then random
// ones. The opening after the cut is cut, too, in every second case.
[[nodiscard]] Enumeration enumerate_power_cuts(u64 seed, u32 spares, u32 subsets);

// Every moment at which metadata is being written x every mask of its sectors that are new. Masks
// that leave the same bytes are tried once: `masks` counts them all.
[[nodiscard]] Enumeration enumerate_torn_metadata(u64 seed, u32 spares);

// At each of these moments, with nothing, everything and a random part of the caches kept, the
// opening is cut at each of its own events, and then the next opening must go well.
[[nodiscard]] Enumeration enumerate_recovery_cuts(u64 seed, u32 spares);

// Every call in turn fails, until the workload makes no more of them. An I/O: alone or with the two
// that follow it, with each kind of status. Memory: while the volume opens. A page of the index: it
// never comes. A timer: it is a minute late.
enum class HostCall : u8 { io, memory, page, timer };
[[nodiscard]] Enumeration enumerate_failing_calls(u64 seed, u32 spares, HostCall call);

// Every flush in turn is refused, and what lay in the cache is gone, while users' flushes and the
// engine's own go side by side, with so many timings: what no flush has failed for must be there
// after a power cut, and each checkpoint whole.
[[nodiscard]] Enumeration enumerate_refused_flushes(u64 seed, u32 spares, u32 timings);

// From every flush in turn on, all are refused, and what lay in the cache can be read as long as
// the power stays on. The volume is stopped and started; then the power is cut at every event of a
// checkpoint, and once after the whole workload.
[[nodiscard]] Enumeration enumerate_restarts_after_refusals(u64 seed, u32 spares);

// The set has been left in one of many ways: stopped, without power, stopped with its last flushes
// refused, or with two of them, so that (of one spare) a commit is cancelled in vain. Every I/O and
// every flush of the opening fails in turn, alone or with those behind it, and the power is cut
// after the opening and at every `stride`-th event in it.
[[nodiscard]] Enumeration enumerate_failing_openings(u64 seed, u32 spares, u64 stride);

// The power goes at every `stride`-th event of the workload, and of those behind each commit that
// is refused in turn. Then an opening, one more commit, and a loss: of all spares but one, or of
// one block of a checkpoint.
[[nodiscard]] Enumeration enumerate_losses(u64 seed, u32 spares, u64 stride);

// Bad places on main, and under a moved block: a scrub has to find each. Then with the power cut at
// every `stride`-th event of the scrub, with one choice of the caches in turn, and with every
// `stride`-th I/O of it failing, as above.
[[nodiscard]] Enumeration enumerate_scrubs(u64 seed, u32 spares, u64 stride);

// Every metadata block of every spare x what is wrong with it. The set must open and be right, and
// the damage must be told where it has to be noticed.
enum class BadBlock : u8 { read_error, write_error, lost_write, bit_flip, stale };
[[nodiscard]] std::string_view name_of(BadBlock kind);
[[nodiscard]] Enumeration enumerate_bad_metadata(u64 seed, u32 spares, BadBlock kind);

// A journal that has gone round several times; stopped after each commit, with the newest
// checkpoint damaged (the older one and the journal must do), or with all copies of a needed
// journal block damaged (the set must be refused).
[[nodiscard]] Enumeration enumerate_long_journal(u64 seed);

// Each of the first blocks of a spare in turn refuses data: it is recorded, and never tried again.
[[nodiscard]] Enumeration enumerate_bad_spare_blocks(u64 seed);

}  // namespace dmr::sim
