// SPDX-License-Identifier: GPL-2.0-or-later
// Opening devices, and the specs that name them.
#include "runtime/device/device.h"

#include <cstring>
#include <fstream>
#include <future>
#include <unistd.h>

#include <gtest/gtest.h>

#include "runtime/testing/temp_folder.h"
#include "runtime/testing/volume_fixture.h"

namespace dmr::runtime {
namespace {

using testing::Buffer;
using testing::TempFolder;

constexpr DeviceOptions kPlain{.allow_buffered = true};

TEST(Device, TellsSizeAndBlocksOfAFile) {
  const TempFolder folder;
  const auto device = Device::open(folder.file("disk", 1 << 20), kPlain);
  ASSERT_TRUE(device) << device.error().message;
  EXPECT_EQ((*device)->sectors(), 2048U);
  EXPECT_GE((*device)->logical_block_bytes(), 512U);
  EXPECT_FALSE((*device)->is_block_device());
  EXPECT_EQ((*device)->identity(), "");
  EXPECT_EQ((*device)->layers(), nullptr);
}

TEST(Device, MissingFolderAndEmptyAreErrorsThatNameThePath) {
  const TempFolder folder;
  for (const std::string& path :
       {folder.path("missing"), folder.folder(), folder.file("empty", 0)}) {
    const auto device = Device::open(path, kPlain);
    ASSERT_FALSE(device);
    EXPECT_NE(device.error().message.find(path), std::string::npos) << device.error().message;
    EXPECT_EQ(device.error().exit_code, kExitFailed);
  }
}

TEST(Device, OddSizeIsRefusedOrCutDown) {
  const TempFolder folder;
  const std::string path = folder.file("disk", (1 << 20) + 100);
  const auto refused = Device::open(path, kPlain);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("1048676"), std::string::npos) << refused.error().message;
  DeviceOptions options = kPlain;
  options.odd_size = OddSize::cut_down;
  const auto cut = Device::open(path, options);
  ASSERT_TRUE(cut) << cut.error().message;
  EXPECT_EQ((*cut)->sectors(), 2048U);
  EXPECT_EQ((*cut)->odd_bytes(), 100U);
}

TEST(Device, SecondOpeningIsBusyUntilTheFirstHasGone) {
  const TempFolder folder;
  const std::string path = folder.file("disk", 1 << 20);
  auto first = Device::open(path, kPlain);
  ASSERT_TRUE(first);
  const auto second = Device::open(path, kPlain);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().exit_code, kExitRefused);
  EXPECT_NE(second.error().message.find("in use"), std::string::npos);
  DeviceOptions look = kPlain;
  look.exclusive = false;
  look.read_only = true;
  EXPECT_TRUE(Device::open(path, look));
  first->reset();
  EXPECT_TRUE(Device::open(path, kPlain));
}

TEST(Device, OpeningWithPatienceWaitsForTheFirstToGo) {
  const TempFolder folder;
  const std::string path = folder.file("disk", 1 << 20);
  auto first = Device::open(path, kPlain);
  ASSERT_TRUE(first);
  DeviceOptions patient = kPlain;
  patient.patience = std::chrono::minutes(1);
  std::promise<void> begun;
  auto second = std::async(std::launch::async, [&] {
    begun.set_value();
    return Device::open(path, patient).has_value();
  });
  begun.get_future().wait();
  EXPECT_EQ(second.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  first->reset();
  EXPECT_TRUE(second.get());
}

TEST(Device, ReadOnlyRefusesWrites) {
  const TempFolder folder;
  DeviceOptions options = kPlain;
  options.read_only = true;
  const auto device = Device::open(folder.file("disk", 1 << 20), options);
  ASSERT_TRUE(device);
  const Buffer buffer(4096, 1);
  EXPECT_NE((*device)->write(0, buffer.span()), 0);
}

TEST(Device, BlockingReadWriteAndFlush) {
  const TempFolder folder;
  const auto device = Device::open(folder.file("disk", 1 << 20), kPlain);
  ASSERT_TRUE(device);
  const Buffer out(8192, 0x5A);
  const Buffer in(8192);
  EXPECT_EQ((*device)->write(4096, out.span()), 0);
  EXPECT_EQ((*device)->flush(), 0);
  EXPECT_EQ((*device)->read(4096, in.span()), 0);
  EXPECT_TRUE(in.filled_with(0x5A));
  EXPECT_EQ((*device)->read((1 << 20) - 4096, in.span()), EIO);  // past the end
}

TEST(Device, FilesOfTheSameInodeOverlap) {
  const TempFolder folder;
  const std::string path = folder.file("disk", 1 << 20);
  std::filesystem::create_hard_link(path, folder.path("link"));
  DeviceOptions look = kPlain;
  look.exclusive = false;
  const auto a = Device::open(path, look);
  const auto b = Device::open(folder.path("link"), look);
  const auto c = Device::open(folder.file("other", 1 << 20), look);
  ASSERT_TRUE(a && b && c);
  EXPECT_NE(overlap_of(**a, **b), "");
  EXPECT_EQ(overlap_of(**a, **c), "");
}

TEST(DeviceSpec, DecoratorsAreReadOutermostFirst) {
  const auto spec = parse_spec("trace:/tmp/log:faulty:plan.json:volatile-cache:/dev/sdb");
  ASSERT_TRUE(spec);
  ASSERT_EQ(spec->layers.size(), 3U);
  EXPECT_EQ(spec->layers[0].kind, "trace");
  EXPECT_EQ(spec->layers[0].argument, "/tmp/log");
  EXPECT_EQ(spec->layers[1].kind, "faulty");
  EXPECT_EQ(spec->layers[2].kind, "volatile-cache");
  EXPECT_EQ(spec->path, "/dev/sdb");
}

TEST(DeviceSpec, APathMayContainColonsAndOurWords) {
  EXPECT_EQ(parse_spec("/dev/disk/by-path/pci-0000:00")->path, "/dev/disk/by-path/pci-0000:00");
  EXPECT_EQ(parse_spec("./faulty:x")->path, "./faulty:x");
  EXPECT_TRUE(parse_spec("./faulty:x")->layers.empty());
}

TEST(DeviceSpec, WhatIsIncompleteIsAUsageError) {
  for (const char* spec : {"", "faulty:", "faulty:plan.json", "faulty::/dev/sdb",
                           "trace:", "volatile-cache:", "faulty:plan.json:"}) {
    const auto parsed = parse_spec(spec);
    ASSERT_FALSE(parsed) << spec;
    EXPECT_EQ(parsed.error().exit_code, kExitUsage);
  }
}

}  // namespace
}  // namespace dmr::runtime
