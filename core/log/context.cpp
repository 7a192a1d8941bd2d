// SPDX-License-Identifier: GPL-2.0-or-later
// Memory and I/O contexts of the metadata store.
#include "core/log/context.h"

#include <cstring>
#include <new>

namespace dmr {

struct StoreContext::Memory {
  alignas(kMetaBytes) std::byte chunks[kChunks][kChunkBytes];
  alignas(kMetaBytes) std::byte scratch[kScratch][kMetaBytes];
  alignas(kMetaBytes) format::Superblock superblock;
  StreamIo streams[kChunks];
  DeviceIo contexts[kContexts];
  DeviceIo* batch[kContexts];
  DeviceIo* retry[kContexts];
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
  present = MemberSet{};
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

Task<Status> StoreContext::write_batch(FrameStack& /*frames*/, u32 count) {
  co_await run_batch(count);
  const std::span<DeviceIo* const> failed = collect_failed(count);
  if (!failed.empty()) co_await IoBatchAwait{host, executor, failed};
  co_return Status::ok;
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
