// SPDX-License-Identifier: GPL-2.0-or-later
// Damaged metadata: each byte of each kind changed, one at a time, and whole copies lost in pairs.
// The set loads what it held or refuses, tells of it, and is clean after the next start.
//
// All bytes of one block of each kind on a single spare; of the other blocks, of slots that were
// never used, with a second spare, and under a sanitizer: a sample. Checkpoint
// blocks behind the last that is in use hold nothing and are not looked at by anybody.
#include <algorithm>

#include <gtest/gtest.h>

#include "core/testing/store_bench.h"

namespace dmr {
namespace {

using testing::MapModel;
using testing::MemoryDisks;
using testing::StoreBench;

#if defined(DMR_SANITIZER_address) || defined(DMR_SANITIZER_thread)
constexpr u32 kEach = 31;  // slow enough as it is
#else
constexpr u32 kEach = 1;
#endif
constexpr u32 kStride = 509;      // of the bytes that are sampled
constexpr u32 kRepairEach = 251;  // every so many changes the repair is looked at, too

struct Unit {
  Member member;
  Sector address;
};

// Two checkpoints with something in them, journal blocks behind both, and slots never used.
class Damage : public ::testing::TestWithParam<u32> {
 protected:
  void SetUp() override {
    ASSERT_EQ(bench_.make(), Status::ok);
    for (u64 i = 0; i < 5; ++i) ASSERT_TRUE(bench_.commit(i, 1 + i, 20));
    ASSERT_EQ(bench_.checkpoint(), Status::ok);  // covers 5
    for (u64 i = 0; i < 4; ++i) ASSERT_TRUE(bench_.commit(40 + i, 10 + i, 9));
    ASSERT_EQ(bench_.checkpoint(), Status::ok);  // covers 9
    for (u64 i = 0; i < 3; ++i) ASSERT_TRUE(bench_.commit(60 + i, 20 + i));
    expected_ = bench_.model.map;
    layout_ = bench_.store->layout(1);
    newest_area_ = 1;  // format wrote both, then each was written once more
    bench_.restart();
    clean_ = bench_.disks.durable();
    ASSERT_EQ(bench_.load(), Status::ok);
    ASSERT_EQ(bench_.model.map, expected_);
    ASSERT_TRUE(bench_.findings.all.empty());
  }

  [[nodiscard]] Member spares() const { return static_cast<Member>(GetParam()); }

  void change(Unit unit, u32 byte) {
    std::byte& at = bench_.disks.bytes(unit.member)[unit.address.value * kSectorBytes + byte];
    at ^= static_cast<std::byte>(1U << (byte % 8));
  }

  // Changes one byte, expects the whole state and a finding, and puts it back.
  void expect_noticed(Unit unit, u32 byte) {
    change(unit, byte);
    ASSERT_EQ(bench_.load(), Status::ok) << "byte " << byte;
    ASSERT_EQ(bench_.model.map, expected_) << "byte " << byte;
    ASSERT_FALSE(bench_.findings.all.empty()) << "byte " << byte;
    for (const Finding& one : bench_.findings.all) {
      EXPECT_EQ(one.member, unit.member);
      EXPECT_FALSE(one.fatal);
    }
    if (++changes_ % kRepairEach == 0) {
      expect_repaired();
      bench_.disks.restore(clean_);
    } else {
      change(unit, byte);
    }
  }

  void expect_repaired() {
    ASSERT_EQ(bench_.begin(), Status::ok);
    ASSERT_EQ(bench_.load(), Status::ok);
    EXPECT_EQ(bench_.model.map, expected_);
    EXPECT_TRUE(bench_.findings.all.empty());
  }

  void expect_every_byte_noticed(Unit unit, u32 stride) {
    for (u32 byte = 0; byte < kMetaBytes; byte += stride) {
      expect_noticed(unit, byte);
      if (HasFatalFailure()) return;
    }
  }

  // All bytes of the first, a sample of the others.
  void expect_noticed_in(const std::vector<Unit>& units) {
    for (std::size_t i = 0; i < units.size(); ++i) {
      const u32 whole = spares() == 1 ? kEach : 31;
      expect_every_byte_noticed(units[i], i == 0 ? whole : kStride);
      if (HasFatalFailure()) return;
    }
  }

