// SPDX-License-Identifier: GPL-2.0-or-later
// The right disks or none: what UserVolume::open refuses, and the sentence that it says.
#include "runtime/volume/open_set.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "runtime/testing/volume_fixture.h"

namespace dmr::runtime {
namespace {

using namespace testing;

constexpr u64 kMebibyte = u64{1024} * 1024;

class OpenSetTest : public ::testing::Test {
 protected:
  OpenSetTest() {
    set = {folder.file("main", 16 * kMebibyte),
           {folder.file("one", 4 * kMebibyte), folder.file("two", 6 * kMebibyte)}};
    create_set(set);
  }
  // Opens and closes; the error's text, empty when all went well.
  std::string open(const SetPaths& paths, const VolumeOptions& options = {}) {
    auto volume = open_set(paths, options);
    exit_code = volume ? 0 : volume.error().exit_code;
    if (!volume) return volume.error().message;
    const auto closed = (*volume)->close();
    return closed ? "" : closed.error().message;
  }
  static bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }
  void overwrite(const std::string& path, u64 offset, u64 bytes) const {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    file << std::string(bytes, 'X');
  }

  TempFolder folder{TempFolder::Where::memory};
  SetPaths set;
  int exit_code = 0;
};

TEST_F(OpenSetTest, SparesAreTakenInAnyOrder) {
  EXPECT_EQ(open(set), "");
  EXPECT_EQ(open({set.main, {set.spares[1], set.spares[0]}}), "");
}

TEST_F(OpenSetTest, MissingSpareIsRefusedUnlessToldSo) {
  const std::string error = open({set.main, {set.spares[1]}});
  EXPECT_TRUE(has(error, "spare 1: is missing")) << error;
  EXPECT_TRUE(has(error, "--degraded")) << error;
  EXPECT_EQ(exit_code, kExitRefused);
  VolumeOptions options;
  options.allow_degraded = true;
  EXPECT_EQ(open({set.main, {set.spares[1]}}, options), "");
}

TEST_F(OpenSetTest, WrongMainIsRefusedWithBothSizes) {
  const std::string other = folder.file("other", 15 * kMebibyte);
  const std::string error = open({other, set.spares});
  EXPECT_TRUE(has(error, other)) << error;
  EXPECT_TRUE(has(error, "30720")) << error;
  EXPECT_TRUE(has(error, "32768")) << error;
  EXPECT_EQ(exit_code, kExitRefused);
}

TEST_F(OpenSetTest, MainAndSpareSwappedIsRefused) {
  const std::string error = open({set.spares[0], {set.main, set.spares[1]}});
  EXPECT_NE(error, "");
  EXPECT_NE(exit_code, 0);
}

TEST_F(OpenSetTest, SpareOfAnotherVolumeIsRefusedWithBothSets) {
  const SetPaths other{folder.file("main2", 16 * kMebibyte),
                       {folder.file("x", 4 * kMebibyte), folder.file("y", 6 * kMebibyte)}};
  create_set(other);
  const std::string error = open({set.main, {set.spares[0], other.spares[1]}});
  EXPECT_TRUE(has(error, "belongs to another volume")) << error;
  EXPECT_EQ(exit_code, kExitRefused);
}

TEST_F(OpenSetTest, TwoSparesOfOnePlaceAreRefused) {
  const std::string copy = folder.path("copy");
  std::filesystem::copy_file(set.spares[0], copy);
  const std::string error = open({set.main, {set.spares[0], copy}});
  EXPECT_TRUE(has(error, copy)) << error;
  EXPECT_EQ(exit_code, kExitRefused);
}

TEST_F(OpenSetTest, OverlappingMembersAreRefused) {
  std::filesystem::create_hard_link(set.spares[0], folder.path("link"));
  const DeviceOptions look{.exclusive = false, .allow_buffered = true};
  std::vector<std::unique_ptr<Device>> spares;
  spares.push_back(*Device::open(set.spares[0], look));
  spares.push_back(*Device::open(folder.path("link"), look));
  const auto slots = arrange_members(nullptr, std::move(spares));
  ASSERT_FALSE(slots);
  EXPECT_TRUE(has(slots.error().message, "same file")) << slots.error().message;
  EXPECT_EQ(slots.error().exit_code, kExitRefused);
}

TEST_F(OpenSetTest, SparesWithoutASuperblockAreNoVolume) {
  const std::string error =
      open({set.main, {folder.file("blank", 4 * kMebibyte), folder.file("blank2", 6 * kMebibyte)}});
  EXPECT_TRUE(has(error, "holds no volume of ours")) << error;
  EXPECT_EQ(exit_code, kExitFailed);
}

TEST_F(OpenSetTest, OneDamagedSuperblockCopyIsRepairedAndReported) {
  overwrite(set.spares[0], 4096 + 200, 8);
  auto main = open_device(set.main);
  std::vector<std::unique_ptr<Device>> spares;
  for (const std::string& path : set.spares) spares.push_back(*open_device(path));
  std::vector<Finding> findings;
  auto volume = UserVolume::open(std::move(*main), std::move(spares), {}, &findings);
  ASSERT_TRUE(volume) << volume.error().message;
  EXPECT_TRUE(std::any_of(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.kind == FindingKind::superblock_damaged && finding.member == 1;
  }));
  ASSERT_TRUE((*volume)->close());
  volume->reset();
  findings.clear();
  EXPECT_EQ(open(set), "");
}

TEST_F(OpenSetTest, NoGoodSuperblockIsDamageAndChangesNothing) {
  const std::string spare = set.spares[0];
  for (u64 offset = 0; offset < 4 * kMebibyte; offset += 4096) overwrite(spare, offset + 100, 8);
  const std::string error = open({set.main, {spare}});
  EXPECT_NE(error, "");
  EXPECT_NE(exit_code, 0);
  std::fstream file(spare, std::ios::in | std::ios::binary);
  file.seekg(4096 + 100);
  std::string text(8, ' ');
  file.read(text.data(), 8);
  EXPECT_EQ(text, "XXXXXXXX");
}

TEST_F(OpenSetTest, NoSpareAndTooManySparesAreUsageErrors) {
  EXPECT_FALSE(arrange_members(nullptr, {}));
  std::vector<std::unique_ptr<Device>> many;
  for (u32 i = 0; i <= kMaxSpares; ++i) {
    many.push_back(*open_device(folder.file("s" + std::to_string(i), kMebibyte)));
  }
  const auto slots = arrange_members(nullptr, std::move(many));
  ASSERT_FALSE(slots);
  EXPECT_EQ(slots.error().exit_code, kExitUsage);
}

}  // namespace
}  // namespace dmr::runtime
