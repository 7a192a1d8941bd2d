// SPDX-License-Identifier: GPL-2.0-or-later
// Volumes among the mapped devices of sysfs, and the kernel's words in its log.
#include "cli/kernel/mapped_devices.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "cli/kernel/kernel_log.h"
#include "runtime/testing/temp_folder.h"

namespace dmr::cli {
namespace {

namespace fs = std::filesystem;

void put(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text << "\n";
}

TEST(MappedDevices, VolumesAreToldFromOthers) {
  const runtime::testing::TempFolder folder;
  const fs::path root = folder.folder();
  put(root / "dm-1/dm/name", "tank");
  put(root / "dm-1/dm/uuid", "DMREMAP-00112233");
  put(root / "dm-1/size", "2048");
  put(root / "dm-1/slaves/sdb/dev", "8:16");
  put(root / "dm-1/slaves/sdc1/dev", "8:33");
  put(root / "dm-2/dm/name", "by-hand");
  put(root / "dm-2/dm/uuid", "");
  put(root / "dm-2/remap/0/state", "rw");
  put(root / "dm-3/dm/name", "crypt");
  put(root / "dm-3/dm/uuid", "CRYPT-LUKS2-x");
  put(root / "dm-4/size", "8");  // not there yet
  put(root / "sdb/size", "4096");

  const std::vector<MappedDevice> devices = mapped_devices(folder.folder());
  ASSERT_EQ(devices.size(), 3U);
  EXPECT_EQ(devices[0].name, "by-hand");
  EXPECT_TRUE(devices[0].is_volume);
  EXPECT_EQ(devices[1].name, "crypt");
  EXPECT_FALSE(devices[1].is_volume);
  EXPECT_EQ(devices[2].name, "tank");
  EXPECT_TRUE(devices[2].is_volume);
  EXPECT_EQ(devices[2].sectors, 2048U);
  EXPECT_EQ(devices[2].path, "/dev/dm-1");
  EXPECT_EQ(devices[2].members, (std::vector<std::string>{"8:16", "8:33"}));
}

TEST(KernelLog, TheTargetsOwnWordsAreTakenOutOfALine) {
  EXPECT_EQ(
      words_of_target("3,991,5512,-;device-mapper: remap: 253:0: refused: a member is missing "
                      "(feature `degraded` starts without) (-19)\n SUBSYSTEM=x\n"),
      "a member is missing (feature `degraded` starts without)");
  EXPECT_EQ(words_of_target("3,992,5513,-;device-mapper: table: 253:0: remap: Device cannot be "
                            "opened (-EBUSY)\n"),
            "Device cannot be opened");
  EXPECT_EQ(words_of_target("6,993,5514,-;loop0: detected capacity change\n"), "");
  EXPECT_EQ(words_of_target("3,994,1,-;device-mapper: table: 253:0: linear: no (-EINVAL)\n"), "");
}

}  // namespace
}  // namespace dmr::cli
