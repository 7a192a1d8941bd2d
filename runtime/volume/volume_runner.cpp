// SPDX-License-Identifier: GPL-2.0-or-later
// The loop of the control thread.
#include "runtime/volume/volume_runner.h"

#include <pthread.h>
#include <semaphore>

namespace dmr::runtime {

VolumeRunner::VolumeRunner(std::unique_ptr<UserHost> host, const VolumeConfig& config)
    : host_(std::move(host)), volume_(*host_, config) {
  host_->set_page_taker(
      [](void* context, void* page) { static_cast<Volume*>(context)->give_page(page); }, &volume_);
  thread_ = std::thread([this] { loop(); });
  ::pthread_setname_np(thread_.native_handle(), "dmr-control");
}

VolumeRunner::~VolumeRunner() {
  stop_.store(true, std::memory_order_seq_cst);
  host_->wake();
  thread_.join();
}

void VolumeRunner::post(Message& message) {
  mailbox_.post(message);
  host_->wake();
}

void VolumeRunner::loop() {
  while (true) {
    bool progress = mailbox_.run_all() != 0;
    if (host_->take_timer()) {
      volume_.on_timer();
      progress = true;
    }
    progress |= volume_.run();
    progress |= host_->step();
    if (progress) continue;
    host_->prepare_sleep();
    // What is posted from here on wakes the host.
    if (!mailbox_.empty()) {
      host_->cancel_sleep();
      continue;
    }
    if (stop_.load(std::memory_order_seq_cst)) return;
    host_->wait();
  }
}

void VolumeRunner::call(const std::function<void()>& work) {
  struct Call {
    Message message;
    const std::function<void()>* work;
    std::binary_semaphore ended{0};
  } call{.message = {}, .work = &work};
  call.message.context = &call;
  call.message.run = [](Message& message) {
    auto& self = *static_cast<Call*>(message.context);
    (*self.work)();
    self.ended.release();
  };
  post(call.message);
  call.ended.acquire();
}

bool VolumeRunner::attach(QueueShared& shared) {
  bool added = false;
  call([&] { added = host_->add_queue(shared); });
  return added;
}

void VolumeRunner::detach(QueueShared& shared) {
  call([&] {
    past_queues_.add(shared.statistics);
    host_->remove_queue(shared);
  });
}

IoCounters VolumeRunner::io_counters() const {
  IoCounters sum = past_queues_;
  for (const QueueShared* queue : host_->queues()) sum.add(queue->statistics);
  return sum;
}

std::size_t VolumeRunner::queues() {
  std::size_t count = 0;
  call([&] { count = host_->queues().size(); });
  return count;
}

}  // namespace dmr::runtime
