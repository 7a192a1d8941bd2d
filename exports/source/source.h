// SPDX-License-Identifier: GPL-2.0-or-later
// What an export needs to know of the volume that it serves. The runtime's volume is one; the
// tests and the transport benchmark bring their own.
#pragma once

#include <memory>
#include <string>

#include "core/base/types.h"
#include "runtime/device/error.h"
#include "runtime/queue/client_book.h"
#include "runtime/queue/queue.h"

namespace dmr::exports {

// Must outlive the exports made of it. All functions may be called from any thread.
class Source {
 public:
  virtual ~Source() = default;

  [[nodiscard]] virtual std::string name() const = 0;
  [[nodiscard]] virtual u64 sectors() const = 0;              // never changes
  [[nodiscard]] virtual u32 logical_block_bytes() const = 0;  // smallest request and alignment
  [[nodiscard]] virtual u32 block_bytes() const = 0;          // the remap unit: the preferred size
  [[nodiscard]] virtual bool read_only() const = 0;           // now; it may turn so
  // Zeroing is faster than writing zeros, everywhere on the volume.
  [[nodiscard]] virtual bool zeroes_fast() const = 0;
  // A queue for the calling thread.
  [[nodiscard]] virtual runtime::Expected<std::unique_ptr<runtime::Queue>> make_queue() = 0;
  // What a ConnectedClient is made of, where several clients share queues.
  [[nodiscard]] virtual u64 flush_refusals() const = 0;
  [[nodiscard]] virtual runtime::ClientBook& clients() = 0;
};

}  // namespace dmr::exports
