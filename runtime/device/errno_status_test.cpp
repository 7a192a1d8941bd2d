// SPDX-License-Identifier: GPL-2.0-or-later
// Holds the translation of errors to the class that each errno belongs to.
#include "runtime/device/errno_status.h"

#include <cerrno>
#include <cstring>

#include <gtest/gtest.h>

#include "core/error/classify.h"

namespace dmr::runtime {
namespace {

TEST(ErrnoStatus, EveryErrnoOfADiskHasItsClass) {
  struct Row {
    int error;
    IoStatus status;
  };
  constexpr Row kTable[] = {
      {0, IoStatus::ok},
      {ENODATA, IoStatus::medium},
      {ENOLINK, IoStatus::transport},
      {ECOMM, IoStatus::transport},
      {ETIMEDOUT, IoStatus::timeout},
      {ENODEV, IoStatus::offline},
      {ENXIO, IoStatus::offline},
      {EIO, IoStatus::unspecified},
      {EREMOTEIO, IoStatus::unspecified},
      {EILSEQ, IoStatus::unspecified},
      {ENOSPC, IoStatus::no_space},
      {EROFS, IoStatus::read_only},
      {EPERM, IoStatus::read_only},
      {EOPNOTSUPP, IoStatus::unsupported},
      {EAGAIN, IoStatus::again},
      {EINTR, IoStatus::again},
      {EBUSY, IoStatus::again},
      {ENOMEM, IoStatus::resource},
      {ENOBUFS, IoStatus::resource},
  };
  for (const Row& row : kTable) {
    EXPECT_EQ(io_status_of(row.error), row.status) << std::strerror(row.error);
  }
}

// Such as a bug of ours or a file that went away: no place of a disk is to blame.
TEST(ErrnoStatus, AnUnknownErrnoMarksNothing) {
  for (const int error : {EINVAL, EFAULT, EBADF, ESTALE, 4095}) {
    const ErrorClass found = classify(io_status_of(error), 0, 1'000'000'000);
    EXPECT_EQ(found, ErrorClass::device) << std::strerror(error);
  }
}

TEST(ErrnoStatus, StatusSurvivesTheWayThroughErrno) {
  for (u8 s = 0; s <= static_cast<u8>(IoStatus::resource); ++s) {
    const auto status = static_cast<IoStatus>(s);
    EXPECT_EQ(io_status_of(errno_of(status)), status) << int(s);
  }
}

TEST(ErrnoStatus, UsersSeeOnlyTheErrorsThatTheirProtocolsHave) {
  for (u8 s = 0; s <= static_cast<u8>(Status::closed); ++s) {
    const int error = request_errno_of(static_cast<Status>(s));
    EXPECT_TRUE(error == 0 || error == EIO || error == ENOSPC || error == EROFS ||
                error == EINVAL || error == ESHUTDOWN)
        << error;
    EXPECT_EQ(error == 0, s == 0);
  }
}

TEST(ErrnoStatus, NamesOfPlansAreKnown) {
  EXPECT_EQ(errno_named("ENODATA"), ENODATA);
  EXPECT_EQ(errno_named("ETIMEDOUT"), ETIMEDOUT);
  EXPECT_EQ(errno_named("eio"), 0);
}

}  // namespace
}  // namespace dmr::runtime
