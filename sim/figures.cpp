// SPDX-License-Identifier: GPL-2.0-or-later
// One line for each figure that the runs count.
#include "sim/figures.h"

namespace dmr::sim {
namespace {

constexpr Figure kFigures[] = {
    {"runs", "runs", &Totals::runs},
    {"requests", "requests of the clients", &Totals::requests},
    {"slow_requests", "requests that met trouble or a hold", &Totals::slow_requests},
    {"sectors_compared", "sectors compared", &Totals::sectors_compared},
    {"events", "events", &Totals::events},
    {"power_cuts", "power cuts", &Totals::power_cuts},
    {"torn_blocks", "torn writes", &Totals::torn_blocks},
    {"opens", "openings of a volume", &Totals::opens},
    {"repaired_opens", "openings that mended metadata", &Totals::repaired_opens},
    {"refused_opens", "openings refused for damage", &Totals::refused_opens},
    {"absent_members", "openings with a spare missing", &Totals::absent_members},
    {"commits", "metadata commits", &Totals::commits},
    {"checkpoints", "checkpoints", &Totals::checkpoints},
    {"bad_sectors", "injected: bad sectors under data", &Totals::bad_sectors},
    {"transient_sectors", "injected: transient ones among them", &Totals::transient_sectors},
    {"growing_sectors", "injected: growing ones among them", &Totals::growing_sectors},
    {"bad_metadata_sectors", "injected: bad sectors under metadata", &Totals::bad_metadata_sectors},
    {"device_outages", "injected: devices or cables failing", &Totals::device_outages},
    {"slow_ios", "injected: slow I/Os", &Totals::slow_ios},
    {"lost_metadata_writes", "injected: metadata writes lost", &Totals::lost_metadata_writes},
    {"corrupt_metadata_writes", "injected: metadata writes corrupted",
     &Totals::corrupt_metadata_writes},
    {"misdirected_metadata_writes", "injected: metadata writes gone astray",
     &Totals::misdirected_metadata_writes},
    {"refused_journal_writes", "injected: journal writes refused", &Totals::refused_journal_writes},
    {"journal_gaps", "injected: gaps in the journal", &Totals::journal_gaps},
    {"bit_flips", "injected: bits flipped in metadata", &Totals::bit_flips},
    {"media_errors", "errors of the medium met", &Totals::media_errors},
    {"device_errors", "errors of devices met", &Totals::device_errors},
    {"remapped_blocks", "blocks on spares at the ends", &Totals::remapped_blocks},
    {"lost_sectors", "lost sectors at the ends", &Totals::lost_sectors},
};

}  // namespace

std::span<const Figure> figures() { return kFigures; }

}  // namespace dmr::sim
