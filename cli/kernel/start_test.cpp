// SPDX-License-Identifier: GPL-2.0-or-later
// What `start --export dm` asks of the device mapper, and when it does not.
#include "cli/kernel/start.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include "cli/testing/fake_mapper.h"
#include "runtime/control/paths.h"
#include "runtime/testing/volume_fixture.h"
#include "runtime/volume/superblock_scan.h"

namespace dmr::cli {
namespace {

using runtime::testing::create_set;
using runtime::testing::SetPaths;
using runtime::testing::TempFolder;

class StartInKernel : public ::testing::Test {
 protected:
  void SetUp() override {
    setenv("DM_REMAP_RUNTIME_DIR", folder.folder().c_str(), 1);
    create_set(SetPaths{main, {spare}});
    auto located = locate({.name = "", .main = main, .spares = {spare}, .degraded = false});
    ASSERT_TRUE(located) << located.error().message;
    options.members = *located;
    options.exported.name = "test";
  }
  void TearDown() override { unsetenv("DM_REMAP_RUNTIME_DIR"); }

  void expect_refused(int exit_code, const std::string& words) {
    const auto path = start_in_kernel(options, mapper);
    ASSERT_FALSE(path);
    EXPECT_EQ(path.error().exit_code, exit_code);
    EXPECT_NE(path.error().message.find(words), std::string::npos) << path.error().message;
    EXPECT_TRUE(mapper.created.empty());
  }

  TempFolder folder;
  std::string main = folder.file("main", u64{16} << 20);
  std::string spare = folder.file("spare", u64{4} << 20);
  testing::FakeMapper mapper;
  ServeOptions options;
};

TEST_F(StartInKernel, MakesTheMappingOfTheWholeVolume) {
  const auto path = start_in_kernel(options, mapper);
  ASSERT_TRUE(path) << path.error().message;
  EXPECT_EQ(*path, "/dev/mapper/test");
  ASSERT_EQ(mapper.created.size(), 1U);
  const Mapping& made = mapper.created.front();
  EXPECT_EQ(made.name, "test");
  EXPECT_EQ(made.uuid, "DMREMAP-" + runtime::uuid_text(options.members.superblock.header.set));
  EXPECT_EQ(made.sectors, 32768U);
  EXPECT_EQ(made.table, main + " 1 " + spare);
  EXPECT_FALSE(made.read_only);
}

TEST_F(StartInKernel, CarriesOptionsOverAsFeatures) {
  options.read_only = options.degraded = true;
  options.ignore_identity = true;  // the kernel compares no serial numbers
  options.members.members = {"/dev/sda", "", "/dev/sdc"};
  EXPECT_EQ(table_line(options), "/dev/sda 2 - /dev/sdc 2 read_only degraded");
}

TEST_F(StartInKernel, TakesBlockDevicesOnly) {
  const auto can = check_kernel_can(options.members, mapper);
  ASSERT_FALSE(can);
  EXPECT_NE(can.error().message.find(main + " is not a block device"), std::string::npos);
  mapper.has_module = false;
  Located none;
  EXPECT_EQ(check_kernel_can(none, mapper).error().message, "no module");
}

TEST_F(StartInKernel, RefusesANameThatRuns) {
  mapper.add_volume("test");
  expect_refused(runtime::kExitRefused, "is running already (in the kernel)");
  mapper.present.front().is_volume = false;
  expect_refused(runtime::kExitFailed, "no volume of dm-remap");
  mapper.present.clear();
  const auto server = runtime::NameLock::take("test");
  ASSERT_TRUE(server);
  expect_refused(runtime::kExitRefused, "running already");
}

TEST_F(StartInKernel, SaysWhatIsWrongWithTheMetadataInItsOwnWords) {
  options.members.members[0] = folder.file("other", u64{8} << 20);
  options.members.members[1] = spare;
  expect_refused(runtime::kExitRefused, "other");
}

TEST_F(StartInKernel, PassesTheKernelsRefusalOn) {
  mapper.create_error = "the kernel says no";
  expect_refused(runtime::kExitRefused, "the kernel says no");
}

}  // namespace
}  // namespace dmr::cli
