// SPDX-License-Identifier: GPL-2.0-or-later
// A metadata store on disks in memory, with a small model of what it must remember: one value for
// each block. Not freestanding.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/format/validate.h"
#include "core/log/store.h"
#include "core/testing/memory_disks.h"

namespace dmr::testing {

// Block -> value. A value is the lost mask of a block on main: 1 to 254 for blocks of 8 sectors.
class MapModel final : public RecordSink, public RecordSource {
 public:
  using Map = std::map<u64, u64>;

  void reset() override {
    map.clear();
    ++resets;
  }
  Status snapshot(const format::Record& record) override {
    if (!map.empty() && map.rbegin()->first >= record.block) out_of_order = true;
    return replay(record);
  }
  Status replay(const format::Record& record) override {
    map[record.block] = record.lost_low;
    return verdict;
  }
  void rewind() override { at_ = map.begin(); }
  bool next(format::Record& record) override {
    if (at_ == map.end()) return false;
    record = record_of(at_->first, at_->second);
    ++at_;
    return true;
  }
  static format::Record record_of(u64 block, u64 value) {
    format::Record record{};
    record.block = block;
    record.lost_low = value;
    record.length = 1;
    record.type = static_cast<u8>(format::RecordType::mapping);
    return record;
  }

  Map map;
  int resets = 0;
  bool out_of_order = false;
  Status verdict = Status::ok;

 private:
  Map::iterator at_;
};

class Findings final : public FindingSink {
 public:
  void found(const Finding& finding) override { all.push_back(finding); }
  [[nodiscard]] std::size_t count(FindingKind kind) const {
    std::size_t number = 0;
    for (const Finding& one : all) number += one.kind == kind ? 1 : 0;
    return number;
  }
  std::vector<Finding> all;
};

class StoreBench {
 public:
  static constexpr u64 kMainSectors = 16384;
  static constexpr u64 kSpareSectors = 2048;
  static constexpr std::size_t kStackBytes = 65536;

  explicit StoreBench(u32 spares = 1, u64 spare_sectors = kSpareSectors) {
    disks.add_untouchable(kMainSectors);  // the store has no business there
    for (u32 i = 0; i < spares; ++i) disks.add(spare_sectors);
    open();
  }
  StoreBench(const StoreBench&) = delete;
  StoreBench& operator=(const StoreBench&) = delete;
  ~StoreBench() {
    store->close_memory();
    if (disks.bytes_held != 0) std::abort();
    disks.unpoison(stack_.get(), kStackBytes);
  }

  // Everything since open is forgotten; the disks stay.
  void restart() {
    store->close_memory();
    open();
  }

  template <class T>
  T run(Task<T> task) {
    bool done = false;
    Ready finished;
    finished.context = &done;
    finished.run = [](Ready& ready) { *static_cast<bool*>(ready.context) = true; };
    task.start(executor, finished);
    u64 rounds = 0;
    while (!done) {
      DMR_ASSERT(++rounds < 10'000'000);
      (void)executor.run();
      if (!done) disks.complete_all();
    }
    DMR_ASSERT(disks.idle());
    return task.result();
  }

  Status format() {
    FormatRequest request = format_request();
    return run(store->format(frames, request));
  }
  [[nodiscard]] FormatRequest format_request() const {
    FormatRequest request;
    request.members = disks.members();
    request.name = "volume";
    for (Member m = 0; m < disks.members(); ++m) request.device[m] = device(m);
    return request;
  }
  [[nodiscard]] MemberDevice device(Member m) const {
    MemberDevice one;
    one.present = true;
    one.sectors = disks.sectors(m);
    one.native_fua = native_fua;
    return one;
  }
  [[nodiscard]] LoadRequest load_request() const {
    LoadRequest request;
    request.members = disks.members();
    for (Member m = 0; m < disks.members(); ++m) request.device[m] = device(m);
    return request;
  }

  Status load() { return load(load_request()); }
  Status load(LoadRequest request) {
    findings.all.clear();
    return run(store->load(frames, request, model, findings));
  }
  Status begin() { return run(store->begin_writing(frames, model)); }
  Status checkpoint() { return run(store->checkpoint(frames, model)); }
  Status cancel() { return run(store->cancel(frames, model)); }
  // Format, load, begin.
  Status make() {
    if (const Status status = format(); status != Status::ok) return status;
    if (const Status status = load(); status != Status::ok) return status;
    return begin();
  }

  // One commit of `count` blocks from `block` on, all with this value. What is durable is put into
  // the model, as a volume publishes it.
  Result<CommitResult> commit(u64 block, u64 value, u32 count = 1) {
    const std::vector<format::Record> records = records_of(block, value, count);
    const Result<CommitResult> result = run(store->commit(frames, records.data(), count));
    if (result && *result != CommitResult::unknown) publish(block, value, count);
    return result;
  }
  static std::vector<format::Record> records_of(u64 block, u64 value, u32 count) {
    std::vector<format::Record> records;
    for (u32 i = 0; i < count; ++i) records.push_back(MapModel::record_of(block + i, value));
    return records;
  }
  void publish(u64 block, u64 value, u32 count = 1) {
    for (u32 i = 0; i < count; ++i) model.map[block + i] = value;
  }
  // With the checkpoints that a volume makes.
  bool commit_as_volume(u64 block, u64 value, u32 count = 1) {
    for (int tries = 0; tries < 3 && store->must_checkpoint(); ++tries) {
      if (checkpoint() != Status::ok) return false;
    }
    const Result<CommitResult> result = commit(block, value, count);
    if (!result) return false;
    if (*result == CommitResult::unknown) return false;
    if (*result == CommitResult::single && checkpoint() != Status::ok) return false;
    if (store->should_checkpoint()) return checkpoint() == Status::ok;
    return true;
  }

  bool native_fua = true;  // of all members
  MemoryDisks disks;
  Executor executor;
  FrameStack frames;
  MapModel model;
  Findings findings;
  std::unique_ptr<MetadataStore> store;

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };

  void open() {
    if (!stack_) stack_.reset(static_cast<std::byte*>(std::aligned_alloc(64, kStackBytes)));
    frames.init(disks, stack_.get(), kStackBytes);
    store = std::make_unique<MetadataStore>(disks, executor);
    DMR_ASSERT(store->open_memory() == Status::ok);
    model = MapModel{};
  }

  std::unique_ptr<std::byte, Free> stack_;
};

}  // namespace dmr::testing
