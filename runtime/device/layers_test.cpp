// SPDX-License-Identifier: GPL-2.0-or-later
// Each decorator does what its plan says, and nothing else.
#include <cerrno>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "runtime/device/faulty.h"
#include "runtime/device/volatile_cache.h"
#include "runtime/testing/temp_folder.h"
#include "runtime/testing/volume_fixture.h"

namespace dmr::runtime {
namespace {

using testing::Buffer;
using testing::TempFolder;
using Json = nlohmann::json;

class LayersTest : public ::testing::Test {
 protected:
  void open(const std::string& decorators) {
    auto opened = Device::open(decorators + folder.file("disk", 1 << 20),
                               DeviceOptions{.allow_buffered = true});
    ASSERT_TRUE(opened) << opened.error().message;
    device = std::move(*opened);
  }
  void open_faulty(const Json& plan) {
    open("faulty:" + folder.text_file("plan.json", plan.dump()) + ":");
  }
  LayerResult run(IoOp op, u64 sector, u64 sectors, u8 fill = 0, bool fua = false) {
    buffer = Buffer(sectors * kSectorBytes + 512, fill);
    return device->layers()->run({.op = op,
                                  .fua = fua,
                                  .offset = sector * kSectorBytes,
                                  .length = sectors * kSectorBytes,
                                  .data = buffer.data()});
  }
  int write(u64 sector, u64 sectors, u8 value) {
    return run(IoOp::write, sector, sectors, value).error;
  }
  int read(u64 sector, u64 sectors) { return run(IoOp::read, sector, sectors).error; }
  // The value that a single sector has, -1 when it cannot be read.
  int value(u64 sector) { return read(sector, 1) == 0 ? static_cast<int>(*buffer.data()) : -1; }
  // What is really on the disk, below all decorators.
  int stored(u64 sector) {
    std::ifstream file(folder.path("disk"), std::ios::binary);
    file.seekg(static_cast<std::streamoff>(sector * kSectorBytes));
    return file.get();
  }

