// SPDX-License-Identifier: GPL-2.0-or-later
// Reads `ranges` of a request.
#include "runtime/control/ranges.h"

#include <algorithm>

#include <fmt/format.h>

namespace dmr::runtime {

Expected<std::vector<SectorRange>> ranges_of(const nlohmann::json& request, u64 volume_sectors) {
  std::vector<SectorRange> ranges;
  const auto list = request.find("ranges");
  if (list == request.end() || !list->is_array() || list->empty()) {
    return fail("`ranges` is missing", kExitUsage);
  }
  for (const nlohmann::json& entry : *list) {
    const SectorRange range{.begin = Sector(entry.at("sector").get<u64>()),
                            .sectors = entry.value("count", u64{1})};
    if (range.sectors == 0 || range.begin.value >= volume_sectors ||
        range.sectors > volume_sectors - range.begin.value) {
      return fail(fmt::format("sectors {}+{} are not inside the volume of {} sectors",
                              range.begin.value, range.sectors, volume_sectors),
                  kExitUsage);
    }
    ranges.push_back(range);
  }
  std::sort(ranges.begin(), ranges.end(),
            [](const SectorRange& a, const SectorRange& b) { return a.begin < b.begin; });
  std::vector<SectorRange> joined;
  for (const SectorRange& range : ranges) {
    if (!joined.empty() && range.begin <= joined.back().begin + joined.back().sectors) {
      const Sector end =
          std::max(joined.back().begin + joined.back().sectors, range.begin + range.sectors);
      joined.back().sectors = end - joined.back().begin;
    } else {
      joined.push_back(range);
    }
  }
  return joined;
}

}  // namespace dmr::runtime
