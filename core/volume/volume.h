// SPDX-License-Identifier: GPL-2.0-or-later
// A volume: the engine as its hosts see it. Lookups from any thread, everything else on the one
// executor. docs/architecture.md shows how a request travels; the host's duties are at route().
#pragma once

#include "core/base/bugs.h"
#include "core/volume/committer.h"
#include "core/volume/confirmer.h"
#include "core/volume/mover.h"
#include "core/volume/recovery.h"
#include "core/volume/scrubber.h"
#include "core/volume/stats.h"
#include "core/volume/tuning.h"

namespace dmr {

// Which members a FLUSH must reach: bit m of `members`. Spares without new data are left out.
struct FlushTicket {
  u32 members = 0;
  u32 lanes = 0;  // bit m: of FlushState
  u64 token[kMaxMembers] = {};
};

class Volume {
 public:
  struct Open {
    LoadRequest load;
    bool read_only = false;           // nothing is ever written to any member
    FindingSink* findings = nullptr;  // told of everything that was wrong; may be null
    Status status = Status::ok;
    void (*done)(Open&) = nullptr;
    void* context = nullptr;
  };
  struct Close {
    Status status = Status::ok;  // of the last checkpoint; the journal has all when it failed
    void (*done)(Close&) = nullptr;
    void* context = nullptr;
  };

  Volume(Host& host, const VolumeConfig& config);
  Volume(const Volume&) = delete;
  Volume& operator=(const Volume&) = delete;
  ~Volume();

  // ---- Executor only ----

  // Reads the metadata, repairs and reports what was damaged, and starts the volume. While it runs
  // Host::request_pages must give the pages before it returns. After a failure the object is as
  // new.
  void open(Open& open);
  // Finishes what was submitted, writes a checkpoint, releases all memory. Nothing routes any more,
  // and no new request may be submitted.
  void close(Close& close);

  // Runs what is ready; true: there is more, call again. After each completion and each call below.
  bool run() { return state_.executor.run(); }
  void submit(Request& request);
  void command(Command& command);
  // Orders of the scrub; `from`: where a new pass begins. `invalid`: see Scrubber::act.
  Status scrub(ScrubAction action, Sector from = Sector(0));
  // After an opening: what scrub_stats() was when the volume had been closed.
  Status restore_scrub(const ScrubStats& kept);
  // For the host, which needs the members quiet; see Scrubber::hold.
  void hold_scrub(bool on) { scrubber_.hold(on); }
  void on_timer();
  // A request left its epoch slot while drain_pending(slot).
  // Or a flush has ended while flush_awaited().
  void check_drains();
  void give_page(void* page);
  // A spare refused a flush or a FUA write of the hot path. The caller's request has failed; from
  // now on the spare takes no data.
  void flush_failed(Member member, IoStatus status);
  // What is under way goes on under the limit that it began with, or under the new one.
  Status tune(Tunable which, u64 value) {
    const u32 rate = state_.config.scrub_kib_per_s;
    const Status status = set(state_.config, which, value);
    if (state_.config.scrub_kib_per_s != rate) scrubber_.end_rest();
    return status;
  }
  [[nodiscard]] u32 tuned(Tunable which) const { return get(state_.config, which); }

  [[nodiscard]] VolumeStats stats() const;
  // Also of a volume that is closed.
  [[nodiscard]] ScrubStats scrub_stats() const { return scrubber_.stats(); }
  // How often a block has found no spare block; only the first time is an event.
  [[nodiscard]] u64 exhaustions() const { return state_.counters.exhaustions; }
  [[nodiscard]] bool next_run(Index::Cursor& cursor, Run& run) const {
    return state_.index.next(cursor, run);
  }
  [[nodiscard]] const format::Superblock& superblock() const { return state_.store.superblock(); }
  [[nodiscard]] const Geometry& geometry() const { return state_.geometry; }
  [[nodiscard]] u32 unit_sectors() const { return state_.unit_sectors; }
  [[nodiscard]] const SpareLayout& layout(Member member) const {
    return state_.store.layout(member);
  }

  // ---- Any thread, between open and close; lookups inside a read section of the host ----

