// SPDX-License-Identifier: GPL-2.0-or-later
// What a running volume says of itself, in the keys of docs/control-protocol.md: the same whether a
// server or the kernel runs it.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/geometry/geometry.h"
#include "core/index/index.h"
#include "core/volume/stats.h"
#include "runtime/volume/event_log.h"
#include "runtime/volume/queue_shared.h"

namespace dmr::runtime {

// A member that is there.
struct MemberPlace {
  std::string path;
  std::string spec;  // with decorators
  std::string identity;
  bool buffered = false;
};

struct VolumeReport {
  int pid = 0;  // of the server; 0: it runs in the kernel
  std::string name;
  std::string set;
  bool read_only = false;
  bool flush_refused = false;  // and no write is taken before the volume is opened again
  u32 logical_block_bytes = 0;
  VolumeStats stats;
  u64 scrub_kib_per_s = 0;
  IoCounters io;
  std::array<std::optional<MemberPlace>, kMaxMembers> place;
  u64 newest_event = 0;
};

[[nodiscard]] const char* name_of(format::MemberState state);
[[nodiscard]] std::optional<format::MemberState> member_state_of(std::string_view name);
[[nodiscard]] const char* name_of(ScrubState state);
[[nodiscard]] std::optional<ScrubState> scrub_state_of(std::string_view name);
[[nodiscard]] nlohmann::json status_json(const VolumeReport& report);
[[nodiscard]] nlohmann::json scrub_json(const ScrubStats& scrub, u64 kib_per_s);
[[nodiscard]] nlohmann::json event_json(const LoggedEvent& entry);
[[nodiscard]] nlohmann::json map_json(const std::vector<Run>& runs, const Geometry& geometry);

}  // namespace dmr::runtime
