// SPDX-License-Identifier: GPL-2.0-or-later
// What a volume does when its disks misbehave, case by case. Crashes and races are the simulator's.
#include "core/volume/volume.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "core/testing/volume_fixture.h"

namespace dmr::testing {
namespace {

bool all_equal(const std::vector<std::byte>& bytes, std::size_t from_sector, std::size_t sectors,
               u8 value) {
  const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(from_sector * kSectorBytes);
  const auto end = begin + static_cast<std::ptrdiff_t>(sectors * kSectorBytes);
  return std::all_of(begin, end, [&](std::byte b) { return b == std::byte{value}; });
}

TEST(Volume, OpensEmptyAndReadsMainAsItWasAdopted) {
  VolumeFixture f;
  std::fill(f.disks[0].bytes.begin(), f.disks[0].bytes.end(), std::byte{0x11});
  ASSERT_EQ(f.open(), Status::ok);
  const auto answer = f.read(100, 50);
  EXPECT_EQ(answer.status, Status::ok);
  EXPECT_TRUE(all_equal(answer.data, 0, 50, 0x11));
  EXPECT_EQ(f.volume->stats().remapped_blocks, 0U);
}

TEST(Volume, AWriteThatMainRefusesGoesToASpareAndReadsBackAlsoAfterReopening) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_write.insert(801);
  EXPECT_EQ(f.write(800, 8, 0x22).status, Status::ok);
  EXPECT_EQ(f.volume->stats().remapped_blocks, 1U);
  EXPECT_TRUE(all_equal(f.read(800, 8).data, 0, 8, 0x22));
  ASSERT_EQ(f.close(), Status::ok);
  ASSERT_EQ(f.open(), Status::ok);
  EXPECT_TRUE(all_equal(f.read(800, 8).data, 0, 8, 0x22));
  EXPECT_EQ(f.volume->stats().remapped_blocks, 1U);
}

TEST(Volume, ARedirectedWriteCostsOneSpareWriteOneFlushAndOneCommitOfTwoCopies) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_write.insert(800);
  const u64 writes = f.disks[1].writes;
  const u64 flushes = f.disks[1].flushes;
  ASSERT_EQ(f.write(800, 8, 0x22).status, Status::ok);
  EXPECT_EQ(f.disks[1].writes - writes, 3U);  // data, and the journal block twice
  EXPECT_EQ(f.disks[1].flushes - flushes, 1U);
  EXPECT_EQ(f.volume->stats().commits, 1U);
}

TEST(Volume, TheRestOfAPartlyWrittenBlockMovesAlong) {
  VolumeFixture f;
  std::fill(f.disks[0].bytes.begin(), f.disks[0].bytes.end(), std::byte{0x11});
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_write.insert(803);
  ASSERT_EQ(f.write(802, 3, 0x22).status, Status::ok);
  const auto answer = f.read(800, 8);
  EXPECT_TRUE(all_equal(answer.data, 0, 2, 0x11));
  EXPECT_TRUE(all_equal(answer.data, 2, 3, 0x22));
  EXPECT_TRUE(all_equal(answer.data, 5, 3, 0x11));
}

TEST(Volume, TheUnreadableRestOfAPartlyWrittenBlockIsLostAndNothingElse) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_write.insert(803);
  f.disks[0].bad_read.insert(806);
  ASSERT_EQ(f.write(802, 3, 0x22).status, Status::ok);
  EXPECT_EQ(f.read(800, 6).status, Status::ok);
  EXPECT_EQ(f.read(807, 1).status, Status::ok);
  const auto lost = f.read(800, 8);
  EXPECT_EQ(lost.status, Status::io_error);
  EXPECT_EQ(lost.bad_sector, 806U);
  EXPECT_EQ(f.volume->stats().lost_sectors, 1U);
}

TEST(Volume, AnUnreadableSectorIsLostItsNeighboursAreNotUntilItIsWritten) {
  VolumeFixture f;
  std::fill(f.disks[0].bytes.begin(), f.disks[0].bytes.end(), std::byte{0x11});
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_read.insert(805);
  const auto first = f.read(800, 8);
  EXPECT_EQ(first.status, Status::io_error);
  EXPECT_EQ(first.bad_sector, 805U);
  f.disks[0].bad_read.clear();  // even if the disk could read it now
  ASSERT_EQ(f.close(), Status::ok);
  ASSERT_EQ(f.open(), Status::ok);
  EXPECT_EQ(f.read(805, 1).status, Status::io_error);
  EXPECT_TRUE(all_equal(f.read(800, 5).data, 0, 5, 0x11));
  EXPECT_TRUE(all_equal(f.read(806, 2).data, 0, 2, 0x11));
  ASSERT_EQ(f.write(805, 1, 0x33).status, Status::ok);
  EXPECT_TRUE(all_equal(f.read(805, 1).data, 0, 1, 0x33));
  EXPECT_EQ(f.volume->stats().lost_sectors, 0U);
}

