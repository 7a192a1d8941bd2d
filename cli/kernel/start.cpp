// SPDX-License-Identifier: GPL-2.0-or-later
// From the members of a volume to a table of the device mapper.
#include "cli/kernel/start.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include <fmt/format.h>

#include "cli/app/status_text.h"
#include "cli/metadata/examine.h"
#include "cli/metadata/stopped_set.h"
#include "runtime/control/paths.h"
#include "runtime/device/layer.h"

namespace dmr::cli {
namespace {

// With devices that a killed server's rings still hold.
constexpr std::chrono::milliseconds kUnmountPatience{3'000};

// Another mapped device of this name, whoever made it.
Expected<void> check_name_free(const DeviceMapper& mapper, const std::string& name) {
  for (const MappedDevice& device : mapper.devices()) {
    if (device.name != name) continue;
    if (device.is_volume) {
      return refused(fmt::format(
          "volume `{}` is running already (in the kernel); `dm-remap status {}` shows it", name,
          name));
    }
    return failed(
        fmt::format("a mapped device `{}` exists that is no volume of dm-remap (`dmsetup table {}` "
                    "shows it); remove it, or use --export fuse or nbd",
                    name, name));
  }
  return {};
}

// The finding that explains why the set does not load, in the words of `check`.
std::unexpected<Error> why_not(const Examination& found, const std::vector<std::string>& paths) {
  for (const Told& told : tell(found, paths)) {
    if (told.text.weight != Weight::fatal) continue;
    return refused(fmt::format("{}; {}", told.text.what, told.text.consequence));
  }
  return failed(
      fmt::format("the metadata cannot be read: {}; see `dm-remap check`", text_of(found.status)));
}

Expected<std::vector<Finding>> look_at_metadata(const ServeOptions& options) {
  std::vector<std::string> specs;
  for (const std::string& spec : options.members.members) {
    if (!spec.empty()) specs.push_back(spec);
  }
  const auto opened = open_disks(specs, std::vector<bool>(specs.size(), false), kUnmountPatience);
  if (!opened) return std::unexpected(opened.error());
  const auto set = arrange(opened->all());
  if (!set) return std::unexpected(set.error());
  const Examination found = examine(*set, options.ignore_identity);
  if (found.status != Status::ok) return why_not(found, set->paths());
  return found.findings.all();
}

}  // namespace

Expected<void> check_kernel_can(const Located& located, DeviceMapper& mapper) {
  for (const std::string& spec : located.members) {
    if (spec.empty()) continue;
    const auto parsed = runtime::parse_spec(spec);
    if (!parsed) return std::unexpected(parsed.error());
    struct stat info{};
    const bool is_device =
        parsed->layers.empty() && stat(spec.c_str(), &info) == 0 && S_ISBLK(info.st_mode);
    if (!is_device) {
      return failed(
          fmt::format("{} is not a block device, and the kernel takes nothing else; "
                      "`losetup --find --show` makes one of a file, or use --export fuse",
                      spec));
    }
  }
  return mapper.load_target();
}

std::string table_line(const ServeOptions& options) {
  const std::vector<std::string>& members = options.members.members;
  std::string line = fmt::format("{} {}", members.at(kMain), members.size() - 1);
  for (std::size_t m = 1; m < members.size(); ++m) {
    line += " ";
    line += members[m].empty() ? "-" : members[m];
  }
  std::vector<const char*> features;
  if (options.read_only) features.push_back("read_only");
  if (options.degraded) features.push_back("degraded");
  if (features.empty()) return line;
  line += fmt::format(" {}", features.size());
  for (const char* feature : features) line += fmt::format(" {}", feature);
  return line;
}

Expected<std::string> start_in_kernel(const ServeOptions& options, DeviceMapper& mapper) {
  const std::string& name = options.exported.name;
  if (auto folder = runtime::prepare_runtime_directory(); !folder) {
    return std::unexpected(folder.error());
  }
  // Until the kernel has it, so that no server of this name begins meanwhile.
  const auto lock = runtime::NameLock::take(name);
  if (!lock) return std::unexpected(lock.error());
  if (auto free = check_name_free(mapper, name); !free) return std::unexpected(free.error());
  if (auto well = check_members(options); !well) return std::unexpected(well.error());
  const auto findings = look_at_metadata(options);
  if (!findings) return std::unexpected(findings.error());
  const format::Superblock& superblock = options.members.superblock;
  auto path = mapper.create(
      {.name = name,
       .uuid = fmt::format("{}{}", kMappingPrefix, runtime::uuid_text(superblock.header.set)),
       .sectors = superblock.volume_sectors,
       .table = table_line(options),
       .read_only = options.read_only});
  if (!path) return path;
  const bool is_writable = !options.read_only && !format::is_restored_older(superblock);
  print_findings(*findings, options.members.members,
                 {.repaired = is_writable, .degraded = options.degraded});
  return path;
}

}  // namespace dmr::cli
