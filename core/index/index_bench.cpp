// SPDX-License-Identifier: GPL-2.0-or-later
// Lookups in the index of a 1 TiB volume, clean and with 1,000,000 remaps scattered evenly, beside
// what else one might take: a hash table per sector and a B-tree of blocks.
#include "core/index/index.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <random>
#include <unordered_map>
#include <vector>

#include <absl/container/btree_map.h>
#include <benchmark/benchmark.h>

#include "core/testing/fake_host.h"

namespace dmr {
namespace {

constexpr u64 kVolumeSectors = u64{1} << 31;  // 1 TiB
constexpr u32 kBlockSectors = 8;
constexpr u64 kBlocks = kVolumeSectors / kBlockSectors;
constexpr u64 kRemaps = 1'000'000;
constexpr u64 kQueries = 1U << 17;

// Takes index pages from chunks in huge pages, as a host should.
class BenchHost final : public testing::FakeHost {
 public:
  ~BenchHost() {
    for (void* chunk : chunks_) std::free(chunk);
  }
  void release(void* memory, std::size_t bytes) override {
    if (bytes == kIndexPageBytes) return;  // with its chunk
    FakeHost::release(memory, bytes);
  }
  void request_pages(u32 count) override {
    for (u32 i = 0; i < count; ++i) {
      if (left_ == 0) {
        chunks_.push_back(std::aligned_alloc(kChunk, kChunk));
        ::madvise(chunks_.back(), kChunk, MADV_HUGEPAGE);
        left_ = kChunk;
      }
      left_ -= kIndexPageBytes;
      give_page(static_cast<char*>(chunks_.back()) + left_);
    }
  }

