// SPDX-License-Identifier: GPL-2.0-or-later
// What a volume does when something refuses in the middle: commits that fail before they are
// written, spares that are full or bad in patterns, flushes whose outcome is not known yet.
#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "core/testing/volume_fixture.h"
#include "core/volume/volume.h"

namespace dmr::testing {
namespace {

// A user's flush of the member that begins and is refused now.
void refuse_a_flush(Volume& volume, Member member) {
  if (member != kMain) volume.spare_written(member);  // so that there is something to flush
  const FlushTicket ticket = volume.flush_begin(1U << member);
  ASSERT_EQ(ticket.members, 1U << member);
  volume.note_flush_refused(ticket, member);
}

// Data blocks of the spare whose number `choose` picks refuse writes.
template <class Choose>
void refuse_spare_blocks(VolumeFixture& f, Choose choose) {
  const SpareLayout& layout = f.volume->layout(1);
  for (u64 b = 0; b < layout.spare_blocks; ++b) {
    if (layout.is_data(SpareBlock(b), 1) && choose(b)) f.disks[1].bad_write.insert(b * 8);
  }
}

struct Waiting {
  Request request;
  BytesPayload payload{4096};
  bool done = false;

  void submit(Volume& volume, IoOp op, u64 sector, Member member = kMain) {
    request.op = op;
    request.member = member;
    request.error = op == IoOp::flush ? IoStatus::ok : IoStatus::medium;
    request.sector = Sector(sector);
    request.sectors = 8;
    request.payload = op == IoOp::flush ? nullptr : &payload;
    request.context = this;
    request.done = [](Request& r) { static_cast<Waiting*>(r.context)->done = true; };
    volume.submit(request);
  }
};

// Of two spares, the block at 800 has left this one, and holds this.
void expect_moved_from(VolumeFixture& f, Member first, u8 value) {
  ASSERT_NE(first, kMain);
  EXPECT_EQ(f.volume->route(Sector(800), 8, false).member, 3 - first);
  EXPECT_EQ(f.read(800, 8).data[0], std::byte{value});
}

bool is_journal(const DeviceIo& io) {
  if (io.op != IoOp::write || io.member == kMain || io.buffer == nullptr) return false;
  return reinterpret_cast<const format::JournalBlock*>(io.buffer)->header.kind ==
         static_cast<u8>(format::Kind::journal);
}

TEST(VolumeRefusal, MarkCountsWhatMovedWhenACommitInTheMiddleFails) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  std::vector<SectorRange> every_second;
  for (u64 block = 0; block < 1024; block += 2) every_second.push_back({Sector(block * 8), 8});
  ASSERT_EQ(f.run_command(CommandKind::mark, every_second).status, Status::ok);
  const u64 before = f.volume->stats().remapped_blocks;
  const u64 relocated = f.volume->stats().relocated_blocks;
  u64 journal_writes = 0;
  f.before_io = [&](const DeviceIo& io) {
    // Both copies of the second commit fail, each twice, in each of its three slots.
    f.disks[1].gone.reset();
    if (is_journal(io) && ++journal_writes > 2 && journal_writes <= 2 + 3 * 2 * 2) {
      f.disks[1].gone = IoStatus::medium;
    }
  };
  const SectorRange all{Sector(0), u64{1024} * 8};
  const Command done = f.run_command(CommandKind::mark, {&all, 1});
  f.before_io = nullptr;
  EXPECT_EQ(done.status, Status::io_error);
  EXPECT_GT(journal_writes, 16U);  // it has gone on
  const u64 moved = f.volume->stats().remapped_blocks - before;
  EXPECT_GT(moved, 0U);
  EXPECT_LT(moved, 512U);
  EXPECT_EQ(done.blocks_changed, moved);
  EXPECT_EQ(f.volume->stats().relocated_blocks - relocated, moved);
  EXPECT_EQ(done.blocks_changed + done.blocks_unchanged, 1024U);
  EXPECT_EQ(f.volume->stats().member[1].used_blocks, f.volume->stats().remapped_blocks);
}

TEST(VolumeRefusal, contract_3_BadSlotsOfTheJournalFailNoWrite) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_write.insert(800);
  std::set<u64> slots;
  f.before_io = [&](const DeviceIo& io) {
    if (is_journal(io) && slots.size() < 4 && slots.insert(io.sector.value).second) {
      f.disks[1].bad_write.insert(io.sector.value + 3);
    }
  };
  EXPECT_EQ(f.write(800, 8, 0x22).status, Status::ok);
  f.before_io = nullptr;
  EXPECT_EQ(slots.size(), 4U);  // both copies of two blocks
  ASSERT_EQ(f.close(), Status::ok);
  ASSERT_EQ(f.open(), Status::ok);
  EXPECT_EQ(f.read(800, 8).data[0], std::byte{0x22});
}

