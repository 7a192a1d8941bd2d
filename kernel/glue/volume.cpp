// SPDX-License-Identifier: GPL-2.0-or-later
// The engine's volume as C functions for the shim: life, routing, requests, commands.
#include <new>

#include "kernel/glue/bio_payload.h"
#include "kernel/glue/findings.h"
#include "kernel/glue/kernel_host.h"

namespace dmr::kernel {

// include/uapi/asm-generic/errno*.h, which C++ cannot include from here.
int errno_of(Status status) {
  switch (status) {
    case Status::ok:
      return 0;
    case Status::io_error:
      return -5;
    case Status::no_space:
      return -28;
    case Status::read_only:
      return -30;
    case Status::again:
      return -11;
    case Status::no_memory:
      return -12;
    case Status::invalid:
      return -22;
    case Status::not_found:
      return -2;
    case Status::damaged:
      return -74;  // EBADMSG
    case Status::wrong_version:
      return -95;  // EOPNOTSUPP
    case Status::wrong_member:
      return -6;  // ENXIO
    case Status::member_missing:
      return -19;  // ENODEV
    case Status::divergent:
      return -116;  // ESTALE
    case Status::too_small:
      return -27;  // EFBIG
    case Status::timed_out:
      return -110;
    case Status::closed:
      return -108;  // ESHUTDOWN
  }
  return -5;
}

namespace {

struct Opening {
  Volume::Open open;
  KernelFindings findings;
  dmr_open* outside;
  void* volume;
};

struct Closing {
  Volume::Close close;
  dmr_close* outside;
};
static_assert(sizeof(Closing) <= sizeof(dmr_close::engine));

void opened(Volume::Open& open) {
  auto* self = static_cast<Opening*>(open.context);
  dmr_open* outside = self->outside;
  outside->error = errno_of(open.status);
  if (open.status == Status::ok) {
    outside->volume_sectors = volume_of(self->volume).geometry().volume_sectors;
  } else {
    self->findings.explain(open.status, outside->message, sizeof outside->message);
  }
  self->~Opening();
  dmr_host_release(self);
  dmr_host_wake(outside->waiter);
}

void closed(Volume::Close& close) {
  dmr_close* outside = static_cast<Closing*>(close.context)->outside;
  outside->error = errno_of(close.status);
  dmr_host_wake(outside->waiter);
}

void finished(Request& request) {
  auto* bio = static_cast<dmr_request*>(request.context);
  bio->status = static_cast<u8>(-errno_of(request.status));
  dmr_host_request_done(bio);
}

// The engine's command and its one range, in the shim's memory.
struct RunningCommand {
  Command command;
  SectorRange range;
};
static_assert(sizeof(RunningCommand) <= sizeof(dmr_command::engine));

FlushTicket ticket_of(u8 member, const dmr_flush_ticket& kept) {
  FlushTicket ticket;
  ticket.members = 1U << member;
  ticket.lanes = u32{kept.lane} << member;
  ticket.token[member] = kept.token;
  return ticket;
}

void command_ended(Command& command) {
  auto* outside = static_cast<dmr_command*>(command.context);
  outside->error = errno_of(command.status);
  outside->changed = command.blocks_changed;
  outside->unchanged = command.blocks_unchanged;
  outside->lost = command.sectors_lost;
  outside->bad_sector = command.bad_sector.value;
  outside->rest = command.rest.value;
  outside->has_rest = command.has_rest();
  dmr_host_wake(outside->waiter);
}

}  // namespace
}  // namespace dmr::kernel

using namespace dmr;
using namespace dmr::kernel;