 private:
  static constexpr std::size_t kChunk = 2U << 20;
  std::vector<void*> chunks_;
  std::size_t left_ = 0;
};

std::vector<u64> scattered_blocks() {
  std::mt19937_64 random(1);
  std::vector<u64> blocks(kRemaps + kRemaps / 100);
  for (u64& block : blocks) block = random() % kBlocks;
  std::sort(blocks.begin(), blocks.end());
  blocks.erase(std::unique(blocks.begin(), blocks.end()), blocks.end());
  std::shuffle(blocks.begin(), blocks.end(), random);
  blocks.resize(kRemaps);
  std::sort(blocks.begin(), blocks.end());
  return blocks;
}

const std::vector<u64>& remapped() {
  static const std::vector<u64> blocks = scattered_blocks();
  return blocks;
}

Home home_of(u64 i) { return {1, LostKind::none, SpareBlock(1000 + 3 * i), {}}; }

struct Volume {
  explicit Volume(bool remaps) {
    host.give_page = [this](void* page) { index.give_page(page); };
    const Geometry geometry = Geometry::make(kVolumeSectors, kBlockSectors).value();
    DMR_ASSERT(index.open(host, geometry) == Status::ok);
    if (remaps) load();
  }
  ~Volume() { index.close(); }
  void load() {
    index.begin_load();
    Loader loader(index);
    DMR_ASSERT(loader.open() == Status::ok);
    for (u64 i = 0; i < kRemaps; ++i) {
      DMR_ASSERT(loader.add({Block(remapped()[i]), 1, home_of(i)}) == Status::ok);
    }
    DMR_ASSERT(loader.finish() == Status::ok);
    loader.close();
    index.end_load();
  }
  BenchHost host;
  Index index;
};

const Index& clean_index() {
  static Volume volume(false);
  return volume.index;
}
const Index& scattered_index() {
  static Volume volume(true);
  return volume.index;
}

enum class Where { anywhere, remapped };

// Blocks in an order that no cache can guess. 32 bits each, so that the list itself takes few
// lines.
std::vector<u32> queries(Where where, int thread) {
  std::mt19937_64 random(100 + static_cast<u64>(thread));
  std::vector<u32> list(kQueries);
  for (u32& query : list) {
    query = static_cast<u32>(where == Where::anywhere ? random() % kBlocks
                                                      : remapped()[random() % kRemaps]);
  }
  return list;
}

Sector sector_of(u32 block) { return Sector(u64{block} * kBlockSectors); }

template <class Lookup>
void run_queries(benchmark::State& state, Where where, const Lookup& lookup) {
  const std::vector<u32> list = queries(where, state.thread_index());
  u64 i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(lookup(list[i % kQueries]));
    ++i;
  }
  state.SetItemsProcessed(state.iterations());
}

void index_clean(benchmark::State& state) {
  const Index& index = clean_index();
  run_queries(state, Where::anywhere,
              [&index](u32 block) { return index.route(sector_of(block), kBlockSectors); });
}
BENCHMARK(index_clean)->Threads(1)->Threads(2)->UseRealTime();

void index_scattered(benchmark::State& state, Where where) {
  const Index& index = scattered_index();
  run_queries(state, where,
              [&index](u32 block) { return index.route(sector_of(block), kBlockSectors); });
}
BENCHMARK_CAPTURE(index_scattered, anywhere, Where::anywhere)
    ->Threads(1)
    ->Threads(2)
    ->UseRealTime();
BENCHMARK_CAPTURE(index_scattered, remapped, Where::remapped)
    ->Threads(1)
    ->Threads(2)
    ->UseRealTime();

// Each address depends on the answer before, so that nothing overlaps: the latency of one lookup.
void index_latency(benchmark::State& state, Where where) {
  const Index& index = scattered_index();
  const std::vector<u32> list = queries(where, 0);
  u64 i = 0;
  u64 carry = 0;
  for (auto _ : state) {
    carry =
        index.route(sector_of(list[(i + (carry >> 63U)) % kQueries]), kBlockSectors).sector.value;
    ++i;
  }
  benchmark::DoNotOptimize(carry);
}
BENCHMARK_CAPTURE(index_latency, anywhere, Where::anywhere);
BENCHMARK_CAPTURE(index_latency, remapped, Where::remapped);

// 16 at a time. The time is that of a batch, `lookup` that of one of its 16.
void index_batch(benchmark::State& state, const Index& (*index_of)(), Where where) {
  const Index& index = index_of();
  const std::vector<u32> list = queries(where, state.thread_index());
  Extent in[kRouteBatch];
  Route out[kRouteBatch];
  u64 i = 0;
  for (auto _ : state) {
    for (u32 j = 0; j < kRouteBatch; ++j)
      in[j] = {sector_of(list[(i + j) % kQueries]), kBlockSectors};
    index.route_batch(in, out);
    benchmark::DoNotOptimize(out);
    i += kRouteBatch;
  }
  state.SetItemsProcessed(static_cast<i64>(i));
  state.counters["lookup"] = benchmark::Counter(
      static_cast<double>(i), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK_CAPTURE(index_batch, clean, clean_index, Where::anywhere);
BENCHMARK_CAPTURE(index_batch, anywhere, scattered_index, Where::anywhere);
BENCHMARK_CAPTURE(index_batch, remapped, scattered_index, Where::remapped);

void index_load(benchmark::State& state) {
  remapped();
  double bytes = 0;
  for (auto _ : state) {
    state.PauseTiming();
    auto volume = std::make_unique<Volume>(false);
    state.ResumeTiming();
    volume->load();
    state.PauseTiming();
    bytes = static_cast<double>(volume->index.bytes_used());
    volume.reset();
    state.ResumeTiming();
  }
  state.counters["bytes_per_remap"] = bytes / static_cast<double>(kRemaps);
}
BENCHMARK(index_load)->Unit(benchmark::kMillisecond)->Iterations(5);

// One by one in random order, as a volume grows; each change waits for its grace period.
void index_insert(benchmark::State& state) {
  std::vector<u64> order(kRemaps);
  for (u64 i = 0; i < kRemaps; ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), std::mt19937_64(2));
  double bytes = 0;
  for (auto _ : state) {
    state.PauseTiming();
    auto volume = std::make_unique<Volume>(false);
    state.ResumeTiming();
    for (const u64 i : order) {
      const Status status = volume->index.set(Block(remapped()[i]), 1, home_of(i));
      DMR_ASSERT(status == Status::ok);
      volume->host.end_all_grace();
    }
    state.PauseTiming();
    bytes = static_cast<double>(volume->index.bytes_used());
    volume.reset();
    state.ResumeTiming();
  }
  state.counters["bytes_per_remap"] = bytes / static_cast<double>(kRemaps);
}
BENCHMARK(index_insert)->Unit(benchmark::kMillisecond)->Iterations(1);

// One entry for each remapped sector: where it lives.
void unordered_map_per_sector(benchmark::State& state, Where where) {
  static const auto map = [] {
    std::unordered_map<u64, u64> sectors;
    sectors.reserve(kRemaps * kBlockSectors);
    for (u64 i = 0; i < kRemaps; ++i) {
      for (u64 s = 0; s < kBlockSectors; ++s) {
        sectors[remapped()[i] * kBlockSectors + s] = (1000 + 3 * i) * kBlockSectors + s;
      }
    }
    return sectors;
  }();
  run_queries(state, where, [](u32 block) {
    const auto found = map.find(u64{block} * kBlockSectors);
    return found != map.end() ? found->second : u64{block} * kBlockSectors;
  });
}
BENCHMARK_CAPTURE(unordered_map_per_sector, anywhere, Where::anywhere);
BENCHMARK_CAPTURE(unordered_map_per_sector, remapped, Where::remapped);

void btree_map_per_block(benchmark::State& state, Where where) {
  static const auto map = [] {
    absl::btree_map<u64, u64> blocks;
    for (u64 i = 0; i < kRemaps; ++i)
      blocks.emplace_hint(blocks.end(), remapped()[i], 1000 + 3 * i);
    return blocks;
  }();
  run_queries(state, where, [](u32 block) {
    const auto found = map.find(block);
    return (found != map.end() ? found->second : block) * kBlockSectors;
  });
}
BENCHMARK_CAPTURE(btree_map_per_block, anywhere, Where::anywhere);
BENCHMARK_CAPTURE(btree_map_per_block, remapped, Where::remapped);

}  // namespace
}  // namespace dmr
