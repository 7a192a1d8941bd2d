// SPDX-License-Identifier: GPL-2.0-or-later
// Messages between the threads of a volume: many senders, one receiver, no lock, no allocation.
#pragma once

#include <atomic>

#include "core/base/list.h"

namespace dmr::runtime {

// Belongs to its sender until it is posted, then to the receiver, who calls `run`.
struct Message {
  Message* next = nullptr;
  void (*run)(Message&) = nullptr;
  void* context = nullptr;
};

class Mailbox {
 public:
  // Any thread. The receiver must be woken afterwards (Waker).
  void post(Message& message) {
    Message* head = head_.load(std::memory_order_relaxed);
    do {
      message.next = head;
    } while (!head_.compare_exchange_weak(head, &message, std::memory_order_seq_cst,
                                          std::memory_order_relaxed));
  }

  // Receiver only from here on.
  [[nodiscard]] bool empty() const { return head_.load(std::memory_order_seq_cst) == nullptr; }

  // Runs what has been posted up to now, oldest first; returns how many.
  unsigned run_all() {
    if (head_.load(std::memory_order_relaxed) == nullptr) return 0;
    Message* newest = head_.exchange(nullptr, std::memory_order_acquire);
    Message* oldest = nullptr;
    while (newest != nullptr) {
      Message* next = newest->next;
      newest->next = oldest;
      oldest = newest;
      newest = next;
    }
    unsigned count = 0;
    while (oldest != nullptr) {
      Message* message = oldest;
      oldest = message->next;
      message->next = nullptr;
      message->run(*message);  // may be gone, or posted elsewhere, after this
      ++count;
    }
    return count;
  }

 private:
  std::atomic<Message*> head_{nullptr};
};

}  // namespace dmr::runtime
