// SPDX-License-Identifier: GPL-2.0-or-later
// What the shim shows to users: counters, the map, and which spare a device is.
#include <cstring>

#include "core/format/codec.h"
#include "core/format/validate.h"
#include "core/log/election.h"
#include "core/volume/health.h"
#include "kernel/glue/scrub.h"

namespace dmr::kernel {
namespace {

void copy_pool(dmr_pool_stats& to, const PoolCounters& from) {
  to.size = from.size;
  to.in_use = from.in_use;
  to.high_water = from.high_water;
  to.exhausted = from.exhausted;
}

void copy_member(dmr_member_stats& to, const MemberStats& from) {
  to.state = static_cast<u8>(from.state);
  to.breaker_open = from.breaker_open;
  to.sectors = from.sectors;
  to.data_blocks = from.data_blocks;
  to.used_blocks = from.used_blocks;
  to.free_blocks = from.free_blocks;
  to.bad_blocks = from.bad_blocks;
  for (u32 d = 0; d < 2; ++d) {
    for (u32 e = 0; e < kErrorClasses; ++e) to.errors[d][e] = from.errors[d][e];
  }
}

void copy_counters(dmr_stats& to, const VolumeStats& from) {
  to.writable = from.writable;
  to.read_only_by_failure = from.read_only_by_failure;
  to.members = from.members;
  to.block_sectors = from.block_sectors;
  to.volume_sectors = from.volume_sectors;
  to.remapped_blocks = from.remapped_blocks;
  to.lost_sectors = from.lost_sectors;
  to.runs = from.runs;
  to.weak_blocks = from.weak_blocks;
  to.index_bytes = from.index_bytes;
  to.recovered_reads = from.recovered_reads;
  to.failed_reads = from.failed_reads;
  to.redirected_writes = from.redirected_writes;
  to.retried_writes = from.retried_writes;
  to.failed_writes = from.failed_writes;
  to.relocated_blocks = from.relocated_blocks;
  to.returned_blocks = from.returned_blocks;
  to.held_requests = from.held_requests;
  to.commits = from.commits;
  to.commit_records = from.commit_records;
  to.commit_flushes = from.commit_flushes;
  to.checkpoints = from.checkpoints;
  copy_scrub(to.scrub, from.scrub);
}

static_assert(DMR_TUNABLES == kTunables);

constexpr u32 kRunsOfOneLook = 4096;

void paint(dmr_slices& slices, const Geometry& geometry, const Run& run) {
  const u64 blocks = geometry.blocks();
  const u64 slice_blocks = blocks / DMR_MAP_SLICES + (blocks % DMR_MAP_SLICES != 0);
  const u64 last = (run.begin.value + run.length - 1) / slice_blocks;
  for (u64 at = run.begin.value / slice_blocks; at <= last && at < DMR_MAP_SLICES; ++at) {
    if (run.home.lost != LostKind::none) {
      slices.kind[at] = 'l';
    } else if (slices.kind[at] == '.') {
      slices.kind[at] = 'r';
    }
  }
}

}  // namespace
}  // namespace dmr::kernel

using namespace dmr;
using namespace dmr::kernel;

