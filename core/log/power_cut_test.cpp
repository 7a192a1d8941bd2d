// SPDX-License-Identifier: GPL-2.0-or-later
// Power cuts: at every step of every transaction, with every subset of the sectors that were in
// flight or in a volatile cache (a sample of the subsets where there are too many). What was
// acknowledged is there, what was not is there as a whole or not at all.
#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "core/testing/store_bench.h"

namespace dmr {
namespace {

using testing::LooseSector;
using testing::MapModel;
using testing::MemoryDisks;
using testing::StoreBench;

// Which of n loose sectors survive: all subsets of few, else none, all, each prefix, each alone,
// each missing, and some at random.
std::vector<std::vector<bool>> subsets(std::size_t n, std::size_t exhaustive) {
  std::vector<std::vector<bool>> all;
  if (n <= exhaustive) {
    for (u32 bits = 0; bits < (1U << n); ++bits) {
      std::vector<bool> one(n);
      for (std::size_t i = 0; i < n; ++i) one[i] = ((bits >> i) & 1U) != 0;
      all.push_back(one);
    }
    return all;
  }
  const std::size_t step = (n + 7) / 8;
  for (std::size_t i = 0; i <= n; i += step) {
    std::vector<bool> prefix(n, false);
    std::fill_n(prefix.begin(), i, true);
    all.push_back(prefix);
    if (i == n) break;
    std::vector<bool> alone(n, false);
    alone[i] = true;
    all.push_back(alone);
    alone.flip();
    all.push_back(alone);
  }
  all.emplace_back(n, true);
  u64 state = n;
  for (u32 i = 0; i < 16; ++i) {
    std::vector<bool> random(n);
    for (std::size_t k = 0; k < n; ++k) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      random[k] = (state >> 60U) % 2 == 0;
    }
    all.push_back(random);
  }
  return all;
}

// Cuts the power at each step of what the bench does, and starts from what is left.
class PowerCuts {
 public:
  explicit PowerCuts(StoreBench& bench, u32 spares) : bench_(bench), after_(spares) {
    allow({bench.model.map});
    bench.disks.before_completion = [this] { cut(); };
  }
  PowerCuts(const PowerCuts&) = delete;
  PowerCuts& operator=(const PowerCuts&) = delete;
  ~PowerCuts() { bench_.disks.before_completion = nullptr; }