  TempFolder folder;
  std::unique_ptr<Device> device;
  Buffer buffer{0};
};

TEST_F(LayersTest, FaultyFailsWhatTouchesABadRangeInItsDirection) {
  open_faulty({{"ranges",
                {{{"sector", 100}, {"count", 4}, {"on", "read"}, {"error", "ENODATA"}},
                 {{"sector", 200}, {"count", 1}, {"on", "write"}},
                 {{"sector", 300}, {"count", 1}, {"error", "ETIMEDOUT"}}}}});
  EXPECT_EQ(read(96, 4), 0);
  EXPECT_EQ(read(96, 8), ENODATA);
  EXPECT_TRUE(buffer.filled_with(0xBD, 0, 8 * 512));  // never data that looks good
  EXPECT_EQ(read(103, 1), ENODATA);
  EXPECT_EQ(read(104, 1), 0);
  EXPECT_EQ(write(100, 4, 1), 0);
  EXPECT_EQ(write(200, 1, 1), EIO);
  EXPECT_EQ(stored(200), 0);
  EXPECT_EQ(read(200, 1), 0);
  EXPECT_EQ(read(300, 1), ETIMEDOUT);
  EXPECT_EQ(write(300, 1, 1), ETIMEDOUT);
  EXPECT_EQ(read(100, 1), ENODATA);  // sticky
}

TEST_F(LayersTest, FaultyTransientFaultEndsAfterItsTimes) {
  open_faulty({{"ranges", {{{"sector", 10}, {"count", 8}, {"times", 2}}}}});
  EXPECT_EQ(read(10, 1), EIO);
  EXPECT_EQ(write(17, 1, 1), EIO);
  EXPECT_EQ(read(10, 8), 0);
}

TEST_F(LayersTest, FaultyRangeIsHealedWhereItIsWritten) {
  open_faulty(
      {{"ranges", {{{"sector", 10}, {"count", 8}, {"on", "read"}, {"healed_by_write", true}}}}});
  EXPECT_EQ(write(12, 2, 0x77), 0);
  EXPECT_EQ(value(12), 0x77);
  EXPECT_EQ(value(13), 0x77);
  EXPECT_EQ(value(11), -1);
  EXPECT_EQ(value(14), -1);
  EXPECT_EQ(value(17), -1);
  EXPECT_EQ(write(8, 16, 1), 0);
  EXPECT_EQ(read(8, 16), 0);
}

TEST_F(LayersTest, FaultyTornWriteStoresTheGoodSectorsAround) {
  open_faulty({{"ranges", {{{"sector", 20}, {"count", 2}, {"torn", true}}}}});
  EXPECT_EQ(write(18, 6, 0x31), EIO);
  EXPECT_EQ(stored(18), 0x31);
  EXPECT_EQ(stored(19), 0x31);
  EXPECT_EQ(stored(20), 0);
  EXPECT_EQ(stored(21), 0);
  EXPECT_EQ(stored(22), 0x31);
}

TEST_F(LayersTest, FaultySlowRangeSaysHowLate) {
  open_faulty({{"ranges", {{{"sector", 30}, {"count", 1}, {"error", "none"}, {"slow_ms", 40}}}}});
  EXPECT_EQ(run(IoOp::read, 30, 1).delay_ms, 40U);
  EXPECT_EQ(run(IoOp::read, 30, 1).error, 0);
  EXPECT_EQ(run(IoOp::read, 31, 1).delay_ms, 0U);
}

TEST_F(LayersTest, FaultyHeldReadsWaitUntilTheyAreReleased) {
  open_faulty({{"ranges", {{{"sector", 30}, {"count", 2}, {"times", 1}, {"held_ms", 60'000}}}}});
  for (u32 i = 0; i < 3; ++i) EXPECT_TRUE(run(IoOp::read, 28, 3).again);
  EXPECT_FALSE(run(IoOp::read, 28, 2).again);
  EXPECT_EQ(device->read(31 * kSectorBytes, Buffer(kSectorBytes).span()), ETIMEDOUT);
  ASSERT_TRUE(device->layers()->control({{"release", true}}));
  EXPECT_EQ(read(31, 1), EIO);  // the one time
  EXPECT_EQ(read(31, 1), 0);
}

TEST_F(LayersTest, FaultyHeldReadsTimeOutInTheEnd) {
  open_faulty({{"ranges", {{{"sector", 30}, {"count", 2}, {"held_ms", 1}}}}});
  LayerResult result = run(IoOp::read, 30, 1);
  for (u64 tries = 0; result.again && tries < 1'000'000'000; ++tries) {
    result = run(IoOp::read, 30, 1);
  }
  EXPECT_FALSE(result.again);
  EXPECT_EQ(result.error, ETIMEDOUT);
}

TEST_F(LayersTest, FaultyDeviceGoesAwayAndComesBack) {
  open_faulty({{"gone_after", 2}, {"gone_error", "ENXIO"}});
  EXPECT_EQ(read(0, 1), 0);
  EXPECT_EQ(read(0, 1), 0);
  EXPECT_EQ(read(0, 1), ENXIO);
  EXPECT_EQ(run(IoOp::flush, 0, 0).error, ENXIO);
  ASSERT_TRUE(device->layers()->control({{"clear", true}}));
  EXPECT_EQ(read(0, 1), 0);
}

TEST_F(LayersTest, FaultyIsControlledAtRunTime) {
  open_faulty(Json::object());
  Layer& layer = *device->layers();
  const auto added = layer.control({{"add", {{{"sector", 5}}}}});
  ASSERT_TRUE(added);
  EXPECT_EQ(added->at("ranges"), 1);
  EXPECT_EQ(read(5, 1), EIO);
  ASSERT_TRUE(layer.control({{"flush_error", "EIO"}}));
  EXPECT_EQ(run(IoOp::flush, 0, 0).error, EIO);
  const auto report = layer.control(Json::object());
  EXPECT_EQ(report->at("failed_reads"), 1);
  EXPECT_EQ(report->at("failed_flushes"), 1);
  ASSERT_TRUE(layer.control({{"reload", true}}));
  EXPECT_EQ(read(5, 1), 0);
  EXPECT_FALSE(layer.control({{"explode", true}}));
  EXPECT_FALSE(layer.control(Json::array()));
}

TEST_F(LayersTest, FaultyPlanWithAMistakeIsRefusedInWords) {
  const char* plans[] = {"[]",
                         "{",
                         R"({"range": []})",
                         R"({"ranges": {}})",
                         R"({"ranges": [{"count": 1}]})",
                         R"({"ranges": [{"sector": -1}]})",
                         R"({"ranges": [{"sector": 1, "count": 0}]})",
                         R"({"ranges": [{"sector": 1, "slow_ms": 3600001}]})",
                         R"({"ranges": [{"sector": 1, "held_ms": 3600001}]})",
                         R"({"ranges": [{"sector": 1, "error": "EWHAT"}]})",
                         R"({"ranges": [{"sector": 1, "on": "sometimes"}]})",
                         R"({"ranges": [{"sector": 1, "slow": 3}]})"};
  for (const char* plan : plans) {
    const std::string spec =
        "faulty:" + folder.text_file("bad.json", plan) + ":" + folder.file("disk", 1 << 20);
    const auto opened = Device::open(spec, DeviceOptions{.allow_buffered = true});
    ASSERT_FALSE(opened) << plan;
    EXPECT_NE(opened.error().message.find("bad.json"), std::string::npos);
  }
  open_faulty({{"ranges", {{{"sector", 1}, {"slow_ms", 3'600'000}, {"held_ms", 3'600'000}}}}});
}

TEST_F(LayersTest, VolatileCacheKeepsWritesUntilTheFlush) {
  open("volatile-cache:");
  EXPECT_EQ(write(8, 2, 0x21), 0);
  EXPECT_EQ(value(8), 0x21);
  EXPECT_EQ(stored(8), 0);
  EXPECT_EQ(run(IoOp::write, 9, 1, 0x22, true).error, 0);  // FUA
  EXPECT_EQ(stored(9), 0x22);
  EXPECT_EQ(value(9), 0x22);
  EXPECT_EQ(run(IoOp::flush, 0, 0).error, 0);
  EXPECT_EQ(stored(8), 0x21);
  EXPECT_EQ(stored(9), 0x22);
}

TEST_F(LayersTest, VolatileCacheForgetsWhatThePowerCutChooses) {
  open("volatile-cache:");
  EXPECT_EQ(write(16, 4, 0x40), 0);
  EXPECT_EQ(run(IoOp::flush, 0, 0).error, 0);
  EXPECT_EQ(write(16, 4, 0x41), 0);
  auto& cache = static_cast<VolatileCacheLayer&>(*device->layers());
  EXPECT_EQ(cache.unflushed_sectors(), 4U);
  EXPECT_EQ(cache.power_cut([](u64 sector) { return sector % 2 == 0; }), 0);
  EXPECT_EQ(read(16, 1), ENODEV);
  cache.power_on();
  EXPECT_EQ(value(16), 0x41);
  EXPECT_EQ(value(17), 0x40);
  EXPECT_EQ(value(18), 0x41);
  EXPECT_EQ(value(19), 0x40);
}

TEST_F(LayersTest, VolatileCacheKeepsItsContentWhenTheDiskRefusesTheFlush) {
  open("volatile-cache:faulty:" +
       folder.text_file("plan.json", R"({"ranges": [{"sector": 3, "on": "write", "times": 1}]})") +
       ":");
  EXPECT_EQ(write(3, 1, 0x66), 0);
  EXPECT_EQ(run(IoOp::flush, 0, 0).error, EIO);
  EXPECT_EQ(run(IoOp::flush, 0, 0).error, 0);
  EXPECT_EQ(stored(3), 0x66);
}

TEST_F(LayersTest, TraceWritesALineForEachIo) {
  open("trace:" + folder.path("log") +
       ":faulty:" + folder.text_file("plan.json", R"({"ranges": [{"sector": 9}]})") + ":");
  EXPECT_EQ(write(1, 2, 1), 0);
  EXPECT_EQ(read(9, 1), EIO);
  EXPECT_EQ(run(IoOp::flush, 0, 0).error, 0);
  std::ifstream log(folder.path("log"));
  std::vector<std::string> lines;
  for (std::string line; std::getline(log, line);) lines.push_back(line);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_NE(lines[0].find(" write 1 2 0 "), std::string::npos) << lines[0];
  EXPECT_NE(lines[1].find(" read 9 1 5 "), std::string::npos) << lines[1];
  EXPECT_NE(lines[2].find(" flush 0 0 0 "), std::string::npos) << lines[2];
}

}  // namespace
}  // namespace dmr::runtime
