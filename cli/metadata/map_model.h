// SPDX-License-Identifier: GPL-2.0-or-later
// The map of a stopped volume, rebuilt from its records: what lives where, what is lost, and
// whether a spare block serves two masters.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "core/format/validate.h"
#include "core/geometry/geometry.h"
#include "core/log/store.h"
#include "core/volume/request.h"

namespace dmr::cli {

class MapModel final : public RecordSink {
 public:
  void reset() override { runs_.clear(); }
  Status snapshot(const format::Record& record) override { return apply(record); }
  Status replay(const format::Record& record) override { return apply(record); }

  struct Summary {
    u64 runs = 0;
    u64 remapped_blocks = 0;
    u64 lost_sectors = 0;
  };
  [[nodiscard]] Summary summary(const Geometry& geometry) const;

  struct Owner {
    Member member = kMain;
    SpareBlock block;
  };
  // A spare block with two owners, if there is one.
  [[nodiscard]] std::optional<Owner> shared_block() const;

  // The runs that are not plain, ascending.
  [[nodiscard]] std::vector<format::Mapping> mappings() const;

 private:
  Status apply(const format::Record& record);
  void cut(u64 at);

  std::map<u64, format::Mapping> runs_;  // by first block, apart from each other
};

}  // namespace dmr::cli
