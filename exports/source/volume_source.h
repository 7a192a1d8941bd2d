// SPDX-License-Identifier: GPL-2.0-or-later
// The runtime's volume as the source of an export.
#pragma once

#include "exports/source/source.h"
#include "runtime/volume/user_volume.h"

namespace dmr::exports {

class VolumeSource final : public Source {
 public:
  explicit VolumeSource(runtime::UserVolume& volume) : volume_(volume) {}

  std::string name() const override { return volume_.name(); }
  u64 sectors() const override { return volume_.sectors(); }
  u32 logical_block_bytes() const override { return volume_.logical_block_bytes(); }
  u32 block_bytes() const override { return volume_.block_bytes(); }
  bool read_only() const override { return !volume_.writable(); }
  // A disk that zeroes fast may still have blocks on a spare that does not.
  bool zeroes_fast() const override { return false; }
  runtime::Expected<std::unique_ptr<runtime::Queue>> make_queue() override {
    return volume_.make_queue();
  }
  u64 flush_refusals() const override { return volume_.flush_refusals(); }
  runtime::ClientBook& clients() override { return volume_.clients(); }

 private:
  runtime::UserVolume& volume_;
};

}  // namespace dmr::exports
