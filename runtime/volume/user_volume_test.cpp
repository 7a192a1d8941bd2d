// SPDX-License-Identifier: GPL-2.0-or-later
// Real volumes over files: what a user's program sees of them.
#include "runtime/volume/user_volume.h"

#include <cerrno>

#include <gtest/gtest.h>

#include "runtime/queue/volume_queue.h"
#include "runtime/testing/volume_fixture.h"

namespace dmr::runtime {
namespace {

using namespace testing;
using Json = nlohmann::json;

constexpr u64 kMiB = u64{1024} * 1024;

class UserVolumeTest : public ::testing::Test {
 protected:
  void make(const Json& main_plan = Json::object(), const Json& spare_plan = Json::object()) {
    const SetPaths plain{folder.file("main", 64 * kMiB), {folder.file("spare", 8 * kMiB)}};
    create_set(plain);
    specs.main = "faulty:" + folder.text_file("main.json", main_plan.dump()) + ":" + plain.main;
    specs.spares = {"faulty:" + folder.text_file("spare.json", spare_plan.dump()) + ":" +
                    plain.spares[0]};
    open();
  }
  void open(const VolumeOptions& options = {}) {
    auto opened = open_set(specs, options);
    ASSERT_TRUE(opened) << opened.error().message;
    volume = std::move(*opened);
  }
  void reopen() {
    ASSERT_TRUE(volume->close());
    volume.reset();
    open();
  }