TEST(Volume, AWhollyUnreadableBlockSpendsNoSpareBlockUntilItIsWritten) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  for (u64 s = 800; s < 808; ++s) f.disks[0].bad_read.insert(s);
  EXPECT_EQ(f.read(800, 8).status, Status::io_error);
  EXPECT_EQ(f.volume->stats().lost_sectors, 8U);
  EXPECT_EQ(f.volume->stats().member[1].used_blocks, 0U);
  EXPECT_EQ(f.write(800, 4, 0x44).status, Status::ok);
  EXPECT_EQ(f.volume->stats().member[1].used_blocks, 1U);
  EXPECT_TRUE(all_equal(f.read(800, 4).data, 0, 4, 0x44));
  EXPECT_EQ(f.read(804, 1).status, Status::io_error);
}

// Each takes a record and no spare block: without a limit they outgrow the checkpoint.
TEST(Volume, MoreLostBlocksThanTheCheckpointHoldsLeaveAVolumeThatOpensAndTakesWrites) {
  constexpr u64 kLost = 1300;
  VolumeFixture f(32768, 2048);
  ASSERT_EQ(f.open(), Status::ok);
  for (u64 i = 0; i < kLost; ++i) {  // one at a time: the disk as a whole is good
    f.disks[0].bad_read.clear();
    for (u64 s = 0; s < 8; ++s) f.disks[0].bad_read.insert(i * 16 + s);
    ASSERT_EQ(f.read(i * 16, 8).status, Status::io_error) << i;
  }
  f.disks[0].bad_read.clear();
  EXPECT_GT(f.volume->stats().lost_sectors, 1024U * 7);
  // Those that could not be recorded are told, each with its place.
  EXPECT_GT(f.count(EventKind::spare_exhausted), 0U);
  for (const Event& event : f.events) {
    EXPECT_TRUE(event.kind != EventKind::spare_exhausted || event.sectors == 8);
  }
  // All the spare blocks are to be had still, also for blocks that no record names yet.
  const u64 room = f.volume->stats().member[1].free_blocks;
  ASSERT_GT(room, 100U);
  for (u64 i = 0; i < room; ++i) {
    f.disks[0].bad_write = {i * 16 + 8};
    ASSERT_EQ(f.write(i * 16 + 8, 8, 0x22).status, Status::ok) << i;
  }
  ASSERT_EQ(f.close(), Status::ok);
  ASSERT_EQ(f.open(), Status::ok);
  EXPECT_EQ(f.read(0, 8).status, Status::io_error);
  EXPECT_TRUE(all_equal(f.read(8, 8).data, 0, 8, 0x22));
  EXPECT_EQ(f.write(8, 8, 0x33).status, Status::ok);
  EXPECT_EQ(f.close(), Status::ok);
}

// Spare blocks are free all the same: to call that ENOSPC would send people looking for room.
TEST(Volume, ABlockOnARetiredLoneSpareRefusesWritesWithAnIoError) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_write.insert({800, 1600});
  ASSERT_EQ(f.write(800, 8, 0x22).status, Status::ok);
  f.disks[1].refuses_flush = true;
  EXPECT_EQ(f.write(1600, 8, 0x22).status, Status::io_error);
  ASSERT_EQ(f.count(EventKind::member_failed), 1U);
  EXPECT_EQ(f.write(800, 8, 0x33).status, Status::io_error);
  EXPECT_EQ(f.count(EventKind::spare_exhausted), 0U);
}

TEST(Volume, ABlockThatIsReadAfterRetriesMovesAwayInTime) {
  VolumeFixture f;
  std::fill(f.disks[0].bytes.begin(), f.disks[0].bytes.end(), std::byte{0x11});
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].transient_reads[801] = 2;
  const auto answer = f.read(800, 8);
  EXPECT_EQ(answer.status, Status::ok);
  EXPECT_TRUE(all_equal(answer.data, 0, 8, 0x11));
  EXPECT_EQ(f.volume->stats().relocated_blocks, 1U);
  EXPECT_EQ(f.volume->route(Sector(800), 8, false).member, 1);
  EXPECT_TRUE(all_equal(f.read(800, 8).data, 0, 8, 0x11));
}

