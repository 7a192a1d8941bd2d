// SPDX-License-Identifier: GPL-2.0-or-later
// Making a new set: its description, then everything on the spares, the superblocks last. Main is
// not written to.
#include <cstring>

#include "core/format/validate.h"
#include "core/log/membership.h"
#include "core/log/store.h"

namespace dmr {
namespace {

Status copy_name(format::Superblock& block, const char* name) {
  if (name == nullptr) return Status::ok;
  for (u32 i = 0; name[i] != 0; ++i) {
    if (i == format::kNameBytes - 1) return Status::invalid;
    block.name[i] = name[i];
  }
  return Status::ok;
}

}  // namespace

Status MetadataStore::describe_set(const FormatRequest& request) {
  if (request.members < 2 || request.members > kMaxMembers) return Status::invalid;
  format::Superblock& block = context_.superblock();
  draw_uuid(context_.host, block.header.set);
  block.version_major = format::kVersionMajor;
  block.version_minor = block.oldest_minor = format::kVersionMinor;
  block.member_count = static_cast<u8>(request.members);
  block.volume_sectors = request.device[kMain].sectors;
  block.block_sectors = request.block_sectors;
  block.policy = static_cast<u8>(request.policy);
  block.created_unix_s = request.created_unix_s;
  block.membership = {1, context_.random()};
  const Status name = copy_name(block, request.name);
  if (name != Status::ok) return name;
  const Result<Geometry> geometry = format::geometry_of(block);
  if (!geometry) return geometry.status();
  context_.geometry = *geometry;
  context_.membership_recorded = block.membership.generation;
  return describe_members(request);
}

Status MetadataStore::describe_members(const FormatRequest& request) {
  format::Superblock& block = context_.superblock();
  u64 sectors[kMaxSpares] = {};
  for (Member m = 1; m < request.members; ++m) sectors[m - 1] = request.device[m].sectors;
  const Result<u64> checkpoint_blocks = SpareLayout::checkpoint_blocks_for_set(
      std::span<const u64>(sectors, request.members - 1U), request.block_sectors);
  if (!checkpoint_blocks) return checkpoint_blocks.status();
  for (Member m = 0; m < request.members; ++m) {
    const MemberDevice& device = request.device[m];
    if (!device.present) return Status::invalid;
    format::MemberEntry& row = block.member[m];
    draw_uuid(context_.host, row.uuid);
    row.sectors = device.sectors;
    row.logical_block_bytes = device.logical_block_bytes;
    row.state = static_cast<u8>(format::MemberState::live);
    std::memcpy(row.identity, device.identity, sizeof(row.identity));
    if (m == kMain) continue;
    row.journal_slots = SpareLayout::default_journal_slots(device.sectors);
    row.checkpoint_blocks = *checkpoint_blocks;
    const Result<SpareLayout> layout = format::layout_of(block, m);
    if (!layout) return layout.status();
    context_.layout[m] = *layout;
    context_.set_present(m, device);
  }
  context_.present.add(kMain);
  // What a reader would refuse is refused here, before anything is written.
  auto& proof = StoreContext::as<format::Superblock>(context_.scratch(0));
  std::memcpy(&proof, &block, sizeof(proof));
  proof.own_member = 1;
  format::seal(proof,
               context_.place(format::Kind::superblock, 1, 0, context_.layout[1].superblock[0]), 1,
               0);
  const bool good = static_cast<bool>(validate_superblock(proof, format::Access::read_write));
  return good ? Status::ok : Status::invalid;
}

Task<Status> MetadataStore::format(FrameStack& frames, const FormatRequest& request) {
  const Turn turn(is_taken_);
  DMR_ASSERT(context_.is_open());
  if (frames.available() < kNestedBytes) co_return Status::again;
  forget();
  const Status status = describe_set(request);
  if (status != Status::ok) co_return status;
  // An older set goes first: a half-made new one must not look like a damaged old one.
  const MemberSet spares = context_.live();
  const Status wiped = co_await superblocks_.wipe(frames, spares);
  if (wiped != Status::ok) co_return wiped;
  NoRecords none;
  const Status written = co_await write_log(frames, none, ChainPoint{});
  if (written != Status::ok) co_return written;
  co_return co_await superblocks_.update(frames, spares);
}

// An empty journal and two checkpoints on all live spares.
Task<Status> MetadataStore::write_log(FrameStack& frames, RecordSource& source,
                                      ChainPoint covered) {
  const MemberSet spares = context_.live();
  Status status = co_await journal_.format_all(frames, spares);
  if (status != Status::ok) co_return status;
  for (u32 area = 0; area < kAreas; ++area) {
    status = co_await checkpoints_.write(frames, source, covered, spares);
    if (status != Status::ok) co_return status;
    if (checkpoints_.written() != spares) co_return Status::io_error;
  }
  co_return Status::ok;
}

}  // namespace dmr