TEST(VolumeRefusal, ACommitThatEverySlotRefusesGivesItsSpareBlocksBack) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  const u64 free = f.volume->stats().member[1].free_blocks;
  f.disks[0].bad_write.insert(800);
  std::set<u64> slots;
  f.before_io = [&](const DeviceIo& io) {
    if (!is_journal(io)) return;
    slots.insert(io.sector.value);
    f.disks[1].bad_write.insert(io.sector.value + 3);
  };
  EXPECT_EQ(f.write(800, 8, 0x22).status, Status::io_error);
  f.before_io = nullptr;
  EXPECT_GT(slots.size(), 4U);  // more than one try
  EXPECT_EQ(f.volume->stats().member[1].free_blocks, free);
  EXPECT_EQ(f.volume->stats().remapped_blocks, 0U);
}

// All slots of the first try are bad, and one of the two spares breaks while that is cancelled.
TEST(VolumeRefusal, contract_3_AWriteWhoseSpareIsRetiredBetweenTwoTriesOfItsCommitGoesToAnother) {
  VolumeFixture f(16384, 16384, 2);
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_write.insert(800);
  Member first = kMain;
  std::set<std::pair<Member, u64>> slots;
  f.before_io = [&](const DeviceIo& io) {
    if (io.op != IoOp::write || io.member == kMain) return;
    if (first == kMain) first = io.member;  // the data
    if (!is_journal(io)) {
      if (!slots.empty() && io.buffer != nullptr) f.disks[first].gone = IoStatus::medium;
      return;
    }
    if (slots.size() == 4 || !slots.insert({io.member, io.sector.value}).second) return;
    f.disks[io.member].bad_write.insert(io.sector.value + 3);
  };
  EXPECT_EQ(f.write(800, 8, 0x22).status, Status::ok);
  f.before_io = nullptr;
  EXPECT_EQ(slots.size(), 4U);  // two areas on each spare
  EXPECT_EQ(f.volume->stats().member[first].state, format::MemberState::failed);
  expect_moved_from(f, first, 0x22);
}

// What the first spare took is gone with its cache.
TEST(VolumeRefusal, contract_3_AWriteWhoseSpareRefusesTheFlushGoesToAnother) {
  VolumeFixture f(16384, 16384, 2);
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_write.insert(800);
  Member first = kMain;
  f.before_io = [&](const DeviceIo& io) {
    if (io.op != IoOp::flush || io.member == kMain) return;
    f.disks[io.member].refuses_flush = first == kMain;
    if (first == kMain) first = io.member;
  };
  EXPECT_EQ(f.write(800, 8, 0x22).status, Status::ok);
  f.before_io = nullptr;
  expect_moved_from(f, first, 0x22);
  EXPECT_EQ(f.volume->flush_refusals(), 1U);
}

// A user's flush of it is refused beside ours, which goes well; the host has yet to tell the
// engine.
TEST(VolumeRefusal, contract_3_AWriteWhoseSpareRefusesAUsersFlushGoesToAnother) {
  VolumeFixture f(16384, 16384, 2);
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_write.insert(800);
  Member first = kMain;
  f.before_io = [&](const DeviceIo& io) {
    if (io.op != IoOp::flush || io.member == kMain || first != kMain) return;
    first = io.member;
    refuse_a_flush(*f.volume, first);
  };
  EXPECT_EQ(f.write(800, 8, 0x22).status, Status::ok);
  f.before_io = nullptr;
  expect_moved_from(f, first, 0x22);
}