TEST(Volume, APulledCableMarksNothing) {
  for (const IoStatus status : {IoStatus::transport, IoStatus::timeout, IoStatus::offline,
                                IoStatus::unspecified, IoStatus::medium}) {
    VolumeFixture f;
    ASSERT_EQ(f.open(), Status::ok);
    f.disks[0].gone = status;
    EXPECT_EQ(f.read(800, 8).status, Status::io_error);
    EXPECT_EQ(f.write(1600, 8, 0x55).status, Status::io_error);
    f.disks[0].gone.reset();
    f.now += 60 * kSecond;
    EXPECT_EQ(f.volume->stats().remapped_blocks, 0U);
    EXPECT_EQ(f.volume->stats().lost_sectors, 0U);
    EXPECT_EQ(f.read(800, 8).status, Status::ok);
  }
}

TEST(Volume, ASpareBlockThatRefusesIsSetAsideForGood) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_write.insert(800);
  const SpareLayout& layout = f.volume->layout(1);
  u64 first_data = 0;
  while (!layout.is_data(SpareBlock(first_data), 1)) ++first_data;
  f.disks[1].bad_write.insert(first_data * 8);
  ASSERT_EQ(f.write(800, 8, 0x66).status, Status::ok);
  EXPECT_EQ(f.volume->stats().member[1].bad_blocks, 1U);
  ASSERT_EQ(f.close(), Status::ok);
  ASSERT_EQ(f.open(), Status::ok);
  EXPECT_EQ(f.volume->stats().member[1].bad_blocks, 1U);
  EXPECT_TRUE(all_equal(f.read(800, 8).data, 0, 8, 0x66));
}

TEST(Volume, ASpareThatIsGoneLeavesTheWriteToTheOther) {
  for (Member gone = 1; gone <= 2; ++gone) {
    VolumeFixture f(16384, 16384, 2);
    ASSERT_EQ(f.open(), Status::ok);
    f.disks[0].bad_write.insert(800);
    f.disks[0].bad_write.insert(1600);
    ASSERT_EQ(f.write(800, 8, 0x11).status, Status::ok);  // from now on this spare is preferred
    f.disks[gone].gone = IoStatus::offline;
    EXPECT_EQ(f.write(1600, 8, 0x12).status, Status::ok);
    EXPECT_TRUE(all_equal(f.read(1600, 8).data, 0, 8, 0x12));
    f.disks[gone].gone.reset();
  }
}

TEST(Volume, ARemappedBlockWhoseSpareRefusesTheNextWriteMovesOn) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_write.insert(800);
  ASSERT_EQ(f.write(800, 8, 0x66).status, Status::ok);
  const Route home = f.volume->route(Sector(800), 8, false);
  f.disks[1].bad_write.insert(home.sector.value);
  ASSERT_EQ(f.write(800, 4, 0x77).status, Status::ok);
  EXPECT_NE(f.volume->route(Sector(800), 8, false).sector, home.sector);
  const auto answer = f.read(800, 8);
  EXPECT_TRUE(all_equal(answer.data, 0, 4, 0x77));
  EXPECT_TRUE(all_equal(answer.data, 4, 4, 0x66));
  EXPECT_EQ(f.volume->stats().member[1].bad_blocks, 1U);
}

TEST(Volume, WhenNoSpareBlockIsLeftTheWriteFailsWithNoSpaceAndTheRestGoesOn) {
  VolumeFixture f(65536, 1024);
  ASSERT_EQ(f.open(), Status::ok);
  const u64 room = f.volume->stats().member[1].free_blocks;
  for (u64 s = 0; s < 2048; ++s) f.disks[0].bad_write.insert(s);
  u64 stored = 0;
  Status last = Status::ok;
  for (u64 block = 0; block < room + 2 && last == Status::ok; ++block) {
    last = f.write(block * 8, 8, 0x12).status;
    if (last == Status::ok) ++stored;
  }
  EXPECT_EQ(last, Status::no_space);
  EXPECT_GE(stored + 2, room);
  EXPECT_GE(f.count(EventKind::spare_exhausted), 1U);
  for (const Event& event : f.events) {
    EXPECT_TRUE(event.kind != EventKind::spare_exhausted || event.sectors == 0);
  }
  EXPECT_EQ(f.write(40000, 8, 0x13).status, Status::ok);
  EXPECT_TRUE(all_equal(f.read(0, 8).data, 0, 8, 0x12));
}

