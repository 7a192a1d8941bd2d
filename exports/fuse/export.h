// SPDX-License-Identifier: GPL-2.0-or-later
// The FUSE export: the volume as one file in a folder and, with root, as a block device.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "exports/fuse/loop_device.h"
#include "exports/fuse/mount_point.h"
#include "exports/source/source.h"

struct fuse_session;

namespace dmr::fuse {

class Worker;
struct Filesystem;

struct ExportOptions {
  std::string folder;        // made when missing
  bool loop_device = false;  // needs root
  unsigned workers = 0;      // threads; 0: one for each processor, up to kMaxWorkers
};

class Export {
 public:
  // `source` must outlive the export.
  Export(exports::Source& source, ExportOptions options);
  ~Export();  // stops
  Export(const Export&) = delete;
  Export& operator=(const Export&) = delete;

  [[nodiscard]] runtime::Expected<void> start();
  // Detaches, finishes what is under way, answers what comes with ESHUTDOWN, unmounts. In bounded
  // time, also while the file is open or the device mounted: ask in_use() first.
  void stop();
  [[nodiscard]] std::string file_path() const;
  // Empty without a loop device.
  [[nodiscard]] std::string device_path() const;
  // Some program has the file open, or the block device is mounted.
  [[nodiscard]] bool in_use() const;

 private:
  [[nodiscard]] runtime::Expected<void> mount(const std::string& folder);
  [[nodiscard]] runtime::Expected<void> start_workers();

  exports::Source& source_;
  ExportOptions options_;
  std::optional<MountPoint> mount_point_;
  std::unique_ptr<Filesystem> filesystem_;
  fuse_session* session_ = nullptr;
  bool mounted_ = false;
  std::vector<runtime::FileDescriptor> clones_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::optional<LoopDevice> loop_;
};

}  // namespace dmr::fuse
