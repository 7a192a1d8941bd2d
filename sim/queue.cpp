// SPDX-License-Identifier: GPL-2.0-or-later
// Clients' hot path, in steps that other events may come between.
#include "sim/queue.h"

#include <algorithm>
#include <utility>

#include "core/base/bugs.h"

namespace dmr::sim {

void TokenPayload::copy_out(u64 offset_bytes, std::span<std::byte> to) const {
  DMR_ASSERT(offset_bytes % 8 == 0 && to.size() % 8 == 0);
  for (std::size_t at = 0; at < to.size(); at += 8) {
    std::memcpy(to.data() + at, &tokens[(offset_bytes + at) / kSectorBytes], 8);
  }
}

void TokenPayload::copy_in(u64 offset_bytes, std::span<const std::byte> from) {
  DMR_ASSERT(offset_bytes % kSectorBytes == 0 && from.size() % kSectorBytes == 0);
  for (std::size_t at = 0; at < from.size(); at += kSectorBytes) {
    const Data data = pack(ConstSectorBytes(from.subspan(at, kSectorBytes)));
    tokens[(offset_bytes + at) / kSectorBytes] = data.uniform() ? data.token : kMixedUp;
  }
}

struct SimQueue::Piece {
  Job* job = nullptr;
  Sector sector;
  u32 sectors = 0;
  SimHost::Section section = 0;
  u32 slot = 0;
  bool entered = false;
  DeviceIo io;
  Request request;
};

struct SimQueue::Job {
  SimQueue* queue = nullptr;
  UserRequest* user = nullptr;
  u32 cut_sectors = 0;  // routed so far
  u32 pending = 0;      // pieces under way, and one for the cutting itself
  FlushTicket ticket;
  FlushClient::Flush flush;
  std::vector<std::unique_ptr<Piece>> pieces;
};

SimQueue::SimQueue(World& world, SimHost& host, Oracle& oracle)
    : world_(world), host_(host), oracle_(oracle) {}

SimQueue::~SimQueue() = default;

void SimQueue::forget_all() {
  jobs_.clear();
  volume_ = nullptr;
}

u64 SimQueue::oldest_ns() const {
  u64 oldest = ~u64{0};
  for (const auto& job : jobs_) oldest = std::min(oldest, job->user->ticket.begun_ns);
  return oldest;
}

// Sometimes the thread is slow between two steps.
bool SimQueue::dawdles() { return world_.random().below(4) == 0; }

void SimQueue::hot(u64 most_ns, World::Action action) {
  world_.after(world_.random().range(1, most_ns), Lane::hot, std::move(action));
}

void SimQueue::start(UserRequest& request) {
  DMR_ASSERT(volume_ != nullptr);
  ++requests_;
  oracle_.begin(request.ticket);
  const Ticket& t = request.ticket;
  request.failed = false;
  request.bad_sector = Sector(~u64{0});
  request.payload.tokens.assign(t.sectors, kGarbage);
  if (t.op == IoOp::write) {
    for (u32 i = 0; i < t.sectors; ++i) {
      request.payload.tokens[i] = make_token(t.sector + i, t.write);
    }
  }
  world_.note("client: op {} of {}+{}, write {}", static_cast<u64>(t.op), t.sector.value, t.sectors,
              t.write);
  jobs_.push_back(std::make_unique<Job>());
  Job& job = *jobs_.back();
  job.queue = this;
  job.user = &request;
  job.pending = 1;
  if (t.op == IoOp::flush) {
    job.flush = client_->begin();
    hot(20'000, [this, &job] { start_flush(job); });
  } else {
    hot(20'000, [this, &job] { cut(job); });
  }
}

void SimQueue::start_flush(Job& job) {
  job.ticket = volume_->flush_begin();
  for (u32 m = 0; m < kMaxMembers; ++m) {
    if (((job.ticket.members >> m) & 1U) == 0) continue;
    job.pieces.push_back(std::make_unique<Piece>());
    Piece& piece = *job.pieces.back();
    piece.job = &job;
    piece.io.op = IoOp::flush;
    piece.io.member = static_cast<Member>(m);
    piece.io.context = &piece;
    piece.io.done = [](DeviceIo& io) {
      auto* self = static_cast<Piece*>(io.context);
      self->job->queue->flush_done(*self);
    };
    ++job.pending;
    host_.start(piece.io, Lane::hot);
  }
  finish(*job.pieces.front(), true, Sector(0));  // the cutting's own count
}

void SimQueue::flush_done(Piece& piece) {
  const Member member = piece.io.member;
  if (piece.io.status == IoStatus::ok) {
    const bool alone = volume_->flush_member_ok(piece.job->ticket, member);
    look_for_waiters(member);
    if (alone) {
      finish(piece, true, Sector(0));
    } else {
      await_other_flushes(piece);
    }
    return;
  }
  volume_->note_flush_refused(piece.job->ticket, member);
  look_for_waiters(member);
  oracle_.user_flush_refused();
  if (member == kMain) {
    finish(piece, false, Sector(0));
    return;
  }
  host_.post([this, &piece, member] {
    volume_->flush_failed(member, piece.io.status);
    finish(piece, false, Sector(0));
  });
}

void SimQueue::look_for_waiters(Member member) {
  if (volume_->flush_awaited(member)) host_.post([this] { volume_->check_drains(); });
}

// Beside another client's flush of this member, whose outcome is not known yet.
void SimQueue::await_other_flushes(Piece& piece) {
  Request& request = piece.request;
  request.op = IoOp::flush;
  request.member = piece.io.member;
  request.context = &piece;
  request.done = [](Request& done) {
    auto* self = static_cast<Piece*>(done.context);
    self->job->queue->finish(*self, true, Sector(0));
  };
  host_.post([this, &request] { volume_->submit(request); });
}

// Routes the next piece, and comes back until all are routed.
void SimQueue::cut(Job& job) {
  const Ticket& t = job.user->ticket;
  DMR_ASSERT(job.cut_sectors < t.sectors);
  job.pieces.push_back(std::make_unique<Piece>());
  Piece& piece = *job.pieces.back();
  piece.job = &job;
  piece.sector = t.sector + job.cut_sectors;
  ++job.pending;
  piece.section = host_.begin_section();
  piece.slot = volume_->epoch_slot(piece.sector);
  const auto enter = [this, &job, &piece] {
    host_.enter(piece.slot);
    piece.entered = true;
    if (dawdles()) {
      hot(50'000, [this, &job, &piece] { route_piece(job, piece); });
    } else {
      route_piece(job, piece);
    }
  };
  if (dawdles()) {
    hot(50'000, enter);
  } else {
    enter();
  }
}

void SimQueue::route_piece(Job& job, Piece& piece) {
  const Ticket& t = job.user->ticket;
  const u32 left = t.sectors - job.cut_sectors;
  const Route route = volume_->route(piece.sector, left, t.op != IoOp::read);
  DMR_ASSERT(route.sectors > 0 && route.sectors <= left);
  piece.sectors = route.sectors;
  job.cut_sectors += route.sectors;
  if (dawdles()) {
    hot(50'000, [this, &piece, route] { launch(piece, route); });
  } else {
    launch(piece, route);
  }
}

void SimQueue::launch(Piece& piece, const Route& route) {
  Job& job = *piece.job;
  act(piece, route);
  if (job.cut_sectors < job.user->ticket.sectors) {
    hot(10'000, [this, &job] { cut(job); });
  } else {
    finish(*job.pieces.front(), true, Sector(0));  // the cutting's own count
  }
}

void SimQueue::act(Piece& piece, const Route& route) {
  const Ticket& t = piece.job->user->ticket;
  const bool read = t.op == IoOp::read;
  if (volume_->is_direct(route, t.op, t.fua)) {
    piece.io.member = route.member;
    piece.io.op = t.op;
    piece.io.fua = t.fua && !read;
    piece.io.sector = route.sector;
    piece.io.sectors = piece.sectors;
    piece.io.payload =
        t.op == IoOp::read || t.op == IoOp::write ? &piece.job->user->payload : nullptr;
    piece.io.payload_offset = (piece.sector - t.sector) * kSectorBytes;
    piece.io.context = &piece;
    piece.io.done = [](DeviceIo& io) {
      auto* self = static_cast<Piece*>(io.context);
      self->job->queue->device_done(*self);
    };
    host_.start(piece.io, Lane::hot);
    host_.end_section(piece.section);
    return;
  }
  host_.end_section(piece.section);
  leave(piece);
  if (t.op == IoOp::discard && route.kind != RouteKind::held) {
    finish(piece, true, piece.sector);
  } else if (read && route.kind != RouteKind::held) {
    world_.note("client: {}+{} is lost or gone", piece.sector.value, piece.sectors);
    finish(piece, false, piece.sector);
  } else {
    // On the way to a healthy block for one reason only: a flush behind it.
    const bool for_flush = route.kind == RouteKind::device && t.fua && !host_.has_fua(route.member);
    if (!for_flush) ++slow_;
    to_executor(piece);
  }
}

void SimQueue::leave(Piece& piece) {
  DMR_ASSERT(piece.entered);
  piece.entered = false;
  const SimHost::Section section = host_.begin_section();
  host_.leave(piece.slot);
  const auto look = [this, section, slot = piece.slot] {
    if (volume_->drain_pending(slot)) host_.post([this] { volume_->check_drains(); });
    host_.end_section(section);
  };
  if (dawdles()) {
    hot(50'000, look);
  } else {
    look();
  }
}

void SimQueue::device_done(Piece& piece) {
  const Ticket& t = piece.job->user->ticket;
  const bool ok = piece.io.status == IoStatus::ok;
  if (ok && piece.io.member != kMain && t.op != IoOp::read) {
    volume_->spare_written(piece.io.member);
  } else if (is_write(t.op)) {
    volume_->spare_write_failed(piece.io.member, piece.io.sector, piece.sectors, piece.io.status);
  }
  if (ok || !DMR_BUG(stays_in_epoch)) leave(piece);
  if (ok || t.op == IoOp::discard) {
    finish(piece, true, piece.sector);
    return;
  }
  ++slow_;
  piece.request.error = piece.io.status;
  piece.request.elapsed_ns = piece.io.elapsed_ns;
  to_executor(piece);
}

void SimQueue::to_executor(Piece& piece) {
  const Ticket& t = piece.job->user->ticket;
  Request& request = piece.request;
  request.op = t.op;
  request.fua = t.fua;
  request.sector = piece.sector;
  request.sectors = piece.sectors;
  request.payload = t.op == IoOp::read || t.op == IoOp::write ? &piece.job->user->payload : nullptr;
  request.payload_offset = (piece.sector - t.sector) * kSectorBytes;
  request.context = &piece;
  request.done = [](Request& done) {
    auto* self = static_cast<Piece*>(done.context);
    if (self->entered) self->job->queue->leave(*self);  // the deliberate bug
    self->job->queue->finish(*self, done.status == Status::ok, done.bad_sector);
  };
  world_.note("queue: {}+{} to the executor, error {}", piece.sector.value, piece.sectors,
              static_cast<u64>(request.error));
  host_.post([this, &request] { volume_->submit(request); });
}

// A piece is answered; with the last one the request is.
void SimQueue::finish(Piece& piece, bool ok, Sector bad) {
  Job& job = *piece.job;
  UserRequest& user = *job.user;
  if (!ok) {
    user.failed = true;
    user.bad_sector = std::min(user.bad_sector, bad);
  }
  DMR_ASSERT(job.pending > 0);
  if (--job.pending > 0) return;
  const Ticket& t = user.ticket;
  world_.note(user.failed ? "client: op {} of {}+{} failed, write {}"
                          : "client: op {} of {}+{} done, write {}",
              static_cast<u64>(t.op), t.sector.value, t.sectors, t.write);
  if (t.op == IoOp::read) {
    oracle_.end_read(t, !user.failed, user.bad_sector, user.payload.tokens);
  } else if (t.op == IoOp::flush) {
    // Flushes that the engine sent by itself count as well.
    user.failed = !client_->end(job.flush, volume_->flush_refusals(), !user.failed);
    client_->answered();
    oracle_.end_flush(t, !user.failed);
  } else {
    oracle_.end_write(t, !user.failed);
  }
  // The caller may be one of this job's own pieces: it goes away after this event.
  const auto at =
      std::find_if(jobs_.begin(), jobs_.end(), [&job](const auto& j) { return j.get() == &job; });
  DMR_ASSERT(at != jobs_.end());
  std::shared_ptr<Job> gone(at->release());
  jobs_.erase(at);
  world_.after(0, Lane::rest, [gone] {});
  if (user.done) user.done(user);
}

}  // namespace dmr::sim
