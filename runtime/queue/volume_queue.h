// SPDX-License-Identifier: GPL-2.0-or-later
// The queue of a volume: routes requests, gives their pieces to the devices, joins what comes back,
// and hands to the executor what needs it.
#pragma once

#include <array>
#include <functional>
#include <memory>

#include "core/base/list.h"
#include "core/volume/request.h"
#include "core/volume/volume.h"
#include "runtime/device/device_queue.h"
#include "runtime/device/mailbox.h"
#include "runtime/queue/client_book.h"
#include "runtime/queue/queue.h"
#include "runtime/volume/memory_payload.h"
#include "runtime/volume/queue_shared.h"

namespace dmr::runtime {

// What a queue needs of the volume that it belongs to.
struct QueueOwner {
  virtual Volume& engine() = 0;
  // Any thread: `message` runs on the executor.
  virtual void post(Message& message) = 0;
  // Blocks until the executor knows (or has forgotten) the queue. False: too many queues.
  virtual bool attach(QueueShared& shared) = 0;
  virtual void detach(QueueShared& shared) = 0;
  virtual ClientBook& clients() = 0;

 protected:
  ~QueueOwner() = default;
};

class VolumeQueue final : public Queue {
 public:
  // Pieces of requests that are with a device or the executor at once; more requests wait.
  static constexpr unsigned kMaxPieces = DeviceQueue::kDefaultDepth;
  // Rounds of "submitted from within `done`" that one call goes on with.
  static constexpr unsigned kMaxRounds = 64;

  static Expected<std::unique_ptr<VolumeQueue>> create(QueueOwner& owner,
                                                       std::span<Device* const> devices);
  VolumeQueue(const VolumeQueue&) = delete;
  VolumeQueue& operator=(const VolumeQueue&) = delete;
  ~VolumeQueue() override;

  void submit(std::span<QueueRequest* const> batch) override;
  unsigned process(bool wait) override;
  void watch(int fd) override { devices_->watch(fd); }
  [[nodiscard]] bool watched_readable() override { return devices_->take_readable(); }
  void wake() override;
  void answers_received() override { client_.answered(); }
  [[nodiscard]] unsigned in_flight() const override { return in_flight_; }
  bool register_memory(std::span<std::byte> memory) override {
    return devices_->register_memory(memory);
  }

  [[nodiscard]] u64 system_calls() const { return devices_->system_calls(); }

 private:
  // The part of a request that one device, or the executor, works on.
  struct Piece {
    DeviceOp op;
    VolumeQueue* queue = nullptr;
    QueueRequest* owner = nullptr;
    Piece* next_free = nullptr;
    u32 slot = 0;
    u32 sectors = 0;
    Sector sector;  // of the volume
    u64 started_ns = 0;
    IoStatus status = IoStatus::ok;  // how the device I/O failed
    Message message;
    Request request;
    MemoryPayload payload;
  };

  // Lies in QueueRequest::internal.
  struct State {
    Sector next;               // not yet routed from here
    u32 left = 0;              // sectors
    u32 pieces = 0;            // under way
    Sector bad;                // the lowest one that failed
    FlushTicket ticket;        // of a flush that has begun
    FlushClient::Flush flush;  // what its client knew when it asked for it
    bool flushing = false;     // nothing but the flush is left
  };
  static_assert(sizeof(State) <= sizeof(QueueRequest::internal));
  static_assert(kMaxPieces >= kMaxMembers);  // a flush needs its pieces all at once

  explicit VolumeQueue(QueueOwner& owner)
      : owner_(owner),
        volume_(owner.engine()),
        client_(owner.clients(), volume_.flush_refusals()) {}
  static State& state_of(QueueRequest& request);

  // volume_queue.cpp: the cycle
  void admit(QueueRequest& request);
  void start_backlog();
  bool begin(QueueRequest& request);
  unsigned deliver();
  unsigned go_on(bool run_devices);
  void finish_if_done(QueueRequest& request);
  FlushClient& client_of(const QueueRequest& request) {
    return request.client != nullptr ? *request.client : client_;
  }
  void tell_refusals(QueueRequest& request);
  void begin_flush(QueueRequest& request);
  void count_finished(QueueRequest& request);
  static void count_failed(QueueStatistics& statistics, IoOp op);
  void enter_section();
  void leave_section();

  // route.cpp: requests to pieces
  void route_first(std::span<QueueRequest* const> batch);
  bool route_rest(QueueRequest& request);
  void place(QueueRequest& request, const Route& route, u32 slot);
  void start_device(Piece& piece, const Route& route, u32 slot);
  void start_executor(Piece& piece);
  bool start_flush(QueueRequest& request);
  void resume_stalled();
  void leave_epoch(u32 slot);
  void post_check_drains();

  // pieces.cpp: pieces back to requests
  Piece* take_piece(QueueRequest& request, Sector sector, u32 sectors);
  void release(Piece& piece);
  void fail(QueueRequest& request, Sector sector, int error);
  static void device_done(DeviceOp& op);
  void on_device_done(Piece& piece);
  void on_flush_done(Piece& piece);
  void await_other_flushes(Piece& piece);
  static void run_on_executor(Message& message);
  static void report_flush(Message& message);
  static void executor_done(Request& request);
  static void back_on_queue(Message& message);
  static void flush_reported(Message& message);
  void post_back(Piece& piece, void (*run)(Message&));
  static void run_check_drains(Message& message);

  QueueOwner& owner_;
  Volume& volume_;
  ConnectedClient client_;
  std::unique_ptr<DeviceQueue> devices_;
  std::unique_ptr<QueueShared> shared_;
  std::unique_ptr<std::array<Piece, kMaxPieces>> pieces_;
  Piece* free_ = nullptr;
  unsigned free_count_ = 0;

  Fifo<QueueRequest> backlog_;   // not yet begun
  Fifo<QueueRequest> stalled_;   // wait for pieces
  Fifo<QueueRequest> finished_;  // wait for `done`
  unsigned in_flight_ = 0;
  bool in_section_ = false;
  bool busy_ = false;  // inside submit() or process(): calls from `done` only queue
  u64 now_ns_ = 0;     // when this round's I/O was started

  alignas(64) Mailbox mailbox_;
  std::atomic<bool> wake_asked_{false};
  std::atomic<bool> drain_posted_{false};
  Message drain_message_;
};

}  // namespace dmr::runtime
