// SPDX-License-Identifier: GPL-2.0-or-later
// The superblock copies that a device holds, each judged alone. Reads only.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "cli/metadata/offline_disk.h"
#include "core/format/codec.h"
#include "core/format/format.h"
#include "core/format/validate.h"
#include "runtime/volume/superblock_scan.h"

namespace dmr::cli {

using runtime::uuid_text;

// One metadata block of memory, aligned for direct I/O.
class MetaBuffer {
 public:
  MetaBuffer();
  [[nodiscard]] format::MetaBytes bytes() { return format::MetaBytes(memory_.get(), kMetaBytes); }
  template <format::MetaBlock T>
  [[nodiscard]] const T& as() const {
    return *reinterpret_cast<const T*>(memory_.get());
  }
  struct Free {
    void operator()(std::byte* memory) const;
  };

 private:
  std::unique_ptr<std::byte, Free> memory_;
};

// Reads the metadata block at `at`; 0 or a positive errno.
[[nodiscard]] int read_meta(const OfflineDisk& device, Sector at, MetaBuffer& buffer);

struct SuperblockCopy {
  Sector sector;
  int error = 0;  // errno of the read
  format::Verdict verdict = format::Verdict::blank;
  Status status = Status::not_found;  // of the content, when the verdict is ok
  const char* why = "";               // in words, when the status is not ok
  format::Superblock block{};

  [[nodiscard]] bool good() const {
    return error == 0 && verdict == format::Verdict::ok && status == Status::ok;
  }
  // Something of ours is or was there, whatever its state.
  [[nodiscard]] bool ours() const {
    return error == 0 && verdict != format::Verdict::blank && verdict != format::Verdict::bad_magic;
  }
};

struct Survey {
  std::array<SuperblockCopy, kSuperblockCopies> copy;
  bool too_small = false;  // for any metadata: nothing was read

  [[nodiscard]] bool ours() const;
  [[nodiscard]] bool readable() const;  // at least one copy could be read
  // The good copy that counts, null without one.
  [[nodiscard]] const format::Superblock* newest() const;
  // The newest copy that is intact, even if it is of a version that is not known here.
  [[nodiscard]] const SuperblockCopy* newest_intact() const;
};

[[nodiscard]] Survey survey(const OfflineDisk& disk);
[[nodiscard]] inline Survey survey(const runtime::Device& device) {
  return survey(DeviceDisk(device));
}

[[nodiscard]] std::string name_of(const format::Superblock& block);
[[nodiscard]] std::string identity_of(const format::MemberEntry& entry);

}  // namespace dmr::cli
