// SPDX-License-Identifier: GPL-2.0-or-later
// Reads the whole volume behind the users' I/O, so that a bad place is found while its neighbours
// and its spare are still good. What does not come at once takes the way of a user's failed read:
// salvaged, moved, or recorded as lost. One pass at a time, on order.
#pragma once

#include "core/volume/background.h"
#include "core/volume/confirmer.h"
#include "core/volume/stats.h"

namespace dmr {

enum class ScrubAction : u8 {
  start,  // a new pass, or on with one that is paused; nothing when one runs
  pause,
  stop,  // ends the pass; what it has found stays to be seen
};
inline constexpr u32 kScrubActions = 3;

class Scrubber {
 public:
  // Takes a failed read to the slow path; its `done` may be called before this returns.
  using Submit = void (*)(void* context, Request& request);

  Scrubber(VolumeState& state, Confirmer& confirmer, Submit submit, void* context)
      : state_(state),
        confirmer_(confirmer),
        submit_(submit),
        context_(context),
        background_(state.host, state.executor) {}

  Status open();
  void close();
  void start() { background_.start(loop(background_.frames())); }
  // The loop ends with the read, salvage or probes that are under way.
  void request_stop(Ready& stopped) { background_.request_stop(stopped); }

  // `from`: where a new pass begins, with the whole block. `invalid`: there is nothing to pause, or
  // it lies outside.
  Status act(ScrubAction action, Sector from);
  // Takes over what an earlier opening of the volume had come to, a pass that its closing has ended
  // or that was held included. `invalid`: it lies outside.
  Status restore(const ScrubStats& kept);
  // While it is held no read is begun; orders are taken, and followed once it is let go.
  void hold(bool on);
  // The rate has changed: what is left of a rest belongs to the old one.
  void end_rest();
  // Ends a rest that is over; otherwise gives the time of its end, or never.
  u64 on_timer(u64 now);
  [[nodiscard]] ScrubStats stats() const;

 private:
  static constexpr std::size_t kFrameBytes = 16384;
  // Between two rests: so many reads, and none is begun after so long a time.
  static constexpr u32 kBurst = 16;
  static constexpr u64 kBurst_ns = 100 * kMillisecond;
  static constexpr u32 kBlamed = 64;  // places in a row, and the pass is paused
  static constexpr u64 kShortestRest = kMillisecond;

  class NoPayload final : public Payload {
   public:
    void copy_out(u64, std::span<std::byte>) const override { DMR_ASSERT(false); }
    void copy_in(u64, std::span<const std::byte>) override {}
  };
  struct SalvageAwait;

  // What is read, or passed over, at once: in one place, and of a block with lost sectors only what
  // lies between them.
  struct Piece {
    IoPlace place;
    u64 sectors = 0;
    bool is_readable = false;
  };

  void begin(const ScrubStats& from);
  void go_on();
  Task<Status> loop(FrameStack& frames);
  Task<Status> burst(FrameStack& frames);
  Task<Status> read_next(FrameStack& frames);
  Task<Status> salvage_piece(FrameStack& frames, const Piece& piece, u64 pass);
  Task<Status> blame(FrameStack& frames, const Piece& piece, u64 pass);
  [[nodiscard]] Piece next_piece() const;
  [[nodiscard]] Piece part_of_block(const Run& run, Block block) const;
  void pass_over(u64 sectors);
  void go_on_behind(u64 sectors);
  void end_pass();
  void rest_after(u64 began_ns, u64 sectors);
  [[nodiscard]] Sector end() const { return Sector(state_.geometry.volume_sectors); }
  [[nodiscard]] bool runs() const {
    return stats_.state == ScrubState::running && !held_ && !background_.stopping();
  }

  VolumeState& state_;
  Confirmer& confirmer_;
  Submit submit_;
  void* context_;
  ScrubStats stats_;  // a pass that is held runs in them
  bool held_ = false;
  BackgroundLoop background_;
  IoBuffer* buffer_ = nullptr;
  DeviceIo io_;
  Request request_;
  NoPayload nowhere_;
  u64 due_ns_ = 0;              // the next read's
  u64 pass_ = 0;                // another number: what is under way belongs to no pass any more
  Sector narrow_end_;           // before it block by block: a longer read has failed
  u32 silent_ = 0;              // bit m: spare m did not answer in this pass
  u32 blamed_ = 0;              // places in a row that a device which answers did not give
  bool failed_before_ = false;  // the device, at the position
  ErrorClass error_ = ErrorClass::none;  // of the last read
};

}  // namespace dmr