  TempFolder folder{TempFolder::Where::memory};
  SetPaths specs;
  std::unique_ptr<UserVolume> volume;
};

TEST_F(UserVolumeTest, ReadsBackWhatWasWritten) {
  make();
  Client client(*volume);
  EXPECT_EQ(client.fill(Sector(1000), 8, 0x11).error, 0);
  EXPECT_EQ(client.fill(Sector(20000), 10000, 0x22).error, 0);  // cut into several pieces
  EXPECT_EQ(client.flush().error, 0);
  EXPECT_EQ(client.value_of(Sector(1000), 8), 0x11);
  EXPECT_EQ(client.value_of(Sector(20000), 10000), 0x22);
  EXPECT_EQ(client.value_of(Sector(40000), 8), 0);
  const IoCounters io = volume->io_counters();
  EXPECT_EQ(io.writes, 2U);
  EXPECT_EQ(io.reads, 3U);
  EXPECT_EQ(io.flushes, 1U);
  EXPECT_EQ(io.write_bytes, 10008U * 512);
  EXPECT_EQ(io.slow_pieces, 0U);
  EXPECT_EQ(io.errors, 0U);
}

TEST_F(UserVolumeTest, WriteThatMainRefusesGoesToTheSpareAndStaysThere) {
  make({{"ranges", {{{"sector", 1002}, {"count", 2}}}}});
  {
    Client client(*volume);
    EXPECT_EQ(client.fill(Sector(1000), 8, 0x33).error, 0);
    EXPECT_EQ(client.value_of(Sector(1000), 8), 0x33);
    EXPECT_EQ(client.fill(Sector(992), 24, 0x34).error, 0);
    EXPECT_EQ(client.value_of(Sector(992), 24), 0x34);
    EXPECT_EQ(client.flush().error, 0);
  }
  EXPECT_EQ(volume->stats().remapped_blocks, 1U);
  u64 cursor = 0;
  const std::vector<dmr::Run> runs = volume->map(cursor, 10);
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_EQ(runs[0].begin, Block(125));
  EXPECT_EQ(runs[0].home.member, 1);
  reopen();
  Client client(*volume);
  EXPECT_EQ(client.value_of(Sector(992), 24), 0x34);
}

TEST_F(UserVolumeTest, UnreadableSectorIsLostPreciselyUntilItIsWritten) {
  make();
  Client client(*volume);
  ASSERT_EQ(client.fill(Sector(800), 16, 0x44).error, 0);
  ASSERT_TRUE(
      faulty(*volume, kMain)
          .control(
              {{"add", {{{"sector", 805}, {"count", 1}, {"on", "read"}, {"error", "ENODATA"}}}}}));
  const Answer answer = client.read(Sector(800), 16, *std::make_unique<Buffer>(16 * 512));
  EXPECT_EQ(answer.error, EIO);
  EXPECT_EQ(answer.bad, Sector(805));
  EXPECT_EQ(client.value_of(Sector(800), 5), 0x44);
  EXPECT_EQ(client.value_of(Sector(806), 10), 0x44);
  EXPECT_EQ(client.value_of(Sector(805), 1), -2);
  EXPECT_EQ(client.fill(Sector(805), 1, 0x55).error, 0);
  EXPECT_EQ(client.value_of(Sector(805), 1), 0x55);
  EXPECT_EQ(volume->stats().lost_sectors, 0U);
}

TEST_F(UserVolumeTest, ExhaustedSpareIsNoSpace) {
  make({{"ranges", {{{"sector", 0}, {"count", 131072}, {"on", "write"}}}}});
  ASSERT_TRUE(faulty(*volume, kMain).control({{"clear", true}}));
  Client client(*volume);
  ASSERT_EQ(client.fill(Sector(0), 8, 1).error, 0);
  // A wide field of refused writes, with good sectors elsewhere for the probe.
  ASSERT_TRUE(faulty(*volume, kMain)
                  .control({{"add", {{{"sector", 32768}, {"count", 65536}, {"on", "write"}}}}}));
  int error = 0;
  for (u64 sector = 32768; sector < 32768 + 65536 && error == 0; sector += 64) {
    ASSERT_EQ(client.fill(Sector(sector % 1024), 8, 2).error, 0);
    error = client.fill(Sector(sector), 64, 3).error;
  }
  EXPECT_EQ(error, ENOSPC);
  EXPECT_EQ(volume->stats().member[1].free_blocks, 0U);
}

TEST_F(UserVolumeTest, SpareThatRefusesAFlushFailsItAndIsRetired) {
  make({{"ranges", {{{"sector", 96}, {"count", 8}, {"on", "write"}}}}});
  Client client(*volume);
  ASSERT_EQ(client.fill(Sector(96), 8, 1).error, 0);  // now at home on the spare
  ASSERT_EQ(client.fill(Sector(96), 8, 2).error, 0);  // and the spare has something to flush
  ASSERT_TRUE(faulty(*volume, 1).control({{"flush_error", "EIO"}}));
  EXPECT_EQ(client.flush().error, EIO);
  bool seen = false;
  for (const LoggedEvent& entry : volume->events().since(0, 100)) {
    seen |= entry.event.kind == EventKind::flush_failed && entry.event.member == 1;
  }
  EXPECT_TRUE(seen);
}

TEST_F(UserVolumeTest, EveryClientHearsOfARefusedFlushOnce) {
  make({{"ranges", {{{"sector", 96}, {"count", 8}, {"on", "write"}}}}});
  Client first(*volume);
  Client second(*volume);
  ASSERT_EQ(first.fill(Sector(96), 8, 1).error, 0);
  ASSERT_EQ(second.fill(Sector(96), 8, 2).error, 0);  // acknowledged, not yet flushed
  ASSERT_TRUE(faulty(*volume, 1).control({{"flush_error", "EIO"}}));
  EXPECT_EQ(first.flush().error, EIO);
  EXPECT_EQ(second.flush().error, EIO);  // its data lay on the same spare
  EXPECT_EQ(second.flush().error, 0);    // the spare is retired, and both have been told
  EXPECT_EQ(first.flush().error, 0);
}

TEST_F(UserVolumeTest, contract_4_WhoeverComesHearsOfARefusalThatTheOneWhoLeftHasNotHeard) {
  make();
  auto first = std::make_unique<Client>(*volume);
  auto second = std::make_unique<Client>(*volume);
  ASSERT_EQ(second->fill(Sector(0), 8, 1).error, 0);
  ASSERT_TRUE(faulty(*volume, kMain).control({{"flush_error", "EIO"}}));
  EXPECT_EQ(first->flush().error, EIO);
  first->queue().answers_received();
  ASSERT_TRUE(faulty(*volume, kMain).control({{"flush_error", "none"}}));
  second.reset();
  second = std::make_unique<Client>(*volume);
  EXPECT_EQ(second->flush().error, EIO);
  EXPECT_EQ(second->flush().error, 0);
  EXPECT_EQ(first->flush().error, 0);
  second->queue().answers_received();
  second.reset();  // nobody knows whether it was the same
  second = std::make_unique<Client>(*volume);
  EXPECT_EQ(second->flush().error, EIO);
  EXPECT_EQ(second->flush().error, 0);
  second.reset();
  first.reset();
  reopen();  // known as long as the volume runs
  EXPECT_EQ(Client(*volume).flush().error, 0);
}

TEST_F(UserVolumeTest, contract_4_WhoHadFlushedEverythingLeavesNoNews) {
  make();
  auto client = std::make_unique<Client>(*volume);
  ASSERT_EQ(client->fill(Sector(0), 8, 1).error, 0);
  EXPECT_EQ(client->flush().error, 0);
  Client other(*volume);
  ASSERT_TRUE(faulty(*volume, kMain).control({{"flush_error", "EIO"}}));
  EXPECT_EQ(other.flush().error, EIO);
  ASSERT_TRUE(faulty(*volume, kMain).control({{"flush_error", "none"}}));
  client = std::make_unique<Client>(*volume);
  EXPECT_EQ(client->flush().error, 0);
}

// The second one waits behind reads that go on once the first has been answered. The device takes
// it.
TEST_F(UserVolumeTest, contract_4_AFlushThatWasAskedForBeforeItsClientWasToldFailsToo) {
  make();
  Client client(*volume);
  const Json held{{"sector", 0}, {"error", "none"}, {"held_ms", 60'000}};
  ASSERT_TRUE(faulty(*volume, kMain).control({{"add", {held}}, {"flush_error", "EIO"}}));
  std::vector<QueueRequest> requests(2 * VolumeQueue::kMaxPieces);
  Buffer buffer(8 * kSectorBytes);
  std::vector<QueueRequest*> batch;
  for (QueueRequest& request : requests) {
    request.sectors = 8;
    request.data = buffer.data();
    request.done = [](QueueRequest&) {};
    batch.push_back(&request);
  }
  QueueRequest& first = requests.front();
  QueueRequest& second = requests.back();
  for (QueueRequest* flush : {&first, &second}) {
    flush->op = IoOp::flush;
    flush->sectors = 0;
  }
  first.context = volume.get();
  first.done = [](QueueRequest& request) {
    auto& same = *static_cast<UserVolume*>(request.context);
    EXPECT_TRUE(faulty(same, kMain).control({{"flush_error", "none"}, {"release", true}}));
  };
  client.queue().submit(batch);
  while (client.queue().in_flight() != 0) client.queue().process(true);
  EXPECT_EQ(first.error, EIO);
  EXPECT_EQ(volume->flush_refusals(), 1U);  // so it was taken
  EXPECT_EQ(second.error, EIO);
  EXPECT_EQ(client.flush().error, 0);
}

TEST_F(UserVolumeTest, FlushThatMainRefusesIsAnError) {
  make();
  Client client(*volume);
  ASSERT_EQ(client.fill(Sector(0), 8, 1).error, 0);
  ASSERT_TRUE(faulty(*volume, kMain).control({{"flush_error", "EIO"}}));
  EXPECT_EQ(client.flush().error, EIO);
}

TEST_F(UserVolumeTest, TheScrubsRateKeepsToItsRange) {
  make();
  ASSERT_EQ(volume->set_scrub_rate(64), Status::ok);
  for (const u64 wrong : {u64{0}, u64{63}, u64{16'777'217}, u64{1} << 32 | 64}) {
    EXPECT_EQ(volume->set_scrub_rate(wrong), Status::invalid);
  }
  EXPECT_EQ(volume->scrub_rate(), 64U);
}

TEST_F(UserVolumeTest, DiscardAndWriteZeroesDoWhatTheySay) {
  make({{"ranges", {{{"sector", 512}, {"count", 8}, {"on", "write"}}}}});
  Client client(*volume);
  ASSERT_EQ(client.fill(Sector(504), 24, 7).error, 0);
  EXPECT_EQ(client.run(IoOp::discard, Sector(504), 24).error, 0);
  EXPECT_EQ(client.run(IoOp::write_zeroes, Sector(504), 24).error, 0);
  EXPECT_EQ(client.value_of(Sector(504), 24), 0);
  EXPECT_EQ(client.run(IoOp::write_zeroes, Sector(2048), 8192).error, 0);
  EXPECT_EQ(client.value_of(Sector(2048), 8192), 0);
}

TEST_F(UserVolumeTest, RequestsOutsideOfTheVolumeAreInvalid) {
  make();
  Client client(*volume);
  Buffer buffer(16 * 512);
  EXPECT_EQ(client.read(Sector(131072 - 8), 16, buffer).error, EINVAL);
  EXPECT_EQ(client.read(Sector(~u64{0} - 4), 16, buffer).error, EINVAL);
  EXPECT_EQ(client.run(IoOp::read, Sector(0), 8, nullptr).error, EINVAL);
  EXPECT_EQ(client.run(IoOp::read, Sector(0), 0, nullptr).error, 0);
}

TEST_F(UserVolumeTest, ReadOnlyVolumeRefusesWritesAndChangesNothing) {
  make();
  {
    Client client(*volume);
    ASSERT_EQ(client.fill(Sector(0), 8, 9).error, 0);
  }
  ASSERT_TRUE(volume->close());
  volume.reset();
  VolumeOptions options;
  options.read_only = true;
  open(options);
  Client client(*volume);
  EXPECT_EQ(client.value_of(Sector(0), 8), 9);
  EXPECT_EQ(client.fill(Sector(0), 8, 1).error, EROFS);
  EXPECT_FALSE(volume->writable());
}

TEST_F(UserVolumeTest, CannotBeClosedWhileAQueueIsThere) {
  make();
  auto client = std::make_unique<Client>(*volume);
  EXPECT_FALSE(volume->close());
  client.reset();
  EXPECT_TRUE(volume->close());
}

TEST_F(UserVolumeTest, MarkMovesABlockAwayAndForgetBringsItHome) {
  make();
  Client client(*volume);
  ASSERT_EQ(client.fill(Sector(4096), 16, 0x61).error, 0);
  const CommandResult marked =
      volume->command(CommandKind::mark, {{.begin = Sector(4096), .sectors = 8}});
  EXPECT_EQ(marked.status, Status::ok);
  EXPECT_EQ(marked.blocks_changed, 1U);
  EXPECT_EQ(volume->stats().remapped_blocks, 1U);
  EXPECT_EQ(client.value_of(Sector(4096), 16), 0x61);
  const CommandResult forgotten =
      volume->command(CommandKind::forget, {{.begin = Sector(4096), .sectors = 8}});
  EXPECT_EQ(forgotten.status, Status::ok);
  EXPECT_EQ(volume->stats().remapped_blocks, 0U);
  EXPECT_EQ(client.value_of(Sector(4096), 16), 0x61);
}

}  // namespace
}  // namespace dmr::runtime
