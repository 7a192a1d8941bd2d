// SPDX-License-Identifier: GPL-2.0-or-later
// Asks libblkid what lies on a device.
#include "cli/device/content.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <string_view>
#include <unistd.h>

#include <blkid/blkid.h>
#include <fmt/format.h>

namespace dmr::cli {
namespace {

struct FreeProbe {
  void operator()(blkid_struct_probe* probe) const { blkid_free_probe(probe); }
};
using Probe = std::unique_ptr<blkid_struct_probe, FreeProbe>;

std::string value_of(blkid_probe probe, const char* name) {
  const char* value = nullptr;
  if (blkid_probe_lookup_value(probe, name, &value, nullptr) != 0 || value == nullptr) return "";
  return value;
}

const char* article(std::string_view word) {
  return word.find_first_of("aeiouAEIOU") == 0 || word.starts_with("xfs") ? "an" : "a";
}

std::string describe(blkid_probe probe) {
  const std::string type = value_of(probe, "TYPE");
  const std::string usage = value_of(probe, "USAGE");
  const std::string label = value_of(probe, "LABEL");
  const std::string table = value_of(probe, "PTTYPE");
  if (type.empty() && !table.empty())
    return fmt::format("{} {} partition table", article(table), table);
  if (type.empty()) return "data of an unknown kind";
  const char* kind = "volume";
  if (usage == "filesystem") kind = "filesystem";
  if (usage == "raid") kind = "raid member";
  if (type == "swap") kind = "area";
  const std::string with_label = label.empty() ? "" : fmt::format(" (label \"{}\")", label);
  return fmt::format("{} {} {}{}", article(type), type, kind, with_label);
}

}  // namespace

Expected<std::string> content_of(const runtime::Device& device) {
  // A descriptor of its own: libblkid reads a few bytes here and there, direct I/O would refuse.
  const runtime::FileDescriptor fd(open(device.path().c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd.valid()) {
    return failed(fmt::format("{} cannot be examined: {}", device.path(), std::strerror(errno)));
  }
  const Probe probe(blkid_new_probe());
  if (probe == nullptr || blkid_probe_set_device(probe.get(), fd.get(), 0, 0) != 0) {
    return failed(fmt::format("{} cannot be examined by libblkid", device.path()));
  }
  blkid_probe_enable_superblocks(probe.get(), 1);
  blkid_probe_set_superblocks_flags(probe.get(),
                                    BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE | BLKID_SUBLKS_LABEL);
  blkid_probe_enable_partitions(probe.get(), 1);
  switch (blkid_do_safeprobe(probe.get())) {
    case 0:
      return describe(probe.get());
    case 1:
      return std::string();
    case -2:
      return std::string("signatures of more than one filesystem");
    default:
      return failed(
          fmt::format("{} cannot be read where filesystems keep their signatures", device.path()));
  }
}

Expected<void> wipe_signatures(const runtime::Device& device) {
  constexpr int kMaxSignatures = 64;
  const std::string problem =
      fmt::format("the old signatures on {} cannot be erased", device.path());
  const runtime::FileDescriptor fd(open(device.path().c_str(), O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!fd.valid()) return failed(fmt::format("{}: {}", problem, std::strerror(errno)));
  const Probe probe(blkid_new_probe());
  if (probe == nullptr || blkid_probe_set_device(probe.get(), fd.get(), 0, 0) != 0) {
    return failed(problem);
  }
  blkid_probe_enable_superblocks(probe.get(), 1);
  blkid_probe_set_superblocks_flags(probe.get(), BLKID_SUBLKS_MAGIC | BLKID_SUBLKS_TYPE);
  blkid_probe_enable_partitions(probe.get(), 1);
  blkid_probe_set_partitions_flags(probe.get(), BLKID_PARTS_MAGIC);
  int erased = 0;
  while (blkid_do_probe(probe.get()) == 0) {
    if (++erased > kMaxSignatures || blkid_do_wipe(probe.get(), 0) != 0) return failed(problem);
  }
  if (fsync(fd.get()) != 0) return failed(fmt::format("{}: {}", problem, std::strerror(errno)));
  return {};
}

}  // namespace dmr::cli