// The list of events is a ring: one for each block would leave nothing else in it.
TEST(Volume, ThatNoSpareBlockIsLeftIsToldOnceUntilOneIsFreeAgain) {
  VolumeFixture f(65536, 1024);
  ASSERT_EQ(f.open(), Status::ok);
  const u64 room = f.volume->stats().member[1].free_blocks;
  for (u64 s = 0; s < 8192; ++s) f.disks[0].bad_write.insert(s);
  for (u64 block = 0; block < room + 20; ++block) (void)f.write(block * 8, 8, 0x12);
  EXPECT_EQ(f.volume->stats().member[1].free_blocks, 0U);
  EXPECT_EQ(f.count(EventKind::spare_exhausted), 1U);
  EXPECT_EQ(f.volume->exhaustions(), 20U);
  f.disks[0].bad_write.clear();
  const std::vector<SectorRange> home{{Sector(0), 16}};
  ASSERT_EQ(f.run_command(CommandKind::forget, home).status, Status::ok);
  EXPECT_EQ(f.volume->stats().member[1].free_blocks, 2U);
  for (u64 s = 16384; s < 20000; ++s) f.disks[0].bad_write.insert(s);
  for (u64 block = 2048; block < 2060; ++block) (void)f.write(block * 8, 8, 0x13);
  EXPECT_EQ(f.count(EventKind::spare_exhausted), 2U);
}

TEST(Volume, MarkMovesTenThousandScatteredBlocksWithGroupCommit) {
  VolumeFixture f(8 * 40000, 8 * 20000);
  ASSERT_EQ(f.open(), Status::ok);
  std::vector<SectorRange> ranges;
  for (u64 i = 0; i < 10000; ++i) ranges.push_back({Sector(i * 32), 8});
  const u64 flushes = f.disks[1].flushes;
  const Command done = f.run_command(CommandKind::mark, ranges);
  EXPECT_EQ(done.status, Status::ok);
  EXPECT_EQ(done.blocks_changed, 10000U);
  EXPECT_EQ(f.count(EventKind::relocated), 10000U);
  EXPECT_EQ(f.volume->stats().remapped_blocks, 10000U);
  EXPECT_LE(f.volume->stats().commits, 200U);
  EXPECT_LE(f.disks[1].flushes - flushes, 220U);  // commits, and those of a few checkpoints
}

TEST(Volume, ForgetBringsBlocksHomeWithTheirDataAndFreesTheSpare) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_write.insert(800);
  ASSERT_EQ(f.write(800, 16, 0x21).status, Status::ok);
  const SectorRange range{Sector(800), 16};
  EXPECT_EQ(f.run_command(CommandKind::forget, {&range, 1}).status, Status::io_error);
  EXPECT_GE(f.volume->stats().remapped_blocks, 1U);
  EXPECT_TRUE(all_equal(f.read(800, 16).data, 0, 16, 0x21));
  f.disks[0].bad_write.clear();
  EXPECT_EQ(f.run_command(CommandKind::forget, {&range, 1}).status, Status::ok);
  EXPECT_EQ(f.volume->stats().remapped_blocks, 0U);
  EXPECT_EQ(f.volume->stats().member[1].used_blocks, 0U);
  EXPECT_TRUE(all_equal(f.read(800, 16).data, 0, 16, 0x21));
}

TEST(Volume, ForgetKeepsWhatIsLostLost) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_read.insert(805);
  EXPECT_EQ(f.read(800, 8).status, Status::io_error);
  f.disks[0].bad_read.clear();
  const SectorRange range{Sector(800), 8};
  EXPECT_EQ(f.run_command(CommandKind::forget, {&range, 1}).status, Status::ok);
  EXPECT_EQ(f.read(805, 1).status, Status::io_error);
  EXPECT_EQ(f.read(800, 5).status, Status::ok);
  ASSERT_EQ(f.write(805, 1, 0x31).status, Status::ok);
  EXPECT_TRUE(all_equal(f.read(805, 1).data, 0, 1, 0x31));
}

