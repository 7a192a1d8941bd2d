// SPDX-License-Identifier: GPL-2.0-or-later
// Which of a spare's superblock copies counts: the newest of the set that most of the good ones
// name. A copy that the others outvote was meant for another disk.
#pragma once

#include "core/format/format.h"

namespace dmr {

struct Election {
  static constexpr u8 kNone = 0xFF;

  u8 winner = kNone;                  // none is good
  u32 votes[kSuperblockCopies] = {};  // good copies that name the same set, itself included

  // One copy alone is no majority against another.
  [[nodiscard]] bool outvotes(u32 copy) const {
    return winner != kNone && votes[winner] >= 2 && votes[copy] != 0 && votes[copy] < votes[winner];
  }
};

// The headers of the good copies; null: that one is not.
[[nodiscard]] inline Election elect(const format::BlockHeader* const (&good)[kSuperblockCopies]) {
  Election result;
  for (u32 c = 0; c < kSuperblockCopies; ++c) {
    if (good[c] == nullptr) continue;
    for (const format::BlockHeader* other : good) {
      if (other != nullptr && other->set == good[c]->set) ++result.votes[c];
    }
    const u8 best = result.winner;
    const bool better =
        best == Election::kNone || result.votes[c] > result.votes[best] ||
        (result.votes[c] == result.votes[best] && good[c]->sequence > good[best]->sequence);
    if (better) result.winner = static_cast<u8>(c);
  }
  return result;
}

}  // namespace dmr