// The same of a block that lives there already: the flush behind a FUA write in place goes well.
TEST(VolumeRefusal, contract_3_AFuaWriteInPlaceBesideARefusedFlushGoesToAnotherSpare) {
  VolumeFixture f(16384, 16384, 2);
  for (MemoryDisk& disk : f.disks) disk.native_fua = false;
  ASSERT_EQ(f.open(), Status::ok);
  const SectorRange range{Sector(800), 8};
  ASSERT_EQ(f.run_command(CommandKind::mark, {&range, 1}).blocks_changed, 1U);
  const Member home = f.volume->route(Sector(800), 8, false).member;
  bool refused = false;
  f.before_io = [&](const DeviceIo& io) {
    if (io.op != IoOp::flush || io.member != home || refused) return;
    refused = true;
    refuse_a_flush(*f.volume, home);
  };
  EXPECT_EQ(f.slow(IoOp::write, 800, 8, 0x33, IoStatus::transport, true).status, Status::ok);
  f.before_io = nullptr;
  EXPECT_TRUE(refused);
  expect_moved_from(f, home, 0x33);
}

TEST(VolumeRefusal, ForgetCountsWhatCameHomeWhenACommitInTheMiddleFails) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  std::vector<SectorRange> every_second;
  for (u64 block = 0; block < 1024; block += 2) every_second.push_back({Sector(block * 8), 8});
  ASSERT_EQ(f.run_command(CommandKind::mark, every_second).status, Status::ok);
  u64 journal_writes = 0;
  f.before_io = [&](const DeviceIo& io) {
    // All copies of the second block of this command fail, wherever they go: it is cancelled.
    f.disks[1].gone.reset();
    if (is_journal(io) && ++journal_writes > 2) f.disks[1].gone = IoStatus::medium;
  };
  const SectorRange all{Sector(0), u64{1024} * 8};
  const Command done = f.run_command(CommandKind::forget, {&all, 1});
  f.before_io = nullptr;
  f.disks[1].gone.reset();
  EXPECT_NE(done.status, Status::ok);
  const u64 home = 512 - f.volume->stats().remapped_blocks;
  EXPECT_EQ(done.blocks_changed, home);
  EXPECT_EQ(f.volume->stats().returned_blocks, home);
}

TEST(VolumeRefusal, ACommitThatFailsBeforeTheJournalGivesItsSpareBlocksBack) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  const u64 free = f.volume->stats().member[1].free_blocks;
  f.disks[0].bad_write.insert(800);
  f.before_io = [&](const DeviceIo& io) {
    if (io.op == IoOp::flush && io.member == 1) refuse_a_flush(*f.volume, 1);
  };
  EXPECT_EQ(f.write(800, 8, 0x22).status, Status::io_error);
  EXPECT_EQ(f.volume->stats().member[1].free_blocks, free);
  f.before_io = nullptr;
  EXPECT_EQ(f.write(800, 8, 0x22).status, Status::io_error);  // it takes no more data, for now
  ASSERT_EQ(f.close(), Status::ok);
  ASSERT_EQ(f.open(), Status::ok);
  EXPECT_EQ(f.write(800, 8, 0x22).status, Status::ok);
  EXPECT_EQ(f.volume->stats().member[1].free_blocks, free - 1);
}

// Their caches have nothing to do with what the commit has written.
TEST(VolumeRefusal, AFlushThatOtherMembersRefuseFailsNoCommit) {
  VolumeFixture f(16384, 16384, 2);
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_write.insert(800);
  u32 refused = 0;
  f.before_io = [&](const DeviceIo& io) {
    if (io.op != IoOp::flush || io.member == kMain || refused++ > 0) return;
    refuse_a_flush(*f.volume, kMain);
    refuse_a_flush(*f.volume, 3 - io.member);
  };
  EXPECT_EQ(f.write(800, 8, 0x22).status, Status::ok);
  f.before_io = nullptr;
  EXPECT_EQ(refused, 1U);
  EXPECT_EQ(f.volume->flush_refusals(), 2U);
  EXPECT_EQ(f.read(800, 8).data[0], std::byte{0x22});
}

