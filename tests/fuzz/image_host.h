// SPDX-License-Identifier: GPL-2.0-or-later
// The disks of a set in memory for the metadata target. Every I/O is checked: it lies inside its
// device, and it writes only where writing is allowed now.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "cli/metadata/map_model.h"
#include "core/log/store.h"
#include "core/testing/fake_host.h"
#include "core/volume/volume.h"
#include "tests/fuzz/target.h"

namespace dmr::fuzz {

using Disk = std::vector<std::byte>;

enum class Writes : u8 {
  none,      // nothing may be written
  metadata,  // spares, where metadata lies
  all,
};

class FindingList final : public FindingSink {
 public:
  void found(const Finding& finding) override { all.push_back(finding); }
  std::vector<Finding> all;
};

// What loading a set has told.
struct Loaded {
  Status status = Status::closed;
  FindingList findings;
  cli::MapModel map;
  Geometry geometry;
};

class ImageHost final : public testing::FakeHost {
 public:
  explicit ImageHost(std::vector<Disk>& disks);

  void submit(DeviceIo& io) override { submitted.push_back(&io); }

  [[nodiscard]] LoadRequest load_request() const;
  // What `check` does: reads all, writes nothing. With `write` it then begins to write, which
  // repairs what was found; `repaired` is that step's status.
  Loaded load(bool write = false, Status* repaired = nullptr);

  // The whole volume; null when it refuses to open.
  Volume* open();
  void close();
  void pump();

  Writes allowed = Writes::none;
  // Where the metadata of each spare lies, as ranges of sectors.
  std::vector<std::vector<std::pair<u64, u64>>> metadata;
  // Sectors that cannot be read, until they are written: member, begin.
  std::vector<std::pair<Member, u64>> unreadable;
  std::vector<std::pair<Member, u64>> written;  // sectors, so that they can be put back
  std::optional<FindingList> opening;           // what open() was told
  Status open_status = Status::closed;

 private:
  void perform(DeviceIo& io);
  void check_write(const DeviceIo& io) const;
  [[nodiscard]] bool fails(const DeviceIo& io);

  std::vector<Disk>& disks_;
  const VolumeConfig config_{};
  std::optional<Volume> volume_;
  Executor* executor_ = nullptr;
};

}  // namespace dmr::fuzz
