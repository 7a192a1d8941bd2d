// SPDX-License-Identifier: GPL-2.0-or-later
// The decorator `volatile-cache`: a disk whose write cache forgets when the power goes. Writes stay
// in memory until a flush; a FUA write goes through. After power_cut() each cached sector has
// either reached the disk or not, and the disk answers nothing until power_on().
//
// control(): {"power_cut": {"seed": 7, "keep_percent": 50}}, {"power_on": true}, {} only asks.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "runtime/device/layer.h"

namespace dmr::runtime {

class VolatileCacheLayer final : public Layer {
 public:
  explicit VolatileCacheLayer(std::unique_ptr<Layer> below) : below_(std::move(below)) {}

  [[nodiscard]] std::string_view kind() const override { return "volatile-cache"; }
  [[nodiscard]] Layer* below() const override { return below_.get(); }
  LayerResult run(const LayerIo& io) override;
  Expected<nlohmann::json> control(const nlohmann::json& request) override;

  // Those of the unflushed sectors for which `persists` says so reach the disk, the others are
  // forgotten. Returns 0 or the errno of writing them.
  int power_cut(const std::function<bool(u64 sector)>& persists);
  void power_on();
  [[nodiscard]] std::size_t unflushed_sectors() const;

 private:
  // Direct I/O below wants this alignment.
  struct alignas(4096) Bounce {
    std::array<std::byte, 64 * 1024> bytes;
  };
  using SectorBytes = std::array<std::byte, kSectorBytes>;
  using Cache = std::map<u64, SectorBytes>;

  LayerResult read(const LayerIo& io);
  LayerResult write(const LayerIo& io);
  LayerResult flush();
  int write_back(Cache& sectors);
  [[nodiscard]] nlohmann::json report() const;

  std::unique_ptr<Layer> below_;
  mutable std::mutex mutex_;
  Cache cache_;  // by sector
  std::unique_ptr<Bounce> bounce_ = std::make_unique<Bounce>();
  bool powered_ = true;
  u64 dropped_ = 0;
};

}  // namespace dmr::runtime
