// SPDX-License-Identifier: GPL-2.0-or-later
// The limits of a volume that its owner may change while it runs, each with its range.
#pragma once

#include "core/base/result.h"
#include "core/volume/config.h"

namespace dmr {

enum class Tunable : u8 {
  read_attempts,
  write_attempts,
  spare_attempts,
  probes,
  recover_deadline_ms,
  device_timeout_ms,
  breaker_rest_ms,
  scrub_kib_per_s,
};
inline constexpr u32 kTunables = 8;

struct TunableRange {
  const char* name;
  u32 lowest;
  u32 highest;

  [[nodiscard]] constexpr bool allows(u64 value) const {
    return value >= lowest && value <= highest;
  }
};

// By Tunable. Times end where a caller would rather have been told of an error long ago.
inline constexpr TunableRange kTunableRange[kTunables] = {
    {"read_attempts", 1, 100},           {"write_attempts", 1, 100},
    {"spare_attempts", 1, 64},           {"probes", 1, 16},
    {"recover_deadline_ms", 1, 600'000}, {"device_timeout_ms", 1000, 600'000},
    {"breaker_rest_ms", 1, 600'000},     {"scrub_kib_per_s", 64, 16'777'216},
};

[[nodiscard]] constexpr u32 get(const VolumeConfig& config, Tunable which) {
  switch (which) {
    case Tunable::read_attempts:
      return config.read_attempts;
    case Tunable::write_attempts:
      return config.write_attempts;
    case Tunable::spare_attempts:
      return config.spare_attempts;
    case Tunable::probes:
      return config.probes;
    case Tunable::recover_deadline_ms:
      return static_cast<u32>(config.recover_deadline_ns / kMillisecond);
    case Tunable::device_timeout_ms:
      return static_cast<u32>(config.device_timeout_ns / kMillisecond);
    case Tunable::breaker_rest_ms:
      return static_cast<u32>(config.breaker_rest_ns / kMillisecond);
    case Tunable::scrub_kib_per_s:
      return config.scrub_kib_per_s;
  }
  return 0;
}

// Out of range: `invalid`, and nothing has changed.
[[nodiscard]] constexpr Status set(VolumeConfig& config, Tunable which, u64 value) {
  if (!kTunableRange[static_cast<u32>(which)].allows(value)) return Status::invalid;
  switch (which) {
    case Tunable::read_attempts:
      config.read_attempts = static_cast<u32>(value);
      break;
    case Tunable::write_attempts:
      config.write_attempts = static_cast<u32>(value);
      break;
    case Tunable::spare_attempts:
      config.spare_attempts = static_cast<u32>(value);
      break;
    case Tunable::probes:
      config.probes = static_cast<u32>(value);
      break;
    case Tunable::recover_deadline_ms:
      config.recover_deadline_ns = value * kMillisecond;
      break;
    case Tunable::device_timeout_ms:
      config.device_timeout_ns = value * kMillisecond;
      break;
    case Tunable::breaker_rest_ms:
      config.breaker_rest_ns = value * kMillisecond;
      break;
    case Tunable::scrub_kib_per_s:
      config.scrub_kib_per_s = static_cast<u32>(value);
      break;
  }
  return Status::ok;
}

}  // namespace dmr
