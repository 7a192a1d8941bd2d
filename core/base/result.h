// SPDX-License-Identifier: GPL-2.0-or-later
// Errors as values inside the engine (std::expected needs a hosted library).
#pragma once

#include "core/base/assert.h"
#include "core/base/types.h"

namespace dmr {

enum class [[nodiscard]] Status : u8 {
  ok,
  io_error,        // the disk failed, or a sector is lost: EIO
  no_space,        // no spare block (or no room for a record) is left: ENOSPC
  read_only,       // the volume was opened or has turned read-only: EROFS
  again,           // a fixed pool or table is exhausted, try later: EAGAIN
  no_memory,       // the host gave no memory: ENOMEM
  invalid,         // an argument is out of range: EINVAL
  not_found,       // no superblock of ours
  damaged,         // metadata is damaged and no good copy is left
  wrong_version,   // made by a newer version, or needs a feature that is not known here
  wrong_member,    // a device does not belong to this set (UUID, size, identity)
  member_missing,  // a member of the set is absent and degraded start was not allowed
  divergent,       // members have been changed apart from each other
  too_small,       // the device cannot hold the metadata
  timed_out,       // a named limit was reached
  closed,          // the volume is stopping
};

// A value or the reason why there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  constexpr Result(T value) : value_(value), status_(Status::ok) {}
  constexpr Result(Status status) : status_(status) { DMR_ASSERT(status != Status::ok); }

  [[nodiscard]] constexpr bool has_value() const { return status_ == Status::ok; }
  [[nodiscard]] constexpr explicit operator bool() const { return has_value(); }
  [[nodiscard]] constexpr Status status() const { return status_; }
  [[nodiscard]] constexpr const T& value() const {
    DMR_ASSERT(has_value());
    return value_;
  }
  [[nodiscard]] constexpr const T& operator*() const { return value(); }
  [[nodiscard]] constexpr const T* operator->() const { return &value(); }

 private:
  T value_{};
  Status status_;
};

}  // namespace dmr
