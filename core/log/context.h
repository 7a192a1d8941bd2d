// SPDX-License-Identifier: GPL-2.0-or-later
// What the parts of the metadata store share: the devices of the set, the newest superblock, and
// the store's own buffers and I/O contexts.
#pragma once

#include <span>

#include "core/format/codec.h"
#include "core/log/interface.h"
#include "core/task/executor.h"
#include "core/task/flush_state.h"
#include "core/task/io.h"
#include "core/task/task.h"

namespace dmr {

struct StoreCounters {
  u64 commits = 0;            // journal blocks that became durable
  u64 commit_records = 0;     // records in them
  u64 commits_unknown = 0;    // journal blocks of which no copy is known to be durable
  u64 checkpoints = 0;        // complete on every live spare
  u64 flushes = 0;            // of metadata
  u64 superblock_writes = 0;  // copies written
};

// A set of members, one bit each.
class MemberSet {
 public:
  constexpr MemberSet() = default;
  [[nodiscard]] constexpr bool has(Member m) const { return ((bits_ >> m) & 1U) != 0; }
  [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }
  [[nodiscard]] constexpr u32 size() const {
    u32 count = 0;
    for (u32 left = bits_; left != 0; left &= left - 1) ++count;
    return count;
  }
  constexpr void add(Member m) { bits_ |= 1U << m; }
  constexpr void remove(Member m) { bits_ &= ~(1U << m); }
  [[nodiscard]] constexpr MemberSet operator|(MemberSet other) const {
    return MemberSet(bits_ | other.bits_);
  }
  [[nodiscard]] constexpr MemberSet operator-(MemberSet other) const {
    return MemberSet(bits_ & ~other.bits_);
  }
  friend constexpr bool operator==(MemberSet, MemberSet) = default;

 private:
  explicit constexpr MemberSet(u32 bits) : bits_(bits) {}
  u32 bits_ = 0;
};

// One I/O of a stream: it can be waited for when others are in flight.
struct StreamIo {
  DeviceIo io;
  Executor* executor = nullptr;
  Ready* waiter = nullptr;
  bool busy = false;
};

class StoreContext {
 public:
  static constexpr u32 kChunkBytes = 64 * 1024;
  static constexpr u32 kChunkBlocks = kChunkBytes / kMetaBytes;
  static constexpr u32 kChunks = 8;     // streamed at once, and the checkpoint's write buffers
  static constexpr u32 kScratch = 16;   // single blocks: commits, headers
  static constexpr u32 kContexts = 24;  // superblock copies of all spares
  static_assert(kContexts == kMaxSpares * kSuperblockCopies);
  static_assert(kScratch == kMaxSpares * kAreas);

  StoreContext(Host& the_host, Executor& the_executor) : host(the_host), executor(the_executor) {}
  StoreContext(const StoreContext&) = delete;
  StoreContext& operator=(const StoreContext&) = delete;

  Status open();
  void close();
  [[nodiscard]] bool is_open() const { return memory_ != nullptr; }
  // Forgets the set, keeps the memory.
  void reset();

  [[nodiscard]] std::byte* chunk(u32 index) const;
  // The blocks of all chunks, one after the other.
  [[nodiscard]] std::byte* block(u32 index) const;
  [[nodiscard]] std::byte* scratch(u32 index) const;
  template <format::MetaBlock T>
  [[nodiscard]] static T& as(std::byte* block) {
    return *reinterpret_cast<T*>(block);
  }
  [[nodiscard]] format::Superblock& superblock() const;
  [[nodiscard]] StreamIo& stream(u32 index) const;

  // A batch: prepare the first n contexts, await run_batch(n) or write_batch(n), look at status(i).
  void prepare(u32 index, Member member, IoOp op, Sector sector, std::byte* buffer, u32 blocks);
  [[nodiscard]] std::span<DeviceIo* const> batch(u32 count) const;
  [[nodiscard]] IoBatchAwait run_batch(u32 count) const {
    return IoBatchAwait{host, executor, batch(count)};
  }
  // Each that failed is tried once more. Where a member has no FUA of its own, one flush follows
  // those that ask for it, which is not: when it is refused, all of them have failed there.
  Task<Status> write_batch(FrameStack& frames, u32 count);
  [[nodiscard]] DeviceIo& io(u32 index) const;
  [[nodiscard]] IoStatus status(u32 index) const { return io(index).status; }

  [[nodiscard]] u32 members() const { return superblock().member_count; }
  [[nodiscard]] format::MemberState state(Member member) const;
  void set_state(Member member, format::MemberState state);
  // Spares that carry the newest metadata: live by the membership, and here.
  [[nodiscard]] MemberSet live() const;
  // Whether FUA writes may be sent there.
  [[nodiscard]] bool takes_fua(Member member) const;
  [[nodiscard]] bool has_cache(Member member) const { return cached.has(member); }
  // A flush of ours. Writes of users may have been in the cache that is gone, and it shall take no
  // more data.
  void flush_refused(Member member, IoStatus status);
  void set_present(Member member, const MemberDevice& device);
  [[nodiscard]] std::span<const SpareLayout> spares() const;
  [[nodiscard]] format::Place place(format::Kind kind, Member member, u8 area,
                                    Sector address) const;
  [[nodiscard]] u64 random() const;

  Host& host;
  Executor& executor;
  Geometry geometry;
  SpareLayout layout[kMaxMembers];  // of spares
  MemberSet present;                // handed in, and proven to be what the table says
  MemberSet native_fua;             // see MemberDevice
  MemberSet cached;                 // likewise
  u64 open_epoch = 0;               // of this opening; 0 until writing begins
  u64 membership_recorded = 0;      // the generation that is known to be durable
  StoreCounters counters;
  FlushBook flushes;   // of all members, by whomever
  MemberSet refusing;  // have refused a flush of metadata since somebody last asked

 private:
  struct Memory;
  [[nodiscard]] std::span<DeviceIo* const> collect_failed(u32 count) const;
  MemberSet take_fua_away(u32 count);
  [[nodiscard]] u32 begin_flushes(u32 count, MemberSet members);
  Task<Status> flush_written(FrameStack& frames, u32 count, MemberSet members);
  Memory* memory_ = nullptr;
};

// Awaits one StreamIo; does not suspend when it is done already.
struct StreamAwait {
  StreamIo& stream;
  Ready node{};

  [[nodiscard]] bool await_ready() const noexcept { return !stream.busy; }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    DMR_ASSERT(stream.waiter == nullptr);
    node.set_resume(handle);
    stream.waiter = &node;
  }
  void await_resume() const noexcept {}
};

}  // namespace dmr
