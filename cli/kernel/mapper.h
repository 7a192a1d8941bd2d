// SPDX-License-Identifier: GPL-2.0-or-later
// What the commands ask of the kernel's device mapper. The system's own is one implementation;
// tests put another in its place.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/app/outcome.h"
#include "core/base/types.h"

namespace dmr::cli {

// By its UUID a mapped device is told from those of other programs: this, then the set's UUID.
inline constexpr std::string_view kMappingPrefix = "DMREMAP-";

struct MappedDevice {
  std::string name;
  std::string uuid;
  std::string path;  // "/dev/dm-3"
  u64 sectors = 0;
  std::vector<std::string> members;  // device numbers, "8:17"
  bool is_volume = false;            // it has the target `remap`
};

struct Mapping {
  std::string name;
  std::string uuid;
  u64 sectors = 0;
  std::string table;  // what follows `remap` in the table
  bool read_only = false;
};

class DeviceMapper {
 public:
  virtual ~DeviceMapper() = default;

  // All mapped devices, sorted by name. Any user may ask.
  [[nodiscard]] virtual std::vector<MappedDevice> devices() const = 0;

  // ---- root only; each error says what to do ----
  // Makes sure that the kernel has the target `remap`; loads its module when it has not.
  [[nodiscard]] virtual Expected<void> load_target() = 0;
  // Returns the path of the new device. What the kernel has to say against it is in the error.
  [[nodiscard]] virtual Expected<std::string> create(const Mapping& mapping) = 0;
  [[nodiscard]] virtual Expected<std::string> message(const std::string& name,
                                                      const std::string& words) = 0;
  [[nodiscard]] virtual Expected<u64> users_of(const std::string& name) = 0;
  [[nodiscard]] virtual Expected<void> remove(const std::string& name) = 0;
  // Though it is in use: its users get errors from now on, its members are free at once, and it
  // goes with its last user.
  [[nodiscard]] virtual Expected<void> pull_out(const std::string& name) = 0;
};

// The mapped device that is the volume `name`, when the kernel runs it.
[[nodiscard]] bool is_in_kernel(const DeviceMapper& mapper, std::string_view name);
// Where it is found: by its name where udev or libdevmapper made one, else by its number.
[[nodiscard]] std::string path_of(const MappedDevice& device);

// The device mapper of this machine.
[[nodiscard]] DeviceMapper& system_mapper();

}  // namespace dmr::cli