  // The copies of the block with this sequence.
  [[nodiscard]] std::vector<Unit> copies_of(u64 sequence) const {
    if (spares() == 1) {
      return {{1, layout_.journal_slot(0, sequence)}, {1, layout_.journal_slot(1, sequence)}};
    }
    std::vector<Unit> units;
    for (Member m = 1; m <= spares(); ++m) units.push_back({m, layout_.journal_slot(0, sequence)});
    return units;
  }
  void zero(Unit unit) {
    std::memset(bench_.disks.bytes(unit.member).data() + unit.address.value * kSectorBytes, 0,
                kMetaBytes);
  }

  StoreBench bench_{GetParam()};
  MapModel::Map expected_;
  SpareLayout layout_;
  u8 newest_area_ = 0;
  std::vector<MemoryDisks::Image> clean_;
  u64 changes_ = 0;
};

TEST_P(Damage, EveryByteOfASuperblockIsNoticed) {
  std::vector<Unit> units;
  for (Member m = 1; m <= spares(); ++m) {
    for (const Sector address : layout_.superblock) units.push_back({m, address});
  }
  expect_noticed_in(units);
}

TEST_P(Damage, EveryByteOfTheLastJournalBlockIsNoticed) { expect_noticed_in(copies_of(12)); }

TEST_P(Damage, EveryByteOfAJournalBlockThatIsReplayedIsNoticed) {
  expect_noticed_in(copies_of(11));
}

TEST_P(Damage, OtherJournalSlotsAreNoticed) {
  std::vector<Unit> units;
  for (Member m = 1; m <= spares(); ++m) {
    for (u64 slot = 0; slot < layout_.journal_slots; ++slot) {
      if (slot == 13) continue;  // where the next block goes
      units.push_back({m, layout_.journal_slot(0, slot)});
      units.push_back({m, layout_.journal_slot(1, slot)});
    }
  }
  for (const Unit unit : units) {
    expect_every_byte_noticed(unit, kStride);
    if (HasFatalFailure()) return;
  }
}

TEST_P(Damage, EveryByteOfTheNewestCheckpointIsNoticed) {
  std::vector<Unit> units;
  for (Member m = 1; m <= spares(); ++m) {
    units.push_back({m, layout_.checkpoint_block(newest_area_, 1)});
    units.push_back({m, layout_.checkpoint_block(newest_area_, 0)});
  }
  expect_noticed_in(units);
}

TEST_P(Damage, EveryByteOfTheOlderCheckpointIsNoticed) {
  const auto older = static_cast<u8>(1 - newest_area_);
  std::vector<Unit> units;
  for (Member m = 1; m <= spares(); ++m) {
    units.push_back({m, layout_.checkpoint_block(older, 0)});
    units.push_back({m, layout_.checkpoint_block(older, 1)});
  }
  expect_noticed_in(units);
}

TEST_P(Damage, PlaceOfTheNextJournalBlockIsPassedOverInSilence) {
  for (u8 area = 0; area < kAreas; ++area) change({1, layout_.journal_slot(area, 13)}, 100);
  ASSERT_EQ(bench_.load(), Status::ok);
  EXPECT_EQ(bench_.model.map, expected_);
  EXPECT_TRUE(bench_.findings.all.empty());
  expect_repaired();
  for (u8 area = 0; area < kAreas; ++area) {  // what was torn does not stay behind
    const auto& block = *reinterpret_cast<const format::JournalBlock*>(
        bench_.disks.bytes(1).data() + layout_.journal_slot(area, 13).value * kSectorBytes);
    EXPECT_EQ(block.header.sequence, 0U);
    EXPECT_EQ(block.header.crc, format::block_crc(format::bytes_of(block), format::Kind::journal));
  }
}

// Two whole blocks lost at once: what was there, or a refusal. Only both copies of the very last
// block are like a power cut during its commit.
TEST_P(Damage, NoPairOfLostBlocksGivesAWrongState) {
  std::vector<Unit> units;
  for (Member m = 1; m <= spares(); ++m) {
    for (const Sector address : layout_.superblock) units.push_back({m, address});
    for (u8 area = 0; area < kAreas; ++area) {
      for (const u64 sequence : {5U, 6U, 9U, 10U, 12U}) {
        units.push_back({m, layout_.journal_slot(area, sequence)});
      }
      units.push_back({m, layout_.checkpoint_block(area, 0)});
      units.push_back({m, layout_.checkpoint_block(area, 1)});
    }
  }
  u32 refused = 0;
  for (std::size_t i = 0; i < units.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      bench_.disks.restore(clean_);
      zero(units[i]);
      zero(units[j]);
      const Status status = bench_.load();
      EXPECT_FALSE(bench_.findings.all.empty() && status != Status::ok);
      const std::vector<Unit> last = copies_of(12);
      const auto is_last = [&](Unit unit) {
        return std::any_of(last.begin(), last.end(), [&](Unit copy) {
          return copy.member == unit.member && copy.address == unit.address;
        });
      };
      if (is_last(units[i]) && is_last(units[j])) {
        ASSERT_EQ(status, Status::ok);
        MapModel::Map before = expected_;
        before.erase(62);
        EXPECT_EQ(bench_.model.map, before);
        continue;
      }
      if (status != Status::ok) {
        EXPECT_EQ(status, Status::damaged);
        ++refused;
        continue;
      }
      ASSERT_EQ(bench_.model.map, expected_) << i << ", " << j;
      expect_repaired();
    }
  }
  EXPECT_GT(refused, 0U);
}

TEST_P(Damage, BothCopiesOfAReplayedBlockAreAGap) {
  for (const u64 sequence : {10U, 11U}) {
    bench_.disks.restore(clean_);
    for (const Unit unit : copies_of(sequence)) change(unit, 200);
    EXPECT_EQ(bench_.load(), Status::damaged);
    ASSERT_EQ(bench_.findings.count(FindingKind::journal_gap), 1U);
    for (const Finding& one : bench_.findings.all) {
      if (one.kind == FindingKind::journal_gap) {
        EXPECT_EQ(one.sequence, sequence);
      }
    }
    EXPECT_EQ(bench_.findings.count(FindingKind::journal_damaged), spares() == 1 ? 2 : spares());
  }
}

// A power cut tears one block; two that are gone at the end were acknowledged, the older one at
// least.
TEST_P(Damage, TwoLostBlocksAtTheEndAreNoTornTail) {
  for (const u64 sequence : {11U, 12U}) {
    for (const Unit unit : copies_of(sequence)) zero(unit);
  }
  EXPECT_EQ(bench_.load(), Status::damaged);
  ASSERT_EQ(bench_.findings.count(FindingKind::journal_gap), 1U);
  EXPECT_EQ(bench_.findings.all.back().sequence, 11U);
  if (spares() == 1) return;
  LoadRequest without = bench_.load_request();  // the copies that were on the other one, too
  without.device[2].present = false;
  without.allow_degraded = true;
  EXPECT_EQ(bench_.load(without), Status::damaged);
  EXPECT_EQ(bench_.findings.count(FindingKind::journal_gap), 1U);
}

TEST_P(Damage, ATornTailBesideADamagedSlotIsATail) {
  for (Member m = 1; m <= spares(); ++m) {
    for (u8 area = 0; area < kAreas; ++area) change({m, layout_.journal_slot(area, 13)}, 100);
  }
  zero({1, layout_.journal_slot(0, 14)});  // another slot shows that no block 14 was acknowledged
  EXPECT_EQ(bench_.load(), Status::ok);
  EXPECT_EQ(bench_.model.map, expected_);
}

// Well sealed, but of a block that the volume has not: no writer of ours has written that.
TEST_P(Damage, AnIntactBlockWithAnImpossibleRecordIsRefused) {
  const auto forge = [&](Unit unit, u32 record_offset, format::Kind kind) {
    std::byte* const at =
        bench_.disks.bytes(unit.member).data() + unit.address.value * kSectorBytes;
    const u64 nowhere = StoreBench::kMainSectors;
    std::memcpy(at + record_offset + offsetof(format::Record, block), &nowhere, sizeof nowhere);
    const u32 crc = format::block_crc(format::MetaBytes(at, kMetaBytes), kind);
    std::memcpy(at + offsetof(format::BlockHeader, crc), &crc, sizeof crc);
  };
  for (const Unit unit : copies_of(12)) {
    forge(unit, offsetof(format::JournalBlock, record), format::Kind::journal);
  }
  EXPECT_EQ(bench_.load(), Status::damaged);
  EXPECT_EQ(bench_.findings.count(FindingKind::record_invalid), 1U);
  EXPECT_TRUE(bench_.findings.all.back().fatal);
  bench_.disks.restore(clean_);
  for (Member m = 1; m <= spares(); ++m) {
    forge({m, layout_.checkpoint_block(newest_area_, 1)}, offsetof(format::CheckpointBody, record),
          format::Kind::checkpoint_body);
  }
  EXPECT_EQ(bench_.load(), Status::damaged);
  EXPECT_EQ(bench_.findings.count(FindingKind::record_invalid), 1U);
}

TEST_P(Damage, WithoutAnyCheckpointTheSetIsRefused) {
  for (Member m = 1; m <= spares(); ++m) {
    zero({m, layout_.checkpoint_block(0, 0)});
    zero({m, layout_.checkpoint_block(1, 1)});
  }
  EXPECT_EQ(bench_.load(), Status::damaged);
  EXPECT_EQ(bench_.findings.count(FindingKind::no_checkpoint), 1U);
}

// The older checkpoint and the journal serve, but the journal no longer reaches what the newest is
// known to have covered.
TEST_P(Damage, OlderCheckpointDoesNotHideThatTheJournalEndsTooSoon) {
  for (Member m = 1; m <= spares(); ++m) zero({m, layout_.checkpoint_block(newest_area_, 1)});
  for (const u64 sequence : {9U, 10U, 11U, 12U}) {
    for (const Unit unit : copies_of(sequence)) zero(unit);
  }
  EXPECT_EQ(bench_.load(), Status::damaged);
  EXPECT_EQ(bench_.findings.count(FindingKind::journal_gap), 1U);
}

TEST_P(Damage, WithoutAnySuperblockTheSpareIsDamagedOrNotOurs) {
  for (const Sector address : layout_.superblock) change({1, address}, 200);
  EXPECT_EQ(bench_.load(), Status::damaged);
  EXPECT_GE(bench_.findings.count(FindingKind::superblock_damaged), 3U);
  bench_.disks.restore(clean_);
  for (const Sector address : layout_.superblock) zero({1, address});
  EXPECT_EQ(bench_.load(), Status::not_found);
}

TEST_P(Damage, UnreadableBlocksCountAsBadCopies) {
  const std::vector<Unit> units = {{1, layout_.superblock[1]},
                                   copies_of(10)[0],
                                   copies_of(12)[0],
                                   {1, layout_.checkpoint_block(newest_area_, 0)},
                                   {1, layout_.checkpoint_block(newest_area_, 1)}};
  for (const Unit unit : units) {
    bench_.disks.restore(clean_);
    bench_.disks.fault = [&](const DeviceIo& io) {
      const bool hit = io.op == IoOp::read && io.member == unit.member &&
                       io.sector <= unit.address && unit.address < io.sector + io.sectors;
      return MemoryDisks::Fate{hit ? IoStatus::medium : IoStatus::ok};
    };
    ASSERT_EQ(bench_.load(), Status::ok);
    EXPECT_EQ(bench_.model.map, expected_);
    EXPECT_EQ(bench_.findings.count(FindingKind::read_failed), 1U);
    EXPECT_EQ(bench_.findings.all.size(), 1U);
    EXPECT_EQ(bench_.findings.all[0].io, IoStatus::medium);
    bench_.disks.fault = nullptr;
    expect_repaired();
  }
}

// When no spare shows the place of the next block, and not because of what is stored there, then
// an acknowledged commit may be hidden.
TEST_P(Damage, DeviceThatDoesNotAnswerHidesNoCommit) {
  bench_.disks.fault = [&](const DeviceIo& io) {
    const Sector next = layout_.journal_slot(0, 13);
    const bool hit = io.sector <= next && next < io.sector + io.sectors;
    return MemoryDisks::Fate{hit ? IoStatus::timeout : IoStatus::ok};
  };
  EXPECT_EQ(bench_.load(), Status::io_error);
  EXPECT_EQ(bench_.findings.count(FindingKind::read_failed), spares());
}

TEST_P(Damage, DamageThatWasRepairedIsAnEvent) {
  change({1, layout_.superblock[0]}, 99);
  ASSERT_EQ(bench_.load(), Status::ok);
  bench_.disks.events.clear();
  ASSERT_EQ(bench_.begin(), Status::ok);
  ASSERT_EQ(bench_.disks.events.size(), 1U);
  EXPECT_EQ(bench_.disks.events[0].kind, EventKind::metadata_repaired);
  EXPECT_EQ(bench_.disks.events[0].member, 1);
}

INSTANTIATE_TEST_SUITE_P(Spares, Damage, ::testing::Values(1U, 2U),
                         ::testing::PrintToStringParamName());

}  // namespace
}  // namespace dmr
