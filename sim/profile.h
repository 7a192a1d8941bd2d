// SPDX-License-Identifier: GPL-2.0-or-later
// What kind of trouble a simulated run has. Rates are per step, in thousandths.
#pragma once

#include <span>
#include <string_view>

#include "core/base/types.h"

namespace dmr::sim {

struct Profile {
  const char* name;
  const char* about;

  // What the volume is made of.
  u64 main_low = 512;
  u64 main_high = 4096;
  u32 spares_low = 1;
  u32 spares_high = 2;
  u64 spare_low = 1700;
  u64 spare_high = 3072;
  u32 rewrite_policy = 0;  // chance of it, of 1000
  u32 small_pools = 200;   // chance of pools that run dry, of 1000

  // The medium of main, and of the spares' data.
  u32 main_fault = 0;
  u32 spare_fault = 0;
  u32 aging = 0;       // clusters on main: none at first, at this rate in the end
  u32 cluster = 0;     // chance that a fault is one of a cluster, of 1000
  u32 on_write = 300;  // chance that a fault refuses writes (too), of 1000
  u32 transient = 300;
  u32 metadata_fault = 0;  // bad sectors under the spares' metadata
  // Writes of metadata that are lost, corrupt or misdirected, at most one each time it is open; and
  // journal blocks that are refused for a while, whether they are there afterwards or not.
  u32 metadata_write = 0;
  u32 commit_refused = 0;
  u32 metadata_refused = 0;  // the same for all metadata, of which nothing is there afterwards

  // Devices, cables, time.
  u32 main_ailment = 0;
  u32 spare_ailment = 0;
  u32 spare_data_lost = 0;  // writes of data to spares that fail on the way, of 1000
  u32 flush_refused = 0;
  u32 slow = 0;
  u32 lag = 20;  // I/Os that take up to 20 ms, of 1000
  u32 pages_refused = 0;

  // What the user does.
  u32 flush = 120;  // of 1000 requests
  u32 power_cut = 0;
  u32 restart = 0;
  u32 mark = 0;
  u32 forget = 0;
  u32 checkpoint = 0;
  u32 scrub = 0;     // an order of the scrub: begin, pause, go on, stop; hold
  u32 absent = 0;    // a spare that is not there at the next opening
  u32 bit_flip = 0;  // of one metadata block, between a power cut or stop and the next opening
  u32 gap = 0;       // all copies of a journal block that is needed, likewise
};

[[nodiscard]] std::span<const Profile> profiles();
// Null when there is none of that name.
[[nodiscard]] const Profile* find_profile(std::string_view name);

}  // namespace dmr::sim