  void allow(std::vector<MapModel::Map> maps) { allowed_ = std::move(maps); }
  void allow_bad_checkpoint() { is_checkpoint_bad_ = true; }
  // Also without what is in flight.
  void cut() {
    const std::vector<LooseSector> loose = bench_.disks.loose();
    const std::vector<MemoryDisks::Image> durable = bench_.disks.durable();
    for (const std::vector<bool>& kept : subsets(loose.size(), exhaustive)) {
      after_.disks.restore(durable, loose, kept);
      start();
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
  [[nodiscard]] u32 cuts() const { return cuts_; }
  // The states that were seen since the last call.
  std::size_t exhaustive = 6;  // all subsets of up to so many sectors
  u32 repair_each = 13;        // of so many cuts one is followed by a start that writes
  std::size_t states_seen() { return std::exchange(seen_, {}).size(); }

 private:
  void start() {
    ++cuts_;
    ASSERT_EQ(after_.load(), Status::ok) << "cut " << cuts_;
    const MapModel::Map loaded = after_.model.map;
    ASSERT_NE(std::find(allowed_.begin(), allowed_.end(), loaded), allowed_.end())
        << "cut " << cuts_;
    seen_.insert(loaded);
    for (const Finding& one : after_.findings.all) ASSERT_FALSE(one.fatal);
    if (!is_checkpoint_bad_) {  // no power cut does that
      ASSERT_EQ(after_.findings.count(FindingKind::checkpoint_damaged), 0U);
    }
    if (cuts_ % repair_each != 0) return;
    ASSERT_EQ(after_.begin(), Status::ok);
    expect_solid(loaded);
    if (::testing::Test::HasFatalFailure()) return;
    ASSERT_EQ(after_.load(), Status::ok);
    ASSERT_EQ(after_.begin(), Status::ok);
    ASSERT_TRUE(after_.commit(1000, 3));
    const MapModel::Map more = after_.model.map;
    ASSERT_EQ(after_.load(), Status::ok);
    ASSERT_EQ(after_.model.map, more);
  }

  // A start that writes leaves everything twice: the same state is found without either
  // checkpoint, and without either copy of all journal blocks.
  void expect_solid(const MapModel::Map& expected) {
    ASSERT_EQ(after_.load(), Status::ok);
    ASSERT_EQ(after_.model.map, expected);
    ASSERT_TRUE(after_.findings.all.empty());
    const std::vector<MemoryDisks::Image> images = after_.disks.durable();
    const SpareLayout layout = after_.store->layout(1);
    const auto spares = static_cast<Member>(after_.disks.members() - 1);
    for (u8 area = 0; area < kAreas; ++area) {
      for (Member m = 1; m <= spares; ++m) zero(m, layout.checkpoint_block(area, 0), 1);
      expect_state_and_restore(expected, images);
      for (Member m = 1; m <= spares; ++m) {
        zero(m, layout.journal[area], layout.journal_slots);
        if (spares == 1 || area == 0) expect_state_and_restore(expected, images);
      }
    }
  }
  void zero(Member m, Sector from, u32 blocks) {
    std::memset(after_.disks.bytes(m).data() + from.value * kSectorBytes, 0,
                std::size_t{blocks} * kMetaBytes);
  }
  void expect_state_and_restore(const MapModel::Map& expected,
                                const std::vector<MemoryDisks::Image>& images) {
    ASSERT_EQ(after_.load(), Status::ok);
    ASSERT_EQ(after_.model.map, expected);
    after_.disks.restore(images);
  }

  StoreBench& bench_;
  StoreBench after_;
  std::vector<MapModel::Map> allowed_;
  std::set<MapModel::Map> seen_;
  bool is_checkpoint_bad_ = false;
  u32 cuts_ = 0;
};

class PowerCut : public ::testing::TestWithParam<u32> {
 protected:
  [[nodiscard]] static u32 spares() { return GetParam(); }

  // A commit that may be there as a whole or not until it is acknowledged.
  static void commit_under(PowerCuts& cuts, StoreBench& bench, u64 block, u64 value, u32 count) {
    MapModel::Map next = bench.model.map;
    for (u32 i = 0; i < count; ++i) next[block + i] = value;
    cuts.allow({bench.model.map, next});
    const Result<CommitResult> result = bench.commit(block, value, count);
    ASSERT_TRUE(result);
    ASSERT_EQ(*result, CommitResult::durable);
    EXPECT_EQ(cuts.states_seen(), 2U);
    cuts.allow({bench.model.map});
    cuts.cut();
    EXPECT_EQ(cuts.states_seen(), 1U);
  }
};

// Others are left when one member goes.
class PowerCutOfMembers : public PowerCut {};

TEST_P(PowerCut, DuringACommit) {
  StoreBench bench(spares());
  ASSERT_EQ(bench.make(), Status::ok);
  for (u64 i = 0; i < 5; ++i) ASSERT_TRUE(bench.commit(i, 9, 82));
  PowerCuts cuts(bench, spares());
  cuts.exhaustive = 9;
  commit_under(cuts, bench, 50, 1, 1);   // 1 sector of each copy differs
  commit_under(cuts, bench, 50, 2, 25);  // 3 sectors
  EXPECT_GE(cuts.cuts(), 4U + 64U);
}

TEST_P(PowerCut, DuringCommitsThatOverwriteOlderBlocks) {
  StoreBench bench(spares());
  ASSERT_EQ(bench.make(), Status::ok);
  for (u64 i = 0; i < 75; ++i) ASSERT_TRUE(bench.commit_as_volume(i, 1 + i, 20));
  PowerCuts cuts(bench, spares());
  for (u64 i = 0; i < 3; ++i) {
    commit_under(cuts, bench, 100 + i, 3, 9);
    if (HasFatalFailure()) return;
  }
}

TEST_P(PowerCut, DuringCheckpoints) {
  StoreBench bench(spares());
  ASSERT_EQ(bench.make(), Status::ok);
  for (u64 i = 0; i < 5; ++i) ASSERT_TRUE(bench.commit(i * 60, 9, 60));
  PowerCuts cuts(bench, spares());
  for (u64 i = 0; i < 3; ++i) {
    ASSERT_EQ(bench.checkpoint(), Status::ok);
    cuts.cut();
    commit_under(cuts, bench, 100 + i, 3, 2);
    if (HasFatalFailure()) return;
  }
}

TEST_P(PowerCut, DuringAStart) {
  StoreBench bench(spares());
  ASSERT_EQ(bench.make(), Status::ok);
  for (u64 i = 0; i < 5; ++i) ASSERT_TRUE(bench.commit(i * 10, 9, 10));
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  PowerCuts cuts(bench, spares());
  ASSERT_EQ(bench.begin(), Status::ok);
  cuts.cut();
  commit_under(cuts, bench, 100, 3, 2);
}

TEST_P(PowerCut, DuringARepair) {
  for (u32 what = 0; what < 4; ++what) {
    StoreBench bench(spares());
    ASSERT_EQ(bench.make(), Status::ok);
    for (u64 i = 0; i < 5; ++i) ASSERT_TRUE(bench.commit(i * 10, 9, 10));
    const SpareLayout layout = bench.store->layout(1);
    const Sector places[] = {layout.superblock[1], layout.journal_slot(0, 5),
                             layout.journal_slot(1, 20), layout.checkpoint_block(1, 0)};
    bench.restart();
    bench.disks.bytes(1)[places[what].value * kSectorBytes + 100] ^= std::byte{1};
    ASSERT_EQ(bench.load(), Status::ok);
    ASSERT_EQ(bench.findings.all.size(), 1U);
    PowerCuts cuts(bench, spares());
    cuts.allow_bad_checkpoint();
    ASSERT_EQ(bench.begin(), Status::ok);
    cuts.cut();
    if (HasFatalFailure()) return;
  }
}

// A commit of unknown outcome that is on the disk after all, and its cancellation.
TEST_P(PowerCut, DuringACancellation) {
  StoreBench bench(spares());
  ASSERT_EQ(bench.make(), Status::ok);
  ASSERT_TRUE(bench.commit(1, 1));
  const MapModel::Map before = bench.model.map;
  MapModel::Map zombie = before;
  zombie[2] = 5;
  bench.disks.fault = [](const DeviceIo& io) {
    return MemoryDisks::Fate{io.op == IoOp::write ? IoStatus::timeout : IoStatus::ok, true};
  };
  ASSERT_EQ(*bench.commit(2, 5), CommitResult::unknown);
  bench.disks.fault = nullptr;
  PowerCuts cuts(bench, spares());
  cuts.repair_each = 1;
  cuts.allow({before, zombie});
  ASSERT_EQ(bench.cancel(), Status::ok);
  EXPECT_EQ(cuts.states_seen(), 2U);
  cuts.allow({before});
  cuts.cut();
  commit_under(cuts, bench, 7, 3, 2);
}

TEST_P(PowerCutOfMembers, WhileAMemberIsRetired) {
  for (const bool is_stored : {false, true}) {
    StoreBench bench(spares());
    ASSERT_EQ(bench.make(), Status::ok);
    for (u64 i = 0; i < 5; ++i) ASSERT_TRUE(bench.commit(i * 10, 9, 10));
    bench.disks.fault = [&](const DeviceIo& io) {
      const bool fails = io.op == IoOp::write && io.member == 1;
      return MemoryDisks::Fate{fails ? IoStatus::medium : IoStatus::ok, is_stored};
    };
    PowerCuts cuts(bench, spares());
    commit_under(cuts, bench, 3, 4, 3);
    EXPECT_EQ(bench.store->state(1), format::MemberState::failed);
    commit_under(cuts, bench, 3, 5, 3);
    ASSERT_EQ(bench.checkpoint(), Status::ok);
    cuts.cut();
    if (HasFatalFailure()) return;
  }
}

TEST_P(PowerCutOfMembers, WhileAMissingMemberIsLeftOutAndComesBack) {
  StoreBench bench(spares());
  ASSERT_EQ(bench.make(), Status::ok);
  for (u64 i = 0; i < 5; ++i) ASSERT_TRUE(bench.commit(i * 10, 9, 10));
  bench.restart();
  LoadRequest request = bench.load_request();
  request.allow_degraded = true;
  request.device[2].present = false;
  ASSERT_EQ(bench.load(request), Status::ok);
  {
    PowerCuts cuts(bench, spares());
    ASSERT_EQ(bench.begin(), Status::ok);
    commit_under(cuts, bench, 3, 4, 3);
    ASSERT_EQ(bench.checkpoint(), Status::ok);
  }
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  EXPECT_EQ(bench.findings.count(FindingKind::member_stale), 1U);
  PowerCuts cuts(bench, spares());
  ASSERT_EQ(bench.begin(), Status::ok);
  EXPECT_EQ(bench.store->state(2), format::MemberState::live);
  commit_under(cuts, bench, 3, 5, 3);
}

INSTANTIATE_TEST_SUITE_P(Spares, PowerCut, ::testing::Values(1U, 2U, 3U),
                         ::testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(Spares, PowerCutOfMembers, ::testing::Values(2U, 3U),
                         ::testing::PrintToStringParamName());

}  // namespace
}  // namespace dmr