TEST(VolumeRefusal, ASectorHealedInPlaceKeepsItsSpareBlockWhenTheCommitFails) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_read.insert(805);
  ASSERT_EQ(f.read(800, 8).status, Status::io_error);
  ASSERT_EQ(f.volume->stats().member[1].used_blocks, 1U);
  f.before_io = [&](const DeviceIo& io) {
    if (io.op == IoOp::flush && io.member == 1) refuse_a_flush(*f.volume, 1);
  };
  EXPECT_EQ(f.write(805, 1, 0x22).status, Status::io_error);
  f.before_io = nullptr;
  EXPECT_EQ(f.volume->stats().member[1].used_blocks, 1U);
  EXPECT_EQ(f.read(805, 1).status, Status::io_error);
  EXPECT_EQ(f.read(800, 5).status, Status::ok);
}

TEST(VolumeRefusal, ACommitWaitsForAUsersFlushOfItsSpareThatMayHaveLostItsData) {
  FlushTicket ticket;  // outlives the fixture, whose closing asks before_io once more
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_write.insert(800);
  f.disks[0].bad_write.insert(1600);
  ASSERT_EQ(f.write(800, 8, 0x22).status, Status::ok);
  ASSERT_EQ(f.write(800, 8, 0x23).status, Status::ok);  // straight to the spare: to be flushed
  Waiting write;
  f.before_io = [&](const DeviceIo& io) {
    // The user's flush is refused, and takes the cache along, before the committer's is sent.
    if (io.op == IoOp::flush && io.member == 1 && ticket.members == 0) {
      ticket = f.volume->flush_begin(1U << 1);
    }
  };
  write.submit(*f.volume, IoOp::write, 1600);
  f.pump();
  ASSERT_EQ(ticket.members, 2U);
  EXPECT_FALSE(write.done);
  ASSERT_TRUE(f.volume->flush_awaited(1));
  f.volume->note_flush_refused(ticket, 1);
  f.volume->check_drains();
  f.pump();
  ASSERT_TRUE(write.done);
  EXPECT_EQ(write.request.status, Status::io_error);
  EXPECT_FALSE(f.volume->flush_awaited(1));
}

TEST(VolumeRefusal, AFlushBesideAnotherIsAnsweredWhenTheOtherOnesOutcomeIsKnown) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  const FlushTicket refused = f.volume->flush_begin(1U << kMain);
  const FlushTicket good = f.volume->flush_begin(1U << kMain);
  const u64 told = f.volume->flush_refusals();
  ASSERT_FALSE(f.volume->flush_member_ok(good, kMain));
  Waiting flush;
  flush.submit(*f.volume, IoOp::flush, 0, kMain);
  f.pump();
  EXPECT_FALSE(flush.done);
  // One that begins later is none of its business.
  const FlushTicket later = f.volume->flush_begin(1U << kMain);
  f.volume->note_flush_refused(refused, kMain);
  f.volume->check_drains();
  f.pump();
  EXPECT_TRUE(flush.done);
  EXPECT_EQ(f.volume->flush_refusals(), told + 1);
  EXPECT_TRUE(f.volume->flush_member_ok(later, kMain));
}

// The flush of a commit may be refused, and take the cache along, before the user's is sent.
TEST(VolumeRefusal, AUsersFlushBesideTheEnginesOwnIsAnsweredWhenThatOnesOutcomeIsKnown) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_write.insert(800);
  Waiting flush;
  bool begun = false;
  f.before_io = [&](const DeviceIo& io) {
    if (io.op != IoOp::flush || io.member != 1 || begun) return;
    begun = true;
    const FlushTicket ticket = f.volume->flush_begin(1U << 1);
    EXPECT_EQ(ticket.members, 2U);
    EXPECT_FALSE(f.volume->flush_member_ok(ticket, 1));
    flush.submit(*f.volume, IoOp::flush, 0, 1);
    EXPECT_FALSE(flush.done);
  };
  EXPECT_EQ(f.write(800, 8, 0x22).status, Status::ok);
  EXPECT_TRUE(begun);
  EXPECT_TRUE(flush.done);
  f.before_io = nullptr;
}

