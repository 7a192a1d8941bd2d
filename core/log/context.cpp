// SPDX-License-Identifier: GPL-2.0-or-later
// Memory and I/O contexts of the metadata store.
#include "core/log/context.h"

#include <cstring>
#include <new>

#include "core/base/bugs.h"

namespace dmr {

struct StoreContext::Memory {
  alignas(kMetaBytes) std::byte chunks[kChunks][kChunkBytes];
  alignas(kMetaBytes) std::byte scratch[kScratch][kMetaBytes];
  alignas(kMetaBytes) format::Superblock superblock;
  StreamIo streams[kChunks];
  DeviceIo contexts[kContexts];
  DeviceIo* batch[kContexts];
  DeviceIo* retry[kContexts];
  DeviceIo flush[kMaxMembers];
  DeviceIo* flush_batch[kMaxMembers];
  u32 flush_lane[kMaxMembers];
  u64 refused_before[kMaxMembers];
};

Status StoreContext::open() {
  DMR_ASSERT(memory_ == nullptr);
  void* memory = host.allocate(sizeof(Memory), alignof(Memory));
  if (memory == nullptr) return Status::no_memory;
  memory_ = static_cast<Memory*>(memory);
  for (StreamIo& stream : memory_->streams) ::new (static_cast<void*>(&stream)) StreamIo;
  for (u32 i = 0; i < kContexts; ++i) {
    memory_->batch[i] = ::new (static_cast<void*>(&memory_->contexts[i])) DeviceIo;
  }
  for (DeviceIo& flush : memory_->flush) ::new (static_cast<void*>(&flush)) DeviceIo;
  reset();
  return Status::ok;
}

void StoreContext::close() {
  if (memory_ == nullptr) return;
  for (const StreamIo& stream : memory_->streams) DMR_ASSERT(!stream.busy);
  host.release(memory_, sizeof(Memory));
  memory_ = nullptr;
}

void StoreContext::reset() {
  DMR_ASSERT(memory_ != nullptr);
  std::memset(&memory_->superblock, 0, sizeof(memory_->superblock));
  geometry = Geometry{};
  for (SpareLayout& one : layout) one = SpareLayout{};
  present = native_fua = cached = refusing = MemberSet{};
  open_epoch = 0;
  membership_recorded = 0;
}

std::byte* StoreContext::chunk(u32 index) const {
  DMR_ASSERT(memory_ != nullptr && index < kChunks);
  return memory_->chunks[index];
}

std::byte* StoreContext::block(u32 index) const {
  return chunk(index / kChunkBlocks) + std::size_t{index % kChunkBlocks} * kMetaBytes;
}

std::byte* StoreContext::scratch(u32 index) const {
  DMR_ASSERT(memory_ != nullptr && index < kScratch);
  return memory_->scratch[index];
}

format::Superblock& StoreContext::superblock() const {
  DMR_ASSERT(memory_ != nullptr);
  return memory_->superblock;
}

StreamIo& StoreContext::stream(u32 index) const {
  DMR_ASSERT(memory_ != nullptr && index < kChunks);
  return memory_->streams[index];
}

DeviceIo& StoreContext::io(u32 index) const {
  DMR_ASSERT(memory_ != nullptr && index < kContexts);
  return memory_->contexts[index];
}

void StoreContext::prepare(u32 index, Member member, IoOp op, Sector sector, std::byte* buffer,
                           u32 blocks) {
  DMR_ASSERT(member != kMain && member < kMaxMembers);  // main carries no metadata
  DMR_ASSERT((blocks > 0) == (op != IoOp::flush));
  DeviceIo& one = io(index);
  one = DeviceIo{};
  one.member = member;
  one.op = op;
  one.sector = sector;
  one.sectors = blocks * kMetaSectors;
  one.buffer = buffer;
}

std::span<DeviceIo* const> StoreContext::batch(u32 count) const {
  DMR_ASSERT(memory_ != nullptr && count <= kContexts);
  return {memory_->batch, count};
}

std::span<DeviceIo* const> StoreContext::collect_failed(u32 count) const {
  u32 failed = 0;
  for (DeviceIo* io : batch(count)) {
    if (io->status != IoStatus::ok) memory_->retry[failed++] = io;
  }
  return {memory_->retry, failed};
}

// The members that are to be flushed instead.
MemberSet StoreContext::take_fua_away(u32 count) {
  MemberSet members;
  for (DeviceIo* io : batch(count)) {
    if (!io->fua || takes_fua(io->member)) continue;
    io->fua = false;
    members.add(io->member);
    memory_->refused_before[io->member] = flushes[io->member].refused();
  }
  return members;
}

Task<Status> StoreContext::write_batch(FrameStack& frames, u32 count) {
  const MemberSet members = take_fua_away(count);
  co_await run_batch(count);
  const std::span<DeviceIo* const> failed = collect_failed(count);
  if (!failed.empty()) co_await IoBatchAwait{host, executor, failed};
  if (members.empty()) co_return Status::ok;
  co_return co_await flush_written(frames, count, members);
}

// Of those members that have taken something.
u32 StoreContext::begin_flushes(u32 count, MemberSet members) {
  MemberSet written;
  for (const DeviceIo* io : batch(count)) {
    if (io->status == IoStatus::ok && members.has(io->member)) written.add(io->member);
  }
  u32 started = 0;
  for (Member m = 1; m < kMaxMembers; ++m) {
    if (!written.has(m)) continue;
    memory_->flush_lane[m] = flushes.begin_own(m);
    DeviceIo& io = memory_->flush[started];
    io = DeviceIo{};
    io.member = m;
    io.op = IoOp::flush;
    memory_->flush_batch[started++] = &io;
  }
  counters.flushes += started;
  return started;
}

Task<Status> StoreContext::flush_written(FrameStack& /*frames*/, u32 count, MemberSet members) {
  const u32 started = begin_flushes(count, members);
  co_await IoBatchAwait{host, executor, {memory_->flush_batch, started}};
  for (u32 i = 0; i < started; ++i) {
    const DeviceIo& io = memory_->flush[i];
    if (io.status != IoStatus::ok) flush_refused(io.member, io.status);
    flushes.end_own(executor, io.member, memory_->flush_lane[io.member]);
  }
  for (u32 i = 0; i < started; ++i) {
    const Member m = memory_->flush[i].member;
    co_await FlushOutcomesAwait{flushes[m], executor};
    if (flushes[m].refused() == memory_->refused_before[m]) continue;
    for (DeviceIo* io : batch(count)) {
      if (io->member == m && io->status == IoStatus::ok) io->status = IoStatus::unspecified;
    }
  }
  co_return Status::ok;
}

void StoreContext::flush_refused(Member member, IoStatus status) {
  flushes.refuse(member);
  refusing.add(member);
  Event event;
  event.kind = EventKind::flush_failed;
  event.member = member;
  event.status = status;
  host.event(event);
}

bool StoreContext::takes_fua(Member member) const {
  return native_fua.has(member) || DMR_BUG(fua_flush_swallowed);
}

void StoreContext::set_present(Member member, const MemberDevice& device) {
  present.add(member);
  if (device.native_fua) native_fua.add(member);
  if (device.has_cache) cached.add(member);
}

format::MemberState StoreContext::state(Member member) const {
  DMR_ASSERT(member < kMaxMembers);
  return static_cast<format::MemberState>(superblock().member[member].state);
}

void StoreContext::set_state(Member member, format::MemberState state) {
  DMR_ASSERT(member < members());
  superblock().member[member].state = static_cast<u8>(state);
}

MemberSet StoreContext::live() const {
  MemberSet set;
  for (Member m = 1; m < members(); ++m) {
    if (present.has(m) && state(m) == format::MemberState::live) set.add(m);
  }
  return set;
}

std::span<const SpareLayout> StoreContext::spares() const {
  DMR_ASSERT(members() >= 2 && members() <= kMaxMembers);
  return {layout + 1, members() - 1U};
}

format::Place StoreContext::place(format::Kind kind, Member member, u8 area, Sector address) const {
  format::Place place{};
  place.kind = kind;
  place.member = member;
  place.area = area;
  place.set = superblock().header.set;
  place.address = address;
  return place;
}

u64 StoreContext::random() const {
  u64 value = 0;
  host.random(std::as_writable_bytes(std::span<u64>(&value, 1)));
  return value;
}

}  // namespace dmr
