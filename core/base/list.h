// SPDX-License-Identifier: GPL-2.0-or-later
// Intrusive first-in-first-out list: the queues of the engine allocate nothing.
#pragma once

#include "core/base/assert.h"
#include "core/base/types.h"

namespace dmr {

// T has a member `T* next`. A node is in at most one list.
template <class T>
class Fifo {
 public:
  [[nodiscard]] bool empty() const { return head_ == nullptr; }
  [[nodiscard]] u32 size() const { return size_; }
  [[nodiscard]] T* front() const { return head_; }

  void push_back(T& node) {
    node.next = nullptr;
    if (tail_ != nullptr) {
      tail_->next = &node;
    } else {
      head_ = &node;
    }
    tail_ = &node;
    ++size_;
  }

  [[nodiscard]] T* pop_front() {
    T* node = head_;
    if (node == nullptr) return nullptr;
    head_ = node->next;
    if (head_ == nullptr) tail_ = nullptr;
    node->next = nullptr;
    DMR_ASSERT(size_ > 0);
    --size_;
    return node;
  }

  // Takes `node` out wherever it is; false when it is not in the list.
  bool remove(T& node) {
    T* before = nullptr;
    for (T* at = head_; at != nullptr; before = at, at = at->next) {
      if (at != &node) continue;
      (before != nullptr ? before->next : head_) = at->next;
      if (tail_ == at) tail_ = before;
      at->next = nullptr;
      --size_;
      return true;
    }
    return false;
  }

 private:
  T* head_ = nullptr;
  T* tail_ = nullptr;
  u32 size_ = 0;
};

}  // namespace dmr
