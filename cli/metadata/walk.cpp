// SPDX-License-Identifier: GPL-2.0-or-later
// Reads journal and checkpoints block by block.
#include "cli/metadata/walk.h"

#include <algorithm>

namespace dmr::cli {
namespace {

MetaView view(const OfflineDisk& disk, const format::Superblock& superblock, format::Kind kind,
              u8 area, u64 index, Sector at, MetaBuffer& buffer) {
  MetaView seen{.kind = kind, .area = area, .index = index, .sector = at, .block = &buffer};
  seen.error = read_meta(disk, at, buffer);
  if (seen.error == 0) {
    const format::Place place{.kind = kind,
                              .member = superblock.own_member,
                              .area = area,
                              .set = superblock.header.set,
                              .address = at};
    seen.verdict = format::check(buffer.bytes(), place);
  }
  return seen;
}

}  // namespace

void walk_journal(const OfflineDisk& disk, const format::Superblock& superblock,
                  const MetaVisitor& visit) {
  const Result<SpareLayout> layout = format::layout_of(superblock, superblock.own_member);
  if (!layout) return;
  MetaBuffer buffer;
  for (u8 area = 0; area < kAreas; ++area) {
    for (u32 slot = 0; slot < layout->journal_slots; ++slot) {
      visit(view(disk, superblock, format::Kind::journal, area, slot,
                 layout->journal_slot(area, slot), buffer));
    }
  }
}

void walk_checkpoints(const OfflineDisk& disk, const format::Superblock& superblock,
                      const MetaVisitor& visit) {
  const Result<SpareLayout> layout = format::layout_of(superblock, superblock.own_member);
  if (!layout) return;
  MetaBuffer buffer;
  for (u8 area = 0; area < kAreas; ++area) {
    const MetaView header = view(disk, superblock, format::Kind::checkpoint_header, area, 0,
                                 layout->checkpoint_block(area, 0), buffer);
    visit(header);
    if (header.error != 0 || header.verdict != format::Verdict::ok) continue;
    const auto& content = buffer.as<format::CheckpointHeader>();
    if (content.state != format::kCheckpointComplete) continue;
    const u64 blocks = std::min(content.body_blocks, layout->checkpoint_blocks - 1);
    for (u64 i = 1; i <= blocks; ++i) {
      visit(view(disk, superblock, format::Kind::checkpoint_body, area, i,
                 layout->checkpoint_block(area, i), buffer));
    }
  }
}

}  // namespace dmr::cli