extern "C" {

std::uint32_t dmr_volume_slot(const void* volume, std::uint64_t sector) {
  return volume_of(volume).epoch_slot(Sector(sector));
}

dmr_route dmr_volume_route(const void* volume, std::uint64_t sector, std::uint32_t sectors,
                           std::uint8_t op, std::uint8_t fua) {
  const Volume& engine = volume_of(volume);
  const auto kind = static_cast<IoOp>(op);
  const Route found = engine.route(Sector(sector), sectors, dmr::is_write(kind));
  return dmr_route{static_cast<u8>(found.kind), found.member,
                   engine.is_direct(found, kind, fua != 0), found.sectors, found.sector.value};
}

std::uint8_t dmr_volume_writable(const void* volume) { return volume_of(volume).writable(); }

std::uint8_t dmr_volume_drain_pending(const void* volume, std::uint32_t slot) {
  return volume_of(volume).drain_pending(slot);
}

std::uint8_t dmr_volume_flush_begin(void* volume, std::uint8_t member, dmr_flush_ticket* ticket) {
  const FlushTicket begun = volume_of(volume).flush_begin(1U << member);
  ticket->token = begun.token[member];
  ticket->lane = static_cast<u8>(begun.lanes >> member & 1U);
  return (begun.members >> member & 1U) != 0;
}

std::uint8_t dmr_volume_flushed(void* volume, std::uint8_t member, const dmr_flush_ticket* ticket) {
  return volume_of(volume).flush_member_ok(ticket_of(member, *ticket), member);
}

void dmr_volume_flush_refused(void* volume, std::uint8_t member, const dmr_flush_ticket* ticket) {
  volume_of(volume).note_flush_refused(ticket_of(member, *ticket), member);
}

std::uint8_t dmr_volume_flush_awaited(const void* volume, std::uint8_t member) {
  return volume_of(volume).flush_awaited(member);
}

std::uint64_t dmr_volume_flush_refusals(const void* volume) {
  return volume_of(volume).flush_refusals();
}

void dmr_volume_spare_written(void* volume, std::uint8_t member) {
  volume_of(volume).spare_written(member);
}

void dmr_volume_spare_write_failed(void* volume, std::uint8_t member, std::uint64_t sector,
                                   std::uint32_t sectors, std::uint8_t status) {
  volume_of(volume).spare_write_failed(member, dmr::Sector(sector), sectors,
                                       static_cast<dmr::IoStatus>(status));
}

std::size_t dmr_volume_bytes() { return sizeof(KernelVolume); }

void dmr_volume_construct(void* memory, void* target) { new (memory) KernelVolume(target); }

void dmr_volume_destroy(void* volume) { static_cast<KernelVolume*>(volume)->~KernelVolume(); }

void dmr_volume_open(void* volume, dmr_open* open) {
  void* memory = dmr_host_allocate(sizeof(Opening), alignof(Opening));
  if (memory == nullptr) {
    open->error = errno_of(Status::no_memory);
    return dmr_host_wake(open->waiter);
  }
  auto* self = new (memory) Opening{};
  self->outside = open;
  self->volume = volume;
  LoadRequest& load = self->open.load;
  load.members = open->members;
  load.allow_degraded = open->allow_degraded != 0;
  for (u32 m = 0; m < open->members; ++m) {
    load.device[m].present = open->member[m].present != 0;
    load.device[m].sectors = open->member[m].sectors;
    load.device[m].native_fua = open->member[m].native_fua != 0;
    load.device[m].has_cache = open->member[m].has_cache != 0;
    load.device[m].logical_block_bytes = open->member[m].logical_block_bytes;
  }
  for (u32 i = 0; i < kTunables; ++i) dmr_volume_tune(volume, i, open->tunable[i]);
  self->open.read_only = open->read_only != 0;
  self->open.findings = &self->findings;
  self->open.done = opened;
  self->open.context = self;
  volume_of(volume).open(self->open);
}

void dmr_volume_close(void* volume, dmr_close* close) {
  auto* self = new (close->engine) Closing{};
  self->outside = close;
  self->close.done = closed;
  self->close.context = self;
  volume_of(volume).close(self->close);
}

std::uint8_t dmr_volume_run(void* volume) { return volume_of(volume).run(); }

void dmr_volume_submit(void* volume, dmr_request* bio) {
  auto* self = new (bio->engine) BioRequest(bio);
  Request& request = self->request;
  request.op = static_cast<IoOp>(bio->op);
  request.fua = bio->fua != 0;
  request.error = static_cast<IoStatus>(bio->error);
  request.elapsed_ns = bio->elapsed_ns;
  request.sector = Sector(bio->sector);
  request.sectors = bio->sectors;
  request.member = bio->member;
  if (request.op == IoOp::read || request.op == IoOp::write) request.payload = &self->payload;
  request.done = finished;
  request.context = bio;
  volume_of(volume).submit(request);
}

void dmr_volume_command(void* volume, dmr_command* outside) {
  auto* self = new (outside->engine) RunningCommand{};
  self->range = {Sector(outside->begin), outside->sectors};
  Command& command = self->command;
  command.kind = static_cast<CommandKind>(outside->kind);
  if (command.kind != CommandKind::checkpoint) command.ranges = {&self->range, 1};
  command.done = command_ended;
  command.context = outside;
  volume_of(volume).command(command);
}

void dmr_volume_timer(void* volume) { volume_of(volume).on_timer(); }

void dmr_volume_check_drains(void* volume) { volume_of(volume).check_drains(); }

void dmr_volume_flush_failed(void* volume, std::uint8_t member, std::uint8_t status) {
  volume_of(volume).flush_failed(member, static_cast<IoStatus>(status));
}

void dmr_volume_give_page(void* volume, void* page) { volume_of(volume).give_page(page); }

}  // extern "C"