TEST(VolumeRefusal, ACheckpointWaitsForAUsersFlushThatMayHaveLostItsBody) {
  FlushTicket ticket;
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_write.insert(800);
  ASSERT_EQ(f.write(800, 8, 0x22).status, Status::ok);
  ASSERT_EQ(f.write(800, 8, 0x23).status, Status::ok);  // to be flushed
  f.before_io = [&](const DeviceIo& io) {
    if (io.op != IoOp::flush || ticket.members != 0) return;
    ticket = f.volume->flush_begin(1U << 1);
  };
  bool done = false;
  Command checkpoint;
  checkpoint.kind = CommandKind::checkpoint;
  checkpoint.context = &done;
  checkpoint.done = [](Command& c) { *static_cast<bool*>(c.context) = true; };
  f.volume->command(checkpoint);
  f.pump();
  ASSERT_EQ(ticket.members, 2U);
  EXPECT_FALSE(done);
  f.volume->note_flush_refused(ticket, 1);
  f.volume->check_drains();
  f.pump();
  ASSERT_TRUE(done);
  EXPECT_EQ(checkpoint.status, Status::io_error);
}

// It is not retired then, and its cache may have held acknowledged writes of users.
TEST(VolumeRefusal, AFlushThatTheOnlySpareRefusesToACheckpointIsTold) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_write.insert(800);
  ASSERT_EQ(f.write(800, 8, 0x22).status, Status::ok);
  ASSERT_EQ(f.write(800, 8, 0x23).status, Status::ok);  // lies in the cache of the spare
  const u64 told = f.volume->flush_refusals();
  f.disks[1].refuses_flush = true;
  EXPECT_EQ(f.run_command(CommandKind::checkpoint, {}).status, Status::io_error);
  f.disks[1].refuses_flush = false;
  EXPECT_EQ(f.volume->flush_refusals(), told + 1);
}

// A FUA write there may have been a flush of what users wrote; where nothing is cached, there is
// none.
TEST(VolumeRefusal, ASpareThatDiesAtAMetadataWriteHasRefusedAFlushOnlyIfItHasACache) {
  for (const bool cached : {true, false}) {
    VolumeFixture f(16384, 16384, 2);
    for (MemoryDisk& disk : f.disks) disk.has_cache = cached;
    ASSERT_EQ(f.open(), Status::ok);
    const u64 told = f.volume->flush_refusals();
    f.disks[2].gone = IoStatus::offline;
    const SectorRange range{Sector(800), 8};
    EXPECT_EQ(f.run_command(CommandKind::mark, {&range, 1}).status, Status::ok);
    EXPECT_EQ(f.volume->stats().member[2].state, format::MemberState::failed);
    EXPECT_EQ(f.volume->flush_refusals(), told + (cached ? 1 : 0));
    EXPECT_TRUE(f.volume->writable());
    f.disks[2].gone.reset();
  }
}

TEST(VolumeRefusal, ASuccessBesideAnUnknownFlushDoesNotLetTheNextOneSkipTheSpare) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.volume->spare_written(1);
  const FlushTicket unknown = f.volume->flush_begin(1U << 1);
  const FlushTicket good = f.volume->flush_begin(1U << 1);
  ASSERT_EQ(good.members, 2U);
  EXPECT_FALSE(f.volume->flush_member_ok(good, 1));
  EXPECT_EQ(f.volume->flush_begin(0).members, 0U);
  const FlushTicket next = f.volume->flush_begin(1U << 1);
  EXPECT_EQ(next.members, 2U);
  EXPECT_FALSE(f.volume->flush_member_ok(unknown, 1));
  EXPECT_TRUE(f.volume->flush_member_ok(next, 1));
  EXPECT_EQ(f.volume->flush_begin(1U << 1).members, 0U);
}

