// SPDX-License-Identifier: GPL-2.0-or-later
// Putting the state of a backup on the spares. Where it may be older than the blocks, what is
// written says so for ever: reads of such a volume can be stale, and writes would bury the proof.
#include <cstring>

#include "core/format/validate.h"
#include "core/log/membership.h"
#include "core/log/store.h"

namespace dmr {
namespace {

u64 larger(u64 a, u64 b) { return a > b ? a : b; }

void replace_row(format::MemberEntry& row, const MemberDevice& device, Host& host) {
  draw_uuid(host, row.uuid);
  row.logical_block_bytes = device.logical_block_bytes;
  std::memcpy(row.identity, device.identity, sizeof(row.identity));
}

}  // namespace

Status MetadataStore::adopt_backup(const RestoreRequest& request) {
  format::Superblock& block = context_.superblock();
  std::memcpy(&block, request.superblock, sizeof(block));
  if (block.member_count < 2 || block.member_count > kMaxMembers) return Status::invalid;
  const Result<Geometry> geometry = format::geometry_of(block);
  if (!geometry) return geometry.status();
  context_.geometry = *geometry;
  bool is_changed = request.is_older;
  for (Member m = 1; m < block.member_count; ++m) {
    format::MemberEntry& row = block.member[m];
    const Result<SpareLayout> layout = format::layout_of(block, m);
    if (!layout) return layout.status();
    context_.layout[m] = *layout;
    if (context_.state(m) != format::MemberState::live) continue;
    const MemberDevice& device = request.device[m];
    if (!device.present || device.sectors != row.sectors) return Status::invalid;
    if (request.replaced[m]) {
      replace_row(row, device, context_.host);
      is_changed = true;
    } else if (device.logical_block_bytes != row.logical_block_bytes) {
      return Status::invalid;
    }
    context_.set_present(m, device);
  }
  if (context_.live().empty()) return Status::invalid;
  block.header.sequence = larger(block.header.sequence, request.seen_superblock);
  if (is_changed) {
    begin_membership(block, context_.random());
    block.membership.generation = larger(block.membership.generation, request.seen_membership + 1);
  }
  block.open_generation = larger(block.open_generation, request.seen_opening);
  if (request.is_older) {
    block.ro_compat |= format::kRestoredOlder;
    ++block.open_generation;
  }
  context_.open_epoch = context_.random();
  context_.membership_recorded = block.membership.generation;
  return Status::ok;
}

Task<Status> MetadataStore::restore(FrameStack& frames, const RestoreRequest& request,
                                    RecordSource& source) {
  const Turn turn(is_taken_);
  DMR_ASSERT(context_.is_open() && request.superblock != nullptr);
  if (frames.available() < kNestedBytes) co_return Status::again;
  forget();
  Status status = adopt_backup(request);
  if (status != Status::ok) co_return status;
  // Old superblocks with a new journal, or the other way round, must never pass for a state; and
  // who comes back after a crash must see which device has taken another one's place.
  context_.superblock().incompat |= format::kRestoring;
  status = co_await superblocks_.update(frames, context_.live());
  if (status != Status::ok) co_return status;
  status = co_await write_log(frames, source, {request.covered_sequence, request.covered_crc});
  if (status != Status::ok) co_return status;
  context_.superblock().incompat &= ~format::kRestoring;
  co_return co_await superblocks_.update(frames, context_.live());
}

}  // namespace dmr
