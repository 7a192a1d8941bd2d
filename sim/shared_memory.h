// SPDX-License-Identifier: GPL-2.0-or-later
// An object that a process and the children that it forks see alike. It begins as zeros.
#pragma once

#include <sys/mman.h>

#include <new>
#include <stdexcept>
#include <type_traits>

namespace dmr::sim {

template <class T>
class SharedMemory {
 public:
  static_assert(std::is_trivially_destructible_v<T>);

  SharedMemory()
      : memory_(
            mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
    if (memory_ == MAP_FAILED) throw std::runtime_error("no memory to share with child processes");
    object_ = ::new (memory_) T();
  }
  ~SharedMemory() { (void)munmap(memory_, sizeof(T)); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  T* operator->() { return object_; }
  T& operator*() { return *object_; }

 private:
  void* memory_;
  T* object_ = nullptr;
};

}  // namespace dmr::sim