  // Where a request goes. The host, for each piece:
  //   begin read section; count itself into epoch_slot(sector); route(); end read section
  //   read:  device -> I/O. lost, gone -> EIO at this sector. held -> submit().
  //   write, write_zeroes: device -> I/O. Anything else -> submit(). With FUA also where the
  //          device would make a write and a flush of it with one answer: the engine sends both.
  //   discard: device on main -> I/O whose error is ignored. held -> submit(). Others: done.
  //   When the device I/O has completed, or none was started: leave the slot (in a read section),
  //   and when drain_pending(slot) have the executor call check_drains().
  //   An I/O that failed: leave first, then submit() with the error.
  //   A write to a spare that succeeded: spare_written() before it is acknowledged. One that
  //   failed: spare_write_failed(), with its place there, before it leaves the slot.
  [[nodiscard]] u32 epoch_slot(Sector sector) const { return state_.epochs.slot_of(sector); }
  [[nodiscard]] bool drain_pending(u32 slot) const { return state_.epochs.drain_pending(slot); }
  [[nodiscard]] Route route(Sector sector, u32 sectors, bool write) const {
    Route found = state_.index.route(sector, sectors);
    if (DMR_BUG(first_sector_route)) found.sectors = sectors;
    // Looked at after the route: blocks whose commit is neither done nor undone are let go when the
    // volume has turned read-only, and must not take another write.
    if (write && !writable()) [[unlikely]]
      return by_member_state(found, true);
    if (found.member == kMain) [[likely]]
      return found;
    return by_member_state(found, write);
  }
  // Up to kRouteBatch extents at once; bit i of `writes` says that extent i is written.
  void route_batch(std::span<const Extent> extents, u32 writes, std::span<Route> out) const;
  // Whether that leads to an I/O.
  [[nodiscard]] bool is_direct(const Route& route, IoOp op, bool fua) const {
    if (route.kind != RouteKind::device) return false;
    if (op == IoOp::discard) return route.member == kMain;
    if (DMR_BUG(healthy_detour)) fua = true;
    return !fua || !is_write(op) || state_.store.takes_fua(route.member);
  }
  [[nodiscard]] bool writable() const { return state_.writable.load(std::memory_order_acquire); }

  // FLUSH: every member of the ticket is flushed (a retired spare, too, when a write that was under
  // way has reached it since), and each ends in exactly one of these two. It succeeded:
  // flush_member_ok(); false: a flush of somebody else was under way at the same time, and if that
  // one is refused it may have taken this one's data along, so submit() a Request with op `flush`
  // and this member, and go on when it is done. It was refused: note_flush_refused() at once, EIO,
  // and for a spare flush_failed() on the executor. After both: when flush_awaited(), have the
  // executor call check_drains().
  // A refused flush may have lost what other clients wrote. So the host keeps for each
  // client the number of refusals that it has been told (at first: flush_refusals()), compares when
  // a FLUSH has completed on all members, and answers EIO once for whatever is new.
  // `members` limits which are looked at (a host that flushes each on its own).
  [[nodiscard]] FlushTicket flush_begin(u32 members = ~0U);
  [[nodiscard]] bool flush_member_ok(const FlushTicket& ticket, Member member);
  void note_flush_refused(const FlushTicket& ticket, Member member);
  [[nodiscard]] bool flush_awaited(Member member) const { return state_.flush[member].awaited(); }
  [[nodiscard]] u64 flush_refusals() const { return state_.refusals(); }
  void spare_written(Member member) {
    state_.flush[member].written.fetch_add(1, std::memory_order_release);
  }
  void spare_write_failed(Member member, Sector sector, u32 sectors, IoStatus status) {
    state_.spare_write_failed(member, sector, sectors, status);
  }

 private:
  static constexpr std::size_t kLifeFrameBytes = 16384;

  Task<Status> open_task(FrameStack& frames);
  Task<Status> close_task(FrameStack& frames);
  Task<Status> flush_spares(FrameStack& frames);
  Status open_parts();
  Status adopt(FindingSink* findings);
  Status claim_homes(FindingSink* findings);
  void release_parts();
  void start_life(Task<Status>&& task, void (*ended)(Ready&));
  void admit();
  [[nodiscard]] bool admit_first(Fifo<Request>& queue, bool buffer);
  [[nodiscard]] bool anything_waits() const {
    return !waiting_.empty() || !waiting_for_buffer_.empty();
  }
  void schedule_admission();
  [[nodiscard]] bool needs_buffer(const Request& request) const;
  [[nodiscard]] bool comes_for_flush(const Request& request) const;
  void start_item(Request& request, bool buffer);
  void finish_item(WorkItem& item);
  [[nodiscard]] Route by_member_state(Route found, bool write) const;
  static void reject(Request& request, Status status);
  void await_outcomes(Request& request);
  [[nodiscard]] u64 answer_overdue_waiting(u64 now);

  VolumeState state_;
  Confirmer confirmer_;
  Committer committer_;
  Mover mover_;
  Recovery recovery_;
  Scrubber scrubber_;

  std::byte* life_memory_ = nullptr;
  FrameStack life_frames_;
  std::optional<Task<Status>> life_;
  Ready life_ended_;
  Open* open_ = nullptr;
  Close* close_ = nullptr;
  bool running_ = false;

  std::byte* item_memory_ = nullptr;
  Fifo<Request> waiting_;
  Fifo<Request> waiting_for_buffer_;
  Fifo<WorkItem> active_;
  Ready admission_;
  bool admission_posted_ = false;
  Signal quiet_;
};

}  // namespace dmr
