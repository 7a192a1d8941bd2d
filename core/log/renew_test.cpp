// SPDX-License-Identifier: GPL-2.0-or-later
// What an opening writes again, when that itself goes wrong.
#include <gtest/gtest.h>

#include "core/testing/store_faults.h"

namespace dmr {
namespace {

using testing::is_checkpoint_header;
using testing::MapModel;
using testing::MemoryDisks;
using testing::StoreBench;
using testing::stranding_flush_behind;

// The first spare's header that was complete is not written again, nor at the second try.
auto refusing_the_renewal() {
  return [times = 2](const DeviceIo& io) mutable {
    const bool is_it = io.member == 1 && is_checkpoint_header(io, format::kCheckpointComplete);
    if (times == 0 || !is_it) return MemoryDisks::Fate{};
    --times;
    return MemoryDisks::Fate{IoStatus::medium};
  };
}

// The disks as they were when the next checkpoint had said that it is being written; empty: no
// checkpoint has begun.
std::vector<MemoryDisks::Image> cut_in_a_checkpoint(StoreBench& bench, Status (*run)(StoreBench&),
                                                    Status expected = Status::ok) {
  std::vector<MemoryDisks::Image> then;
  const auto before = bench.disks.fault;
  bench.disks.fault = [&, said = false](const DeviceIo& io) mutable {
    if (said && io.op == IoOp::write && then.empty()) then = bench.disks.durable();
    said = said || is_checkpoint_header(io, format::kCheckpointWriting);
    return before ? before(io) : MemoryDisks::Fate{};
  };
  EXPECT_EQ(run(bench), expected);
  bench.disks.fault = nullptr;
  return then;
}

Status begin(StoreBench& bench) { return bench.begin(); }
Status checkpoint(StoreBench& bench) { return bench.checkpoint(); }

class Renew : public ::testing::TestWithParam<bool> {
 protected:
  void make() {
    ASSERT_EQ(bench.make(), Status::ok);
    ASSERT_TRUE(bench.commit(1, 1, 20));
    if (GetParam()) {  // whichever area it lies in
      ASSERT_EQ(bench.checkpoint(), Status::ok);
    }
    expected = bench.model.map;
  }
  // The flush behind the next complete header is refused; what lay in the cache can be read as long
  // as the power stays on.
  auto stranding() {
    return stranding_flush_behind(bench, [this](const DeviceIo& io) {
      if (!is_checkpoint_header(io, format::kCheckpointComplete)) return false;
      stranded = io.sector;
      return true;
    });
  }
  void strand_the_newest() {
    bench.native_fua = false;
    make();
    bench.disks.fault = stranding();
    EXPECT_EQ(bench.checkpoint(), Status::io_error);
    bench.disks.fault = nullptr;
    const u8 area = bench.store->layout(1).checkpoint_block(0, 0) == stranded ? 1 : 0;
    other = bench.store->layout(1).checkpoint_block(area, 0);
    bench.restart();
  }
  void expect_all(const std::vector<MemoryDisks::Image>& after) {
    bench.disks.restore(after);
    bench.restart();
    ASSERT_EQ(bench.load(), Status::ok);
    EXPECT_EQ(bench.model.map, expected);
  }

