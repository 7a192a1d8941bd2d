// SPDX-License-Identifier: GPL-2.0-or-later
// The engine's scrub as C functions for the shim.
#include "kernel/glue/scrub.h"

namespace dmr::kernel {

static_assert(static_cast<u32>(ScrubAction::start) == DMR_SCRUB_START);
static_assert(static_cast<u32>(ScrubAction::pause) == DMR_SCRUB_PAUSE);
static_assert(static_cast<u32>(ScrubAction::stop) == DMR_SCRUB_STOP);
static_assert(static_cast<u32>(ScrubState::idle) == DMR_SCRUB_IDLE);
static_assert(static_cast<u32>(ScrubState::running) == DMR_SCRUB_RUNNING);
static_assert(static_cast<u32>(ScrubState::paused) == DMR_SCRUB_PAUSED);
static_assert(static_cast<u32>(ScrubState::held) == DMR_SCRUB_HELD);
static_assert(kScrubStates == DMR_SCRUB_STATES);
static_assert(static_cast<u32>(Tunable::scrub_kib_per_s) == DMR_SCRUB_KIB_PER_S);

void copy_scrub(dmr_scrub& to, const ScrubStats& from) {
  to.state = static_cast<u8>(from.state);
  to.position = from.position.value;
  to.passes = from.passes;
  to.read_sectors = from.read_sectors;
  to.skipped_sectors = from.skipped_sectors;
  to.failed_reads = from.failed_reads;
  to.unreadable_blocks = from.unreadable_blocks;
}

}  // namespace dmr::kernel

using namespace dmr;
using namespace dmr::kernel;

extern "C" {

int dmr_volume_scrub(void* volume, std::uint8_t action, std::uint64_t from) {
  return errno_of(volume_of(volume).scrub(static_cast<ScrubAction>(action), Sector(from)));
}

void dmr_volume_keep_scrub(const void* volume, dmr_scrub* scrub) {
  copy_scrub(*scrub, volume_of(volume).scrub_stats());
}

void dmr_volume_restore_scrub(void* volume, const dmr_scrub* scrub) {
  const ScrubStats kept{.state = static_cast<ScrubState>(scrub->state),
                        .position = Sector(scrub->position),
                        .passes = scrub->passes,
                        .read_sectors = scrub->read_sectors,
                        .skipped_sectors = scrub->skipped_sectors,
                        .failed_reads = scrub->failed_reads,
                        .unreadable_blocks = scrub->unreadable_blocks};
  // The volume is as long as the target's table says, now as before.
  const Status status = volume_of(volume).restore_scrub(kept);
  DMR_ASSERT(status == Status::ok);
}

void dmr_volume_hold_scrub(void* volume, std::uint8_t on) { volume_of(volume).hold_scrub(on != 0); }

}  // extern "C"
