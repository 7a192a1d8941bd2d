// SPDX-License-Identifier: GPL-2.0-or-later
// The cache, what a flush writes back, and what a power cut leaves of it.
#include "runtime/device/volatile_cache.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>

namespace dmr::runtime {

namespace {

using Json = nlohmann::json;

}  // namespace

LayerResult VolatileCacheLayer::run(const LayerIo& io) {
  const std::lock_guard lock(mutex_);
  if (!powered_) return {.error = ENODEV};
  switch (io.op) {
    case IoOp::read:
      return read(io);
    case IoOp::write:
    case IoOp::write_zeroes:
      return write(io);
    case IoOp::flush:
      return flush();
    case IoOp::discard:
      return {};  // a hint, and what is cached must win over it
  }
  return {.error = EINVAL};
}

LayerResult VolatileCacheLayer::read(const LayerIo& io) {
  const u64 first = io.offset / kSectorBytes;
  const u64 end = first + io.length / kSectorBytes;
  LayerResult result;
  const auto begin = cache_.lower_bound(first);
  const auto cached = static_cast<u64>(std::distance(begin, cache_.lower_bound(end)));
  if (cached < end - first) result = below_->run(io);
  if (result.error != 0) return result;
  for (auto at = begin; at != cache_.end() && at->first < end; ++at) {
    std::memcpy(io.data + (at->first - first) * kSectorBytes, at->second.data(), kSectorBytes);
  }
  return result;
}

LayerResult VolatileCacheLayer::write(const LayerIo& io) {
  const u64 first = io.offset / kSectorBytes;
  const u64 sectors = io.length / kSectorBytes;
  if (io.fua) {
    const LayerResult result = below_->run(io);
    if (result.error == 0) {
      cache_.erase(cache_.lower_bound(first), cache_.lower_bound(first + sectors));
    }
    return result;
  }
  for (u64 i = 0; i < sectors; ++i) {
    SectorBytes& sector = cache_[first + i];
    if (io.op == IoOp::write_zeroes || io.data == nullptr) {
      sector.fill(std::byte{0});
    } else {
      std::memcpy(sector.data(), io.data + i * kSectorBytes, kSectorBytes);
    }
  }
  return {};
}

// Writes runs of neighbours together; a sector leaves the cache when the disk has taken it.
int VolatileCacheLayer::write_back(Cache& sectors) {
  int first_error = 0;
  for (auto at = sectors.begin(); at != sectors.end();) {
    const auto begin = at;
    u64 count = 0;
    while (at != sectors.end() && at->first == begin->first + count &&
           (count + 1) * kSectorBytes <= bounce_->bytes.size()) {
      std::memcpy(bounce_->bytes.data() + count * kSectorBytes, at->second.data(), kSectorBytes);
      ++count;
      ++at;
    }
    const LayerResult result = below_->run({.op = IoOp::write,
                                            .offset = begin->first * kSectorBytes,
                                            .length = count * kSectorBytes,
                                            .data = bounce_->bytes.data()});
    if (result.error == 0) {
      at = sectors.erase(begin, at);
    } else if (first_error == 0) {
      first_error = result.error;
    }
  }
  return first_error;
}

LayerResult VolatileCacheLayer::flush() {
  if (const int error = write_back(cache_); error != 0) return {.error = error};
  return below_->run({.op = IoOp::flush});
}

int VolatileCacheLayer::power_cut(const std::function<bool(u64)>& persists) {
  const std::lock_guard lock(mutex_);
  powered_ = false;
  const std::size_t before = cache_.size();
  std::erase_if(cache_, [&](const auto& entry) { return !persists(entry.first); });
  dropped_ += before - cache_.size();
  const int error = write_back(cache_);
  dropped_ += cache_.size();
  cache_.clear();
  return error;
}

void VolatileCacheLayer::power_on() {
  const std::lock_guard lock(mutex_);
  powered_ = true;
}

std::size_t VolatileCacheLayer::unflushed_sectors() const {
  const std::lock_guard lock(mutex_);
  return cache_.size();
}

Expected<Json> VolatileCacheLayer::control(const Json& request) {
  if (!request.is_object()) return fail("volatile-cache: the request is not an object");
  for (const auto& [key, value] : request.items()) {
    if (key == "power_cut" && value.is_object()) {
      std::mt19937_64 random(value.value("seed", u64{1}));
      const u64 keep_percent = value.value("keep_percent", u64{0});
      (void)power_cut([&](u64) { return random() % 100 < keep_percent; });
    } else if (key == "power_on") {
      power_on();
    } else {
      return fail("volatile-cache: nothing is called `" + key + "`");
    }
  }
  return report();
}

Json VolatileCacheLayer::report() const {
  const std::lock_guard lock(mutex_);
  return Json{{"unflushed", cache_.size()}, {"dropped", dropped_}, {"powered", powered_}};
}

}  // namespace dmr::runtime
