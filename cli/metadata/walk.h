// SPDX-License-Identifier: GPL-2.0-or-later
// Every metadata block of one spare, in the order in which they lie in their areas. Reads only.
#pragma once

#include <functional>

#include "cli/metadata/survey.h"

namespace dmr::cli {

struct MetaView {
  format::Kind kind = format::Kind::journal;
  u8 area = 0;
  u64 index = 0;  // slot of the journal, block of the checkpoint
  Sector sector;
  int error = 0;  // errno of the read
  format::Verdict verdict = format::Verdict::blank;
  const MetaBuffer* block = nullptr;
};
using MetaVisitor = std::function<void(const MetaView&)>;

// The journal slots of both areas. `superblock` is a good one of this device.
void walk_journal(const OfflineDisk& disk, const format::Superblock& superblock,
                  const MetaVisitor& visit);
// The two checkpoints: each header, then the body that it says it has (of a complete one).
void walk_checkpoints(const OfflineDisk& disk, const format::Superblock& superblock,
                      const MetaVisitor& visit);

}  // namespace dmr::cli
