// SPDX-License-Identifier: GPL-2.0-or-later
// The map in full, as the records of a checkpoint.
#include "core/volume/committer.h"

namespace dmr {

void Committer::rewind() {
  map_cursor_ = {};
  bad_cursor_ = {};
  map_done_ = false;
}

bool Committer::next(format::Record& record) {
  if (!map_done_) {
    Run run;
    if (state_.index.next(map_cursor_, run)) {
      record = mapping_record(run.begin, static_cast<u32>(run.length), run.home);
      return true;
    }
    map_done_ = true;
  }
  SpareAllocator::BadRange range;
  if (!state_.spares.next_bad(bad_cursor_, range)) return false;
  record = bad_spare_record(range.member, range.begin, static_cast<u32>(range.blocks));
  return true;
}

}  // namespace dmr