TEST(VolumeRefusal, EverySecondSpareBlockMayBeBad) {
  for (u64 odd = 0; odd < 2; ++odd) {
    VolumeFixture f;
    ASSERT_EQ(f.open(), Status::ok);
    refuse_spare_blocks(f, [odd](u64 b) { return b % 2 == odd; });
    for (u64 s = 0; s < 1024; s += 8) f.disks[0].bad_write.insert(s);
    for (u64 s = 0; s < 1024; s += 8) ASSERT_EQ(f.write(s, 8, 0x31).status, Status::ok) << s;
    EXPECT_EQ(f.count(EventKind::breaker_open), 0U);
  }
}

TEST(VolumeRefusal, AClusterOfBadSpareBlocksIsNotADeviceThatFails) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  u64 first = 0;
  while (!f.volume->layout(1).is_data(SpareBlock(first), 1)) ++first;
  refuse_spare_blocks(f, [first](u64 b) { return b < first + 64; });
  for (u64 s = 0; s < 1024; s += 8) f.disks[0].bad_write.insert(s);
  for (u64 s = 0; s < 1024; s += 8) ASSERT_EQ(f.write(s, 8, 0x31).status, Status::ok) << s;
  EXPECT_EQ(f.count(EventKind::breaker_open), 0U);
}

TEST(VolumeRefusal, ASpareWithoutSpaceBelowLosesNoBlocksAndSaysNoSpace) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  const u64 free = f.volume->stats().member[1].free_blocks;
  refuse_spare_blocks(f, [](u64) { return true; });
  f.disks[1].status = IoStatus::no_space;
  f.disks[0].bad_write.insert(800);
  EXPECT_EQ(f.write(800, 8, 0x22).status, Status::no_space);
  const SectorRange all{Sector(0), 8192};
  EXPECT_EQ(f.run_command(CommandKind::mark, {&all, 1}).status, Status::no_space);
  EXPECT_EQ(f.volume->stats().member[1].free_blocks, free);
  EXPECT_EQ(f.volume->stats().member[1].bad_blocks, 0U);
  f.disks[1].bad_write.clear();
  EXPECT_EQ(f.write(800, 8, 0x22).status, Status::ok);
}

TEST(VolumeRefusal, BadBlocksBelowALongMarkDoNotUseUpTheSpare) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  refuse_spare_blocks(f, [](u64 b) { return b % 16 == 3; });
  const SectorRange half{Sector(0), 8192};
  EXPECT_EQ(f.run_command(CommandKind::mark, {&half, 1}).status, Status::ok);
  const MemberStats spare = f.volume->stats().member[1];
  EXPECT_EQ(f.volume->stats().remapped_blocks, 1024U);
  EXPECT_LE(spare.used_blocks, 1024U + 64);  // and those that probes found bad
}

TEST(VolumeRefusal, WithoutASpareBlockALossIsRecordedInPlaceAndNeighboursStayReadable) {
  VolumeFixture f;
  std::fill(f.disks[0].bytes.begin(), f.disks[0].bytes.end(), std::byte{0x11});
  ASSERT_EQ(f.open(), Status::ok);
  refuse_spare_blocks(f, [](u64) { return true; });
  f.disks[1].status = IoStatus::no_space;
  f.disks[0].bad_read.insert(805);
  EXPECT_EQ(f.read(800, 8).status, Status::io_error);
  EXPECT_EQ(f.volume->stats().lost_sectors, 1U);
  EXPECT_EQ(f.volume->stats().remapped_blocks, 0U);
  f.disks[0].bad_read.clear();  // even if the disk could read it now
  for (u32 round = 0; round < 2; ++round) {
    EXPECT_EQ(f.read(805, 1).status, Status::io_error);
    const auto before = f.read(800, 5);
    EXPECT_EQ(before.status, Status::ok);
    EXPECT_TRUE(std::all_of(before.data.begin(), before.data.end(),
                            [](std::byte b) { return b == std::byte{0x11}; }));
    EXPECT_EQ(f.read(806, 2).status, Status::ok);
    ASSERT_EQ(f.close(), Status::ok);
    ASSERT_EQ(f.open(), Status::ok);
  }
}

}  // namespace
}  // namespace dmr::testing