TEST(Volume, TheRewritePolicyTriesMainAgainAndVerifies) {
  VolumeFixture f(16384, 16384, 1, 8, format::Policy::rewrite);
  ASSERT_EQ(f.open(), Status::ok);
  for (u64 s = 800; s < 808; ++s) f.disks[0].bad_read.insert(s);
  EXPECT_EQ(f.read(800, 8).status, Status::io_error);
  f.disks[0].bad_read.clear();  // the drive's firmware gives the sector a new place when written
  const u64 flushes = f.disks[0].flushes;
  ASSERT_EQ(f.write(800, 8, 0x41).status, Status::ok);
  EXPECT_EQ(f.disks[0].flushes - flushes, 1U);
  EXPECT_EQ(f.volume->stats().lost_sectors, 0U);
  EXPECT_EQ(f.volume->stats().remapped_blocks, 0U);
  f.disks[0].bad_read.insert(1600);
  EXPECT_EQ(f.read(1600, 1).status, Status::io_error);
  ASSERT_EQ(f.write(1600, 1, 0x42).status, Status::ok);  // still unreadable: goes to the spare
  EXPECT_TRUE(all_equal(f.read(1600, 1).data, 0, 1, 0x42));
}

TEST(Volume, ASpareThatRefusesAFlushIsRetiredAndItsBlocksStayReadable) {
  VolumeFixture f(16384, 16384, 2);
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_write.insert(800);
  ASSERT_EQ(f.write(800, 8, 0x51).status, Status::ok);
  const Member first = f.volume->route(Sector(800), 8, false).member;
  f.disks[first].refuses_flush = true;
  f.disks[0].bad_write.insert(1600);
  EXPECT_EQ(f.write(1600, 8, 0x52).status, Status::ok);  // the other spare takes it
  EXPECT_EQ(f.volume->flush_refusals(), 1U);
  EXPECT_EQ(f.volume->stats().member[first].state, format::MemberState::failed);
  EXPECT_TRUE(all_equal(f.read(1600, 8).data, 0, 8, 0x52));
  EXPECT_TRUE(all_equal(f.read(800, 8).data, 0, 8, 0x51));
  EXPECT_EQ(f.write(800, 4, 0x54).status, Status::ok);
  EXPECT_NE(f.volume->route(Sector(800), 8, false).member, first);
  EXPECT_TRUE(all_equal(f.read(804, 4).data, 0, 4, 0x51));
}

TEST(Volume, ReadOnlyWritesNothingAnywhere) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_write.insert(800);
  ASSERT_EQ(f.write(800, 8, 0x61).status, Status::ok);
  ASSERT_EQ(f.close(), Status::ok);
  const auto main = f.disks[0].bytes;
  const auto spare = f.disks[1].bytes;
  ASSERT_EQ(f.open(true), Status::ok);
  f.disks[0].bad_read.insert(900);
  EXPECT_EQ(f.read(900, 1).status, Status::io_error);
  EXPECT_TRUE(all_equal(f.read(800, 8).data, 0, 8, 0x61));
  EXPECT_EQ(f.slow(IoOp::write, 100, 8, 1, IoStatus::ok).status, Status::read_only);
  ASSERT_EQ(f.close(), Status::ok);
  EXPECT_EQ(main, f.disks[0].bytes);
  EXPECT_EQ(spare, f.disks[1].bytes);
}

TEST(Volume, ManyFailedWritesAtOnceShareCommitsAndAllComplete) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  for (u64 s = 0; s < 4096; ++s) f.disks[0].bad_write.insert(s);
  std::vector<std::unique_ptr<BytesPayload>> payloads;
  std::vector<Request> requests(64);
  u32 finished = 0;
  for (u32 i = 0; i < 64; ++i) {
    payloads.push_back(std::make_unique<BytesPayload>(4096));
    std::memset(payloads.back()->bytes.data(), static_cast<int>(i + 1), 4096);
    requests[i].op = IoOp::write;
    requests[i].error = IoStatus::medium;
    requests[i].sector = Sector(u64{i} * 16);
    requests[i].sectors = 8;
    requests[i].payload = payloads.back().get();
    requests[i].context = &finished;
    requests[i].done = [](Request& r) { ++*static_cast<u32*>(r.context); };
    f.volume->submit(requests[i]);
  }
  f.pump();
  EXPECT_EQ(finished, 64U);
  EXPECT_LE(f.volume->stats().commits, 16U);
  EXPECT_EQ(f.volume->stats().work_items.high_water, 16U);
  for (u32 i = 0; i < 64; ++i) {
    EXPECT_EQ(requests[i].status, Status::ok);
    EXPECT_TRUE(all_equal(f.read(u64{i} * 16, 8).data, 0, 8, static_cast<u8>(i + 1)));
  }
}

}  // namespace
}  // namespace dmr::testing