extern "C" {

void dmr_volume_stats(const void* volume, std::uint8_t flush_refused, dmr_stats* out) {
  void* memory = dmr_host_allocate(sizeof(VolumeStats), alignof(VolumeStats));
  if (memory == nullptr) return;
  const Volume& engine = volume_of(volume);
  auto* stats = new (memory) VolumeStats(engine.stats());
  copy_counters(*out, *stats);
  copy_pool(out->pool[DMR_POOL_HEALTH], stats->health_records);
  copy_pool(out->pool[DMR_POOL_IO], stats->io_contexts);
  copy_pool(out->pool[DMR_POOL_WORK], stats->work_items);
  copy_pool(out->pool[DMR_POOL_BUFFERS], stats->buffers);
  for (u32 m = 0; m < stats->members; ++m) copy_member(out->member[m], stats->member[m]);
  out->health_score = health_score(facts_of(*stats, flush_refused != 0));
  if (flush_refused != 0) out->writable = 0;
  const format::Superblock& superblock = engine.superblock();
  out->restored_older = stats->restored_older;
  out->logical_block_bytes = superblock.member[kMain].logical_block_bytes;
  std::memcpy(out->set, superblock.header.set.bytes, sizeof out->set);
  std::memcpy(
      out->name, superblock.name,
      sizeof superblock.name < sizeof out->name ? sizeof superblock.name : sizeof out->name - 1);
  out->name[sizeof out->name - 1] = 0;
  dmr_host_release(memory);
}

std::uint8_t dmr_volume_next_run(const void* volume, std::uint64_t* cursor, dmr_run* out) {
  Index::Cursor at{.next = Block(*cursor)};
  Run run;
  if (!volume_of(volume).next_run(at, run)) return 0;
  *cursor = at.next.value;
  out->block = run.begin.value;
  out->length = run.length;
  out->home = run.home.spare.value;
  out->lost_low = run.home.mask.low;
  out->lost_high = run.home.mask.high;
  out->member = run.home.member;
  out->lost = static_cast<u8>(run.home.lost);
  return 1;
}

void dmr_volume_slices(const void* volume, dmr_slices* slices) {
  const Volume& engine = volume_of(volume);
  Index::Cursor at{.next = Block(slices->cursor)};
  Run run;
  for (u32 i = 0; i < kRunsOfOneLook; ++i) {
    slices->done = !engine.next_run(at, run);
    if (slices->done != 0) break;
    paint(*slices, engine.geometry(), run);
  }
  slices->cursor = at.next.value;
}

void dmr_volume_tune(void* volume, std::uint32_t tunable, std::uint32_t value) {
  const Status status = volume_of(volume).tune(static_cast<Tunable>(tunable), value);
  DMR_ASSERT(status == Status::ok);
}

const char* dmr_tunable_name(std::uint32_t tunable) { return kTunableRange[tunable].name; }

std::uint32_t dmr_tunable_default(std::uint32_t tunable) {
  return get(VolumeConfig{}, static_cast<Tunable>(tunable));
}

std::uint8_t dmr_tunable_allows(std::uint32_t tunable, std::uint64_t value) {
  return kTunableRange[tunable].allows(value);
}

int dmr_find_member(void* target, std::uint32_t device, std::uint64_t sectors, void* block,
                    std::uint8_t* member, std::uint8_t set[16]) {
  format::BlockHeader header[kSuperblockCopies];
  const format::BlockHeader* intact[kSuperblockCopies] = {};
  u8 place_of[kSuperblockCopies] = {};
  u32 unreadable = 0;
  for (u8 copy = 0; copy < kSuperblockCopies; ++copy) {
    const Result<Sector> address = SpareLayout::superblock_sector(sectors, copy);
    if (!address.has_value()) return 0;  // too small for any
    if (dmr_host_read_sync(target, device, (*address).value, block) != 0) {
      ++unreadable;
      continue;
    }
    const auto& superblock = *static_cast<const format::Superblock*>(block);
    const format::Place place{.kind = format::Kind::superblock,
                              .member = 0,
                              .area = copy,
                              .set = {},
                              .address = *address};
    if (format::check_of_any_set(superblock, place) != format::Verdict::ok) continue;
    header[copy] = superblock.header;
    intact[copy] = &header[copy];
    place_of[copy] = superblock.own_member;
  }
  if (unreadable == kSuperblockCopies) return -5;
  const u8 winner = elect(intact).winner;
  if (winner == Election::kNone) return 0;
  *member = place_of[winner];
  std::memcpy(set, header[winner].set.bytes, 16);
  return 1;
}

}  // extern "C"
