// SPDX-License-Identifier: GPL-2.0-or-later
// The engine's calls as calls of the shim, and the shim's answers as calls of the engine.
#include "kernel/glue/kernel_host.h"

#include <cstddef>

#include "kernel/glue/bio_payload.h"

namespace dmr::kernel {
namespace {

// The shim keeps its own state in the words that the engine leaves to hosts.
static_assert(sizeof(dmr_io_words) == sizeof(DeviceIo::host_word));
static_assert(sizeof(dmr_grace) == sizeof(GraceWork));
static_assert(offsetof(dmr_grace, words) == offsetof(GraceWork, host_word));

static_assert(static_cast<int>(IoOp::flush) == DMR_FLUSH);
static_assert(static_cast<int>(IoOp::write_zeroes) == DMR_WRITE_ZEROES);
static_assert(static_cast<int>(IoStatus::offline) == DMR_IO_OFFLINE);
static_assert(static_cast<int>(IoStatus::resource) == DMR_IO_RESOURCE);
static_assert(static_cast<int>(RouteKind::slow) == DMR_ROUTE_SLOW);
static_assert(static_cast<int>(CommandKind::checkpoint) == DMR_CHECKPOINT);
static_assert(kMaxMembers == DMR_MAX_MEMBERS && kEpochSlots == DMR_EPOCH_SLOTS);
static_assert(kMaxRequestSectors == DMR_MAX_REQUEST_SECTORS);
static_assert(kErrorClasses == DMR_ERROR_CLASSES);
// The shim has names for all of them, in this order.
static_assert(static_cast<int>(IoStatus::resource) + 1 == DMR_STATUS_COUNT);
static_assert(kEventKinds == DMR_EVENT_KINDS);
static_assert(static_cast<int>(format::MemberState::removed) + 1 == DMR_MEMBER_STATES);

dmr_io_words* words_of(DeviceIo& io) {
  return reinterpret_cast<dmr_io_words*>(static_cast<void**>(io.host_word));
}

DeviceIo& io_of(dmr_io_words* words) {
  return *reinterpret_cast<DeviceIo*>(reinterpret_cast<char*>(words) -
                                      offsetof(DeviceIo, host_word));
}

}  // namespace

void KernelHost::submit(DeviceIo& io) { dmr_host_submit(target_, words_of(io)); }

void KernelHost::submit_batch(std::span<DeviceIo* const> batch) {
  for (DeviceIo* io : batch) dmr_host_submit(target_, words_of(*io));
}

u64 KernelHost::now_ns() { return dmr_host_now_ns(); }

void KernelHost::wake_at(u64 deadline_ns) { dmr_host_wake_at(target_, deadline_ns); }

void KernelHost::after_grace(GraceWork& work) {
  dmr_host_after_grace(target_, reinterpret_cast<dmr_grace*>(&work));
}

i64 KernelHost::epoch_in_flight(u32 slot) { return dmr_host_in_flight(target_, slot); }

void* KernelHost::allocate(std::size_t bytes, std::size_t alignment) {
  return dmr_host_allocate(bytes, alignment);
}

void KernelHost::release(void* memory, std::size_t) { dmr_host_release(memory); }

void KernelHost::request_pages(u32 count) { dmr_host_request_pages(target_, count); }

void KernelHost::random(std::span<std::byte> out) { dmr_host_random(out.data(), out.size()); }

void KernelHost::event(const Event& event) {
  const dmr_event plain{.kind = static_cast<u8>(event.kind),
                        .member = event.member,
                        .status = static_cast<u8>(event.status),
                        .sector = event.sector.value,
                        .sectors = event.sectors};
  dmr_host_event(target_, &plain);
}

}  // namespace dmr::kernel

using dmr::DeviceIo;
using dmr::GraceWork;
using dmr::IoStatus;

extern "C" {

void dmr_io_describe(const dmr_io_words* words, dmr_io_params* params) {
  const DeviceIo& io = dmr::kernel::io_of(const_cast<dmr_io_words*>(words));
  params->sector = io.sector.value;
  params->sectors = io.sectors;
  params->member = io.member;
  params->op = static_cast<std::uint8_t>(io.op);
  params->fua = io.fua;
  params->buffer = io.buffer;
  params->payload =
      io.payload == nullptr || io.buffer != nullptr ? nullptr : dmr::kernel::bio_of(*io.payload);
  params->payload_offset = io.payload_offset;
}

void dmr_io_done(dmr_io_words* words) {
  DeviceIo& io = dmr::kernel::io_of(words);
  io.status = static_cast<IoStatus>(words->status);
  io.elapsed_ns = words->time_ns;
  io.done(io);
}

void dmr_grace_done(dmr_grace* grace) {
  GraceWork& work = *reinterpret_cast<GraceWork*>(grace);
  work.done(work);
}

}  // extern "C"
