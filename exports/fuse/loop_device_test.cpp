// SPDX-License-Identifier: GPL-2.0-or-later
// The block device on the file, where this user may make one; the refusal where not.
#include "exports/fuse/loop_device.h"

#include <linux/fs.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "exports/fuse/export.h"
#include "exports/testing/memory_volume.h"
#include "exports/testing/nbd_client.h"
#include "exports/testing/temporary_folder.h"

namespace dmr::fuse {
namespace {

using exports::testing::Bytes;
using exports::testing::MemoryVolume;
using exports::testing::pattern;
using runtime::FileDescriptor;

constexpr u64 kDeviceSectors = 32768;

class LoopDeviceTest : public ::testing::Test {
 protected:
  // True when this user may make loop devices here; otherwise has seen that start() says so.
  bool start() {
    const bool may = FileDescriptor(open("/dev/loop-control", O_RDWR | O_CLOEXEC)).valid();
    const auto started = export_.start();
    EXPECT_EQ(started.has_value(), may) << (started ? "" : started.error().message);
    if (!started) {
      EXPECT_THAT(started.error().message, ::testing::HasSubstr("/dev/loop-control"));
      EXPECT_FALSE(std::filesystem::exists(mount_));
    }
    return started.has_value();
  }
  FileDescriptor open_device(int flags = O_RDWR) {
    FileDescriptor device(open(export_.device_path().c_str(), flags | O_DIRECT | O_CLOEXEC));
    EXPECT_TRUE(device.valid()) << std::strerror(errno);
    return device;
  }
  std::string sysfs() const {
    return "/sys/block" + export_.device_path().substr(sizeof "/dev" - 1) + "/loop/backing_file";
  }

  MemoryVolume volume_{kDeviceSectors};
  exports::testing::TemporaryFolder folder_;
  std::string mount_ = folder_ / "mnt";
  Export export_{volume_, {.folder = mount_, .loop_device = true}};
};

TEST_F(LoopDeviceTest, IsABlockDeviceOfTheVolumesSize) {
  if (!start()) return;
  const FileDescriptor device = open_device();
  u64 bytes = 0;
  ASSERT_EQ(ioctl(device.get(), BLKGETSIZE64, &bytes), 0);
  EXPECT_EQ(bytes, kDeviceSectors * 512);
  int logical = 0;
  ASSERT_EQ(ioctl(device.get(), BLKSSZGET, &logical), 0);
  EXPECT_EQ(logical, 512);
}

TEST_F(LoopDeviceTest, DataReachesTheVolume) {
  if (!start()) return;
  const FileDescriptor device = open_device();
  const auto memory = std::unique_ptr<std::byte, void (*)(void*)>(
      static_cast<std::byte*>(std::aligned_alloc(4096, 65536)), std::free);
  const Bytes data = pattern(65536, 1);
  std::copy(data.begin(), data.end(), memory.get());
  ASSERT_EQ(pwrite(device.get(), memory.get(), data.size(), 4096), std::ssize(data));
  EXPECT_EQ(fsync(device.get()), 0);
  EXPECT_GT(volume_.flushes, 0U);
  EXPECT_EQ(volume_.content(4096, data.size()), data);
  EXPECT_EQ(volume_.misaligned, 0U);
}

TEST_F(LoopDeviceTest, LostSectorIsAnErrorOfTheDevice) {
  volume_.fail_reads(800);
  if (!start()) return;
  const FileDescriptor device = open_device();
  const auto memory = std::unique_ptr<std::byte, void (*)(void*)>(
      static_cast<std::byte*>(std::aligned_alloc(4096, 4096)), std::free);
  EXPECT_EQ(pread(device.get(), memory.get(), 512, 800 * 512), -1);
  EXPECT_EQ(errno, EIO);
  EXPECT_EQ(pread(device.get(), memory.get(), 512, 801 * 512), 512);
}

TEST_F(LoopDeviceTest, ReadOnlyVolumeIsAReadOnlyDevice) {
  volume_.is_read_only = true;
  if (!start()) return;
  const FileDescriptor device = open_device(O_RDONLY);
  int read_only = 0;
  ASSERT_EQ(ioctl(device.get(), BLKROGET, &read_only), 0);
  EXPECT_EQ(read_only, 1);
}

TEST_F(LoopDeviceTest, ClaimedDeviceIsInUse) {
  if (!start()) return;
  EXPECT_FALSE(export_.in_use());
  const FileDescriptor claim = open_device(O_RDWR | O_EXCL);
  EXPECT_TRUE(export_.in_use());
}

TEST_F(LoopDeviceTest, StopDetachesIt) {
  if (!start()) return;
  const std::string file = sysfs();
  ASSERT_TRUE(std::filesystem::exists(file));
  export_.stop();
  EXPECT_FALSE(std::filesystem::exists(file));
  EXPECT_FALSE(std::filesystem::exists(mount_));
}

}  // namespace
}  // namespace dmr::fuse