  StoreBench bench;
  MapModel::Map expected;
  Sector stranded;  // header
  Sector other;
};

// The power has gone during a checkpoint, so that one is left; the opening cannot read its header
// for once, and the power goes again. What it writes then must go over the other area.
TEST_P(Renew, TheOnlyGoodCheckpointIsNotWrittenOverBecauseItCouldNotBeReadOnce) {
  make();
  bench.disks.restore(cut_in_a_checkpoint(bench, checkpoint));
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  bool failed = false;
  bench.disks.fault = [&](const DeviceIo& io) {
    if (failed || io.op != IoOp::read) return MemoryDisks::Fate{};
    failed = true;  // the first read behind load is that of the newest header
    return MemoryDisks::Fate{IoStatus::transport};
  };
  const auto then = cut_in_a_checkpoint(bench, begin);
  ASSERT_TRUE(failed && !then.empty());
  expect_all(then);
}

// That it can be read after a failed rewrite says nothing: the older one must stay.
TEST_P(Renew, ANewestHeaderThatCannotBeWrittenAgainIsTheOneThatIsWrittenOver) {
  strand_the_newest();
  ASSERT_EQ(bench.load(), Status::ok);
  bench.disks.fault = refusing_the_renewal();
  const auto then = cut_in_a_checkpoint(bench, begin);
  ASSERT_FALSE(then.empty());
  expect_all(then);
}

// The other area may hold the only checkpoint that is durable.
TEST_P(Renew, NothingIsWrittenOverWhenTheOtherCheckpointCouldNotBeRead) {
  strand_the_newest();
  bench.disks.fault = [this](const DeviceIo& io) {
    const bool is_it = io.op == IoOp::read && io.sector == other;
    return MemoryDisks::Fate{is_it ? IoStatus::transport : IoStatus::ok};
  };
  ASSERT_EQ(bench.load(), Status::ok);
  bench.disks.fault = refusing_the_renewal();
  EXPECT_TRUE(cut_in_a_checkpoint(bench, begin, Status::io_error).empty());
  expect_all(bench.disks.durable());
}

// A commit was cancelled, and the first of the checkpoints that cover it can only be read as long
// as the power stays on. The other one and the journal give another state, which is all that is
// durable.
TEST_P(Renew, NothingIsWrittenOverWhenTheOtherCheckpointGivesAnotherState) {
  bench.native_fua = false;
  make();
  bench.disks.fault = [due = true](const DeviceIo& io) mutable {
    if (io.op != IoOp::flush || !due) return MemoryDisks::Fate{};
    due = false;
    return MemoryDisks::Fate{IoStatus::transport};
  };
  ASSERT_EQ(bench.commit(50, 2).value(), CommitResult::unknown);
  bench.disks.fault = stranding();
  EXPECT_EQ(bench.cancel(), Status::io_error);
  for (const bool by_flush : {false, true}) {
    bench.restart();
    bench.disks.fault = nullptr;
    ASSERT_EQ(bench.load(), Status::ok);
    if (by_flush) {
      bench.disks.fault = stranding();
    } else {
      bench.disks.fault = refusing_the_renewal();
    }
    EXPECT_TRUE(cut_in_a_checkpoint(bench, begin, Status::io_error).empty());
    StoreBench without_power;
    without_power.disks.restore(bench.disks.durable());
    EXPECT_EQ(without_power.load(), Status::ok);
  }
}

INSTANTIATE_TEST_SUITE_P(Areas, Renew, ::testing::Bool());

// Of two spares, whose first has a newest header that cannot be written again and another area that
// could not be read.
class RenewOfTwo : public ::testing::Test {
 protected:
  void make() {
    ASSERT_EQ(bench.make(), Status::ok);
    ASSERT_TRUE(bench.commit(1, 1, 20));
    ASSERT_EQ(bench.checkpoint(), Status::ok);
    expected = bench.model.map;
    older = sequence_at(0) > sequence_at(1) ? header_at(1, 1) : header_at(1, 0);
  }
  Sector header_at(Member member, u8 area) {
    return bench.store->layout(member).checkpoint_block(area, 0);
  }
  u64 sequence_at(u8 area) {
    const std::byte* at = bench.disks.bytes(1).data() + header_at(1, area).value * kSectorBytes;
    return reinterpret_cast<const format::CheckpointHeader*>(at)->header.sequence;
  }
  void spoil_both_of_the_second() {
    for (const u8 area : {u8{0}, u8{1}}) {
      bench.disks.bytes(2)[header_at(2, area).value * kSectorBytes + 100] ^= std::byte{1};
    }
  }
  void load_without_the_older() {
    bench.restart();
    bench.disks.fault = [this](const DeviceIo& io) {
      const bool is_it = io.op == IoOp::read && io.member == 1 && io.sector == older;
      return MemoryDisks::Fate{is_it ? IoStatus::medium : IoStatus::ok};
    };
    ASSERT_EQ(bench.load(), Status::ok);
    bench.disks.fault = refusing_the_renewal();
  }
  static auto refusing_superblocks() {
    return [](const DeviceIo& io) {
      const bool is_it = io.op == IoOp::write && io.member == 1 &&
                         reinterpret_cast<const format::Superblock*>(io.buffer)->header.kind ==
                             u8(format::Kind::superblock);
      return MemoryDisks::Fate{is_it ? IoStatus::medium : IoStatus::ok};
    };
  }
  // Begins; the power goes before any of the I/Os, or behind all of them.
  void expect_all_after_every_cut() {
    std::vector<std::vector<MemoryDisks::Image>> cuts;
    bench.disks.fault = [&, before = bench.disks.fault](const DeviceIo& io) mutable {
      cuts.push_back(bench.disks.durable());
      return before(io);
    };
    EXPECT_EQ(bench.begin(), Status::ok);
    EXPECT_EQ(bench.store->state(1), format::MemberState::failed);
    cuts.push_back(bench.disks.durable());
    EXPECT_GT(cuts.size(), 10U);
    for (const auto& cut : cuts) {
      StoreBench then(2);
      then.disks.restore(cut);
      ASSERT_EQ(then.load(), Status::ok);
      EXPECT_EQ(then.model.map, expected);
    }
  }

