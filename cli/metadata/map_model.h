// SPDX-License-Identifier: GPL-2.0-or-later
// The map of a stopped volume, rebuilt from its records: what lives where, what is lost, whether a
// spare block serves two masters; and back again into as few records as say the same.
#pragma once

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "core/format/validate.h"
#include "core/geometry/geometry.h"
#include "core/log/store.h"
#include "core/volume/request.h"

namespace dmr::cli {

class MapModel final : public RecordSink {
 public:
  void reset() override {
    runs_.clear();
    bad_.clear();
  }
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

  // All of it as a checkpoint holds it: mappings ascending and joined, then the bad spare blocks.
  [[nodiscard]] std::vector<format::Record> records(const Geometry& geometry) const;

 private:
  Status apply(const format::Record& record);
  void cut(u64 at);

  std::map<u64, format::Mapping> runs_;        // by first block, apart from each other
  std::map<std::pair<Member, u64>, u32> bad_;  // spare blocks that refused data: first -> how many
};

// Gives the records of a list.
class RecordList final : public RecordSource {
 public:
  explicit RecordList(std::vector<format::Record> records) : records_(std::move(records)) {}
  void rewind() override { next_ = 0; }
  bool next(format::Record& record) override {
    if (next_ == records_.size()) return false;
    record = records_[next_++];
    return true;
  }

 private:
  std::vector<format::Record> records_;
  std::size_t next_ = 0;
};

}  // namespace dmr::cli
