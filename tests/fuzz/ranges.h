// SPDX-License-Identifier: GPL-2.0-or-later
// What every list of bad sectors promises, whatever it was read from.
#pragma once

#include <string>
#include <vector>

#include "core/base/types.h"
#include "core/volume/request.h"
#include "tests/fuzz/target.h"

namespace dmr::fuzz {

inline void expect_ordered(const std::vector<SectorRange>& ranges, u64 volume_sectors) {
  u64 next = 0;
  for (const SectorRange& range : ranges) {
    expect(range.sectors > 0, "a range has sectors");
    expect(next == 0 || range.begin.value > next, "ranges ascend and are joined");
    expect(
        range.begin.value < volume_sectors && range.sectors <= volume_sectors - range.begin.value,
        "ranges lie inside the volume");
    next = range.begin.value + range.sectors;
  }
}

[[nodiscard]] inline bool same(const std::vector<SectorRange>& a,
                               const std::vector<SectorRange>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const SectorRange& x, const SectorRange& y) {
                      return x.begin == y.begin && x.sectors == y.sectors;
                    });
}

// What is told of garbage is one short line that a terminal can show.
inline void expect_one_line(const std::string& text) {
  expect(!text.empty() && text.size() < 400, "a message is short");
  expect(std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; }),
         "a message is one printable line");
}

}  // namespace dmr::fuzz
