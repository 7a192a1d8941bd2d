// SPDX-License-Identifier: GPL-2.0-or-later
// A log that takes no lines: they are dropped and counted, and whoever writes them goes on.
#include "runtime/volume/log_line.h"

#include <array>
#include <fcntl.h>
#include <future>
#include <string>
#include <unistd.h>

#include <gtest/gtest.h>

#include "runtime/device/file_descriptor.h"
#include "runtime/volume/event_log.h"

namespace dmr::runtime {
namespace {

using std::chrono_literals::operator""s;

// What is stderr in the meantime is given to it.
class LogLine : public ::testing::Test {
 protected:
  static void redirect(int fd) { ASSERT_GE(dup2(fd, STDERR_FILENO), 0); }
  void TearDown() override { redirect(before_.get()); }

  // What has arrived by now, at most what a pipe holds.
  static std::string drain(int fd) {
    std::string text(65536, '\0');
    const ssize_t got = read(fd, text.data(), text.size());
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
  }

  FileDescriptor before_{dup(STDERR_FILENO)};
};

TEST_F(LogLine, AFullDiskCostsLinesOnly) {
  const FileDescriptor full(open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(full.valid());
  redirect(full.get());
  log_line("not to be had");
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  const FileDescriptor reader(ends[0]);
  const FileDescriptor writer(ends[1]);
  redirect(writer.get());
  log_line("first");
  log_line("second");
  EXPECT_EQ(drain(reader.get()), "dm-remap: 1 lines before this one were dropped\nfirst\nsecond\n");
}

// As behind `| less`, or on a terminal after Ctrl-S. The executor of a volume is who tells events.
TEST_F(LogLine, AFullPipeHoldsNobodyUp) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
  const FileDescriptor reader(ends[0]);
  const FileDescriptor writer(ends[1]);
  const std::string page(4096, '-');
  while (write(writer.get(), page.data(), page.size()) > 0) {
  }
  ASSERT_EQ(fcntl(writer.get(), F_SETFL, 0), 0);  // from here on it blocks
  redirect(writer.get());
  EventLog events("tank");
  Event event;
  event.kind = EventKind::pool_exhausted;
  auto told = std::async(std::launch::async, [&] {
    for (u32 i = 0; i < 3; ++i) events.add(event);
  });
  EXPECT_EQ(told.wait_for(10s), std::future_status::ready);
  while (!drain(reader.get()).empty()) {  // which lets it go on in any case
  }
  told.wait();
  EXPECT_EQ(events.newest(), 3U);
  log_line("again");
  EXPECT_EQ(drain(reader.get()), "dm-remap: 3 lines before this one were dropped\nagain\n");
}

}  // namespace
}  // namespace dmr::runtime
