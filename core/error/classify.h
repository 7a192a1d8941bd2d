// SPDX-License-Identifier: GPL-2.0-or-later
// Which errors may mark a block. Only `medium` and `unspecified` ever do, and only after they have
// been confirmed (core/volume/confirmer.h).
#pragma once

#include "core/host/host.h"

namespace dmr {

enum class ErrorClass : u8 {
  none,
  medium,       // the disk says that this place is bad
  unspecified,  // refused writes come like this, but so do many failures of links and drivers
  device,       // transport, timeout, offline, full or write-protected: the place is not to blame
  not_disk,     // not supported, try again, no resources
};
inline constexpr u32 kErrorClasses = 5;

// An unspecified failure that took more than half of the device's timeout is a timeout in disguise.
[[nodiscard]] constexpr ErrorClass classify(IoStatus status, u64 elapsed_ns, u64 timeout_ns) {
  switch (status) {
    case IoStatus::ok:
      return ErrorClass::none;
    case IoStatus::medium:
      return ErrorClass::medium;
    case IoStatus::unspecified:
      return elapsed_ns > timeout_ns / 2 ? ErrorClass::device : ErrorClass::unspecified;
    case IoStatus::transport:
    case IoStatus::timeout:
    case IoStatus::offline:
    case IoStatus::no_space:
    case IoStatus::read_only:
      return ErrorClass::device;
    case IoStatus::unsupported:
    case IoStatus::again:
    case IoStatus::resource:
      return ErrorClass::not_disk;
  }
  return ErrorClass::device;  // an unknown value marks nothing
}

// A write that failed like this may still reach its place some time later. One that the medium or a
// full device has refused does not, nor does one that was never sent.
[[nodiscard]] constexpr bool may_arrive_late(IoStatus status) {
  switch (status) {
    case IoStatus::ok:
    case IoStatus::medium:
    case IoStatus::no_space:
    case IoStatus::unsupported:
    case IoStatus::again:
    case IoStatus::resource:
      return false;
    case IoStatus::unspecified:
    case IoStatus::transport:
    case IoStatus::timeout:
    case IoStatus::offline:
    case IoStatus::read_only:
      return true;
  }
  return true;
}

[[nodiscard]] constexpr bool may_mark(ErrorClass error) {
  return error == ErrorClass::medium || error == ErrorClass::unspecified;
}

}  // namespace dmr
