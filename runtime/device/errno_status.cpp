// SPDX-License-Identifier: GPL-2.0-or-later
// The tables of the translation.
#include "runtime/device/errno_status.h"

#include <cerrno>

namespace dmr::runtime {

IoStatus io_status_of(int error) {
  switch (error) {
    case 0:
      return IoStatus::ok;
    case ENODATA:
      return IoStatus::medium;
    case ENOLINK:
    case ECOMM:
      return IoStatus::transport;
    case ETIMEDOUT:
    case ETIME:
      return IoStatus::timeout;
    case ENODEV:
    case ENXIO:
      return IoStatus::offline;
    case ENOSPC:
    case EDQUOT:
      return IoStatus::no_space;
    case EROFS:
    case EPERM:
      return IoStatus::read_only;
    case EOPNOTSUPP:
      return IoStatus::unsupported;
    case EAGAIN:
    case EINTR:
    case EBUSY:
      return IoStatus::again;
    case ENOMEM:
    case ENOBUFS:
      return IoStatus::resource;
    case EIO:
    case EREMOTEIO:
    case EILSEQ:
      return IoStatus::unspecified;
    default:
      return IoStatus::offline;  // EINVAL, EFAULT, EBADF, ESTALE...: no place of a disk is to blame
  }
}

int errno_of(IoStatus status) {
  switch (status) {
    case IoStatus::ok:
      return 0;
    case IoStatus::medium:
      return ENODATA;
    case IoStatus::unspecified:
      return EIO;
    case IoStatus::transport:
      return ENOLINK;
    case IoStatus::timeout:
      return ETIMEDOUT;
    case IoStatus::offline:
      return ENODEV;
    case IoStatus::no_space:
      return ENOSPC;
    case IoStatus::read_only:
      return EROFS;
    case IoStatus::unsupported:
      return EOPNOTSUPP;
    case IoStatus::again:
      return EAGAIN;
    case IoStatus::resource:
      return ENOMEM;
  }
  return EIO;
}

int request_errno_of(Status status) {
  switch (status) {
    case Status::ok:
      return 0;
    case Status::no_space:
      return ENOSPC;
    case Status::read_only:
      return EROFS;
    case Status::invalid:
      return EINVAL;
    case Status::closed:
      return ESHUTDOWN;
    default:
      return EIO;
  }
}

const char* name_of(Status status) {
  switch (status) {
    case Status::ok:
      return "ok";
    case Status::io_error:
      return "io_error";
    case Status::no_space:
      return "no_space";
    case Status::read_only:
      return "read_only";
    case Status::again:
      return "again";
    case Status::no_memory:
      return "no_memory";
    case Status::invalid:
      return "invalid";
    case Status::not_found:
      return "not_found";
    case Status::damaged:
      return "damaged";
    case Status::wrong_version:
      return "wrong_version";
    case Status::wrong_member:
      return "wrong_member";
    case Status::member_missing:
      return "member_missing";
    case Status::divergent:
      return "divergent";
    case Status::too_small:
      return "too_small";
    case Status::timed_out:
      return "timed_out";
    case Status::closed:
      return "closed";
  }
  return "unknown";
}

int errno_named(std::string_view name) {
  struct Named {
    std::string_view name;
    int value;
  };
  static constexpr Named kNames[] = {
      {"EIO", EIO},         {"ENODATA", ENODATA}, {"EREMOTEIO", EREMOTEIO},
      {"ENOLINK", ENOLINK}, {"ECOMM", ECOMM},     {"ETIMEDOUT", ETIMEDOUT},
      {"ENODEV", ENODEV},   {"ENXIO", ENXIO},     {"ENOSPC", ENOSPC},
      {"EROFS", EROFS},     {"EPERM", EPERM},     {"EOPNOTSUPP", EOPNOTSUPP},
      {"EAGAIN", EAGAIN},   {"EBUSY", EBUSY},     {"EINTR", EINTR},
      {"ENOMEM", ENOMEM},   {"EILSEQ", EILSEQ},
  };
  for (const Named& entry : kNames) {
    if (entry.name == name) return entry.value;
  }
  return 0;
}

}  // namespace dmr::runtime