  StoreBench bench{2};
  MapModel::Map expected;
  Sector older;  // header, on spare 1
};

TEST_F(RenewOfTwo, SuchASpareIsRetired) {
  make();
  load_without_the_older();
  expect_all_after_every_cut();
}

// The others get a checkpoint before the one that has the only good ones is retired.
TEST_F(RenewOfTwo, ButNotBeforeTheOtherHasACheckpointToo) {
  make();
  spoil_both_of_the_second();
  load_without_the_older();
  expect_all_after_every_cut();
}

TEST_F(RenewOfTwo, NorWhenItsSuperblocksTakeNoWrites) {
  make();
  spoil_both_of_the_second();
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  bench.disks.fault = refusing_superblocks();
  expect_all_after_every_cut();
}

// What the other one has by itself is not all: one block of its journal is damaged.
TEST_F(RenewOfTwo, NorWhenOneBlockOfTheOthersJournalIsDamaged) {
  make();
  ASSERT_TRUE(bench.commit(30, 2, 5));
  const u64 damaged = bench.store->head().sequence;
  ASSERT_TRUE(bench.commit(40, 3, 5));
  expected = bench.model.map;
  const Sector slot = bench.store->layout(2).journal_slot(0, damaged);
  bench.disks.bytes(2)[slot.value * kSectorBytes + 200] ^= std::byte{1};
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  bench.disks.fault = refusing_superblocks();
  expect_all_after_every_cut();
}

// One read of it gives a wrong checksum, and only that one: what is written then must not be what
// was read.
TEST(RenewTail, ACopyThatWasReadBadlyIsNotWrittenBack) {
  StoreBench bench;
  ASSERT_EQ(bench.make(), Status::ok);
  ASSERT_TRUE(bench.commit(1, 1, 20));
  const MapModel::Map expected = bench.model.map;
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  const Sector copy = bench.store->layout(1).journal_slot(0, bench.store->head().sequence);
  const auto flip = [&bench, copy] {
    constexpr std::size_t kCrc = offsetof(format::BlockHeader, crc);
    bench.disks.bytes(1)[copy.value * kSectorBytes + kCrc] ^= std::byte{1};
  };
  int reads = 0;
  bench.disks.fault = [&, flipped = false](const DeviceIo& io) mutable {
    if (flipped) flip();
    flipped = io.op == IoOp::read && io.sector == copy && reads++ == 0;
    if (flipped) flip();
    return MemoryDisks::Fate{};
  };
  ASSERT_EQ(bench.begin(), Status::ok);
  bench.disks.fault = nullptr;
  EXPECT_EQ(reads, 1);
  bench.disks.restore(bench.disks.durable());
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  EXPECT_TRUE(bench.findings.all.empty());
  EXPECT_EQ(bench.model.map, expected);
}

// Each live spare has the block, none of a power cut's or a failure's work is left: all is there.
TEST(RenewOfMany, AQuietOpeningWritesNoCheckpoint) {
  for (const u32 spares : {1U, 2U, 3U}) {
    StoreBench bench(spares);
    ASSERT_EQ(bench.make(), Status::ok);
    ASSERT_TRUE(bench.commit(1, 1, 20));
    for (int opening = 0; opening < 2; ++opening) {
      bench.restart();
      ASSERT_EQ(bench.load(), Status::ok);
      ASSERT_EQ(bench.begin(), Status::ok);
      EXPECT_EQ(bench.store->counters().checkpoints, 0U) << spares;
      ASSERT_TRUE(bench.commit(30, 3));
    }
  }
}

// The power goes while the newest block is on two spares of three: the opening gives it to the
// third.
TEST(RenewOfMany, ABlockThatOneLiveSpareLacksIsFollowedByCheckpoints) {
  StoreBench bench(3);
  ASSERT_EQ(bench.make(), Status::ok);
  ASSERT_TRUE(bench.commit(1, 1, 20));
  std::vector<MemoryDisks::Image> then;
  bench.disks.fault = [&](const DeviceIo& io) {
    const bool is_it = io.op == IoOp::write && io.member == 3 &&
                       reinterpret_cast<const format::BlockHeader*>(io.buffer)->kind ==
                           static_cast<u16>(format::Kind::journal);
    if (is_it && then.empty()) then = bench.disks.durable();
    return MemoryDisks::Fate{};
  };
  ASSERT_TRUE(bench.commit(50, 2));
  bench.disks.fault = nullptr;
  bench.disks.restore(then);
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  ASSERT_TRUE(bench.model.map.contains(50));
  ASSERT_EQ(bench.begin(), Status::ok);
  const MapModel::Map expected = bench.model.map;
  bench.disks.restore(bench.disks.durable());
  bench.restart();
  LoadRequest alone = bench.load_request();
  alone.allow_degraded = true;
  alone.device[1].present = alone.device[2].present = false;
  ASSERT_EQ(bench.load(alone), Status::ok);
  EXPECT_EQ(bench.model.map, expected);
}

}  // namespace
}  // namespace dmr
