// SPDX-License-Identifier: GPL-2.0-or-later
// The volume as a file, through the kernel: attributes, data, errors, and the end of the mount.
#include "exports/fuse/export.h"

#include <linux/falloc.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "exports/testing/memory_volume.h"
#include "exports/testing/nbd_client.h"
#include "exports/testing/temporary_folder.h"

namespace dmr::fuse {
namespace {

using exports::testing::Bytes;
using exports::testing::MemoryVolume;
using exports::testing::pattern;
using runtime::FileDescriptor;
using ::testing::HasSubstr;
using std::chrono_literals::operator""s;

constexpr u64 kSectors = 32768;
constexpr u64 kVolumeBytes = kSectors * 512;

class FuseExportTest : public ::testing::Test {
 protected:
  void start() {
    export_.emplace(volume_, ExportOptions{.folder = mount_});
    const auto started = export_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  FileDescriptor open_file(int flags = O_RDWR) {
    FileDescriptor file(open(export_->file_path().c_str(), flags | O_CLOEXEC));
    EXPECT_TRUE(file.valid()) << std::strerror(errno);
    return file;
  }
  // The errno of a refused start.
  std::string refusal() {
    Export refused(volume_, {.folder = mount_});
    const auto started = refused.start();
    return started ? std::string() : started.error().message;
  }
  static int error_of(ssize_t result) { return result < 0 ? errno : 0; }

  MemoryVolume volume_{kSectors};
  exports::testing::TemporaryFolder folder_;
  std::string mount_ = folder_ / "mnt";
  std::optional<Export> export_;
};

TEST_F(FuseExportTest, VolumeIsOneFileOfItsSize) {
  start();
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(mount_)) {
    names.push_back(entry.path().filename());
  }
  EXPECT_THAT(names, ::testing::ElementsAre("tank"));
  struct stat status{};
  ASSERT_EQ(stat(export_->file_path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode, static_cast<mode_t>(S_IFREG | 0600));
  EXPECT_EQ(static_cast<u64>(status.st_size), kVolumeBytes);
  EXPECT_EQ(status.st_uid, geteuid());
  EXPECT_EQ(export_->device_path(), "");
}

TEST_F(FuseExportTest, WrittenDataIsReadBack) {
  start();
  const FileDescriptor file = open_file();
  const Bytes data = pattern(5 << 20, 1);
  ASSERT_EQ(pwrite(file.get(), data.data(), data.size(), 4096), std::ssize(data));
  EXPECT_EQ(volume_.content(4096, data.size()), data);
  Bytes got(data.size());
  ASSERT_EQ(pread(file.get(), got.data(), got.size(), 4096), std::ssize(got));
  EXPECT_EQ(got, data);
  EXPECT_EQ(volume_.misaligned, 0U);
}

TEST_F(FuseExportTest, MemoryOfProgramsNeedNotBeAligned) {
  start();
  const FileDescriptor file = open_file();
  for (const std::size_t shift : {1U, 16U, 511U, 4095U}) {
    Bytes data = pattern((3 << 20) + shift, shift);
    const auto bytes = std::ssize(data) - static_cast<ssize_t>(shift);
    ASSERT_EQ(pwrite(file.get(), data.data() + shift, static_cast<std::size_t>(bytes), 512), bytes)
        << std::strerror(errno);
    Bytes got(data.size());
    ASSERT_EQ(pread(file.get(), got.data() + shift, static_cast<std::size_t>(bytes), 512), bytes)
        << std::strerror(errno);
    EXPECT_TRUE(std::equal(data.begin() + static_cast<ptrdiff_t>(shift), data.end(),
                           got.begin() + static_cast<ptrdiff_t>(shift)));
  }
}

TEST_F(FuseExportTest, NothingIsCached) {
  start();
  const FileDescriptor file = open_file();
  Bytes got(512);
  ASSERT_EQ(pread(file.get(), got.data(), got.size(), 512), 512);
  volume_.put(512, std::byte{42});
  ASSERT_EQ(pread(file.get(), got.data(), got.size(), 512), 512);
  EXPECT_EQ(got[0], std::byte{42});
}

TEST_F(FuseExportTest, ManyThreadsShareTheFile) {
  start();
  std::vector<std::thread> threads;
  std::atomic<unsigned> wrong = 0;
  for (u64 t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      const FileDescriptor file = open_file();
      Bytes got(32768);
      for (u64 i = 0; i < 40; ++i) {
        const Bytes data = pattern(got.size(), t * 1000 + i);
        const auto offset = static_cast<off_t>((t * 40 + i) * got.size());
        if (pwrite(file.get(), data.data(), data.size(), offset) != std::ssize(data)) ++wrong;
        if (pread(file.get(), got.data(), got.size(), offset) != std::ssize(got)) ++wrong;
        if (got != data) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0U);
}

TEST_F(FuseExportTest, UnalignedIsRefused) {
  start();
  const FileDescriptor file = open_file();
  Bytes data(4096);
  EXPECT_EQ(error_of(pwrite(file.get(), data.data(), 100, 0)), EINVAL);
  EXPECT_EQ(error_of(pwrite(file.get(), data.data(), 512, 1)), EINVAL);
  EXPECT_EQ(error_of(pread(file.get(), data.data(), 513, 0)), EINVAL);
  EXPECT_EQ(volume_.requests, 0U);
}

TEST_F(FuseExportTest, EndOfTheVolumeIsTheEndOfTheFile) {
  start();
  const FileDescriptor file = open_file();
  Bytes data(8192);
  const auto end = static_cast<off_t>(kVolumeBytes);
  EXPECT_EQ(pread(file.get(), data.data(), data.size(), end), 0);
  EXPECT_EQ(pread(file.get(), data.data(), data.size(), end - 4096), 4096);
  EXPECT_NE(error_of(pwrite(file.get(), data.data(), data.size(), end - 4096)), 0);
  EXPECT_NE(error_of(pwrite(file.get(), data.data(), data.size(), end)), 0);
}

TEST_F(FuseExportTest, LostSectorFailsExactlyItsRequests) {
  volume_.fail_reads(17);
  start();
  const FileDescriptor file = open_file();
  Bytes data(512);
  for (u64 sector = 10; sector < 30; ++sector) {
    const auto offset = static_cast<off_t>(sector * 512);
    EXPECT_EQ(error_of(pread(file.get(), data.data(), 512, offset)), sector == 17 ? EIO : 0);
  }
}

TEST_F(FuseExportTest, ExhaustedSpareIsNoSpace) {
  volume_.fail_writes(17, ENOSPC);
  start();
  const FileDescriptor file = open_file();
  const Bytes data(512);
  EXPECT_EQ(error_of(pwrite(file.get(), data.data(), 512, 17 * 512)), ENOSPC);
  EXPECT_EQ(error_of(pwrite(file.get(), data.data(), 512, 18 * 512)), 0);
}

TEST_F(FuseExportTest, FsyncFlushesTheVolume) {
  start();
  const FileDescriptor file = open_file();
  EXPECT_EQ(fsync(file.get()), 0);
  EXPECT_EQ(volume_.flushes, 1U);
  EXPECT_EQ(fdatasync(file.get()), 0);
  EXPECT_EQ(volume_.flushes, 2U);
}

// Whichever worker, and so queue, a request falls to.
TEST_F(FuseExportTest, contract_4_EachOpenFileHearsOfARefusedFlushOnce) {
  start();
  const FileDescriptor one = open_file();
  const FileDescriptor two = open_file();
  volume_.refuse_a_flush();
  for (const FileDescriptor* file : {&one, &two}) {
    EXPECT_EQ(error_of(fsync(file->get())), EIO);
    for (int i = 0; i < 16; ++i) EXPECT_EQ(error_of(fsync(file->get())), 0);
  }
  const FileDescriptor later = open_file();
  EXPECT_EQ(error_of(fsync(later.get())), 0);
}

// fork() or dup() made one, and somebody who does not look at the answer closed it.
TEST_F(FuseExportTest, contract_4_CloseOfADuplicateDoesNotHearForTheFile) {
  start();
  const FileDescriptor file = open_file();
  volume_.refuse_a_flush();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::close(file.get());
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(error_of(::close(dup(file.get()))), EIO);
  EXPECT_EQ(error_of(fsync(file.get())), EIO);
  EXPECT_EQ(error_of(fsync(file.get())), 0);
  EXPECT_EQ(error_of(::close(dup(file.get()))), 0);
}

TEST_F(FuseExportTest, contract_4_CloseTellsAlsoWhenTheVolumeHasTurnedReadOnly) {
  start();
  FileDescriptor file = open_file();
  volume_.refuse_a_flush();
  volume_.is_read_only = true;
  EXPECT_EQ(error_of(::close(dup(file.get()))), EIO);
  EXPECT_EQ(error_of(fsync(file.get())), EIO);
  EXPECT_EQ(error_of(::close(dup(file.get()))), 0);
}

// As with NBD: who opens the file may be the program that died with something to lose. What its
// last close() was told nobody need have read.
TEST_F(FuseExportTest, contract_4_AFileHearsOfWhatAnotherHasToLose) {
  start();
  const int file = open(export_->file_path().c_str(), O_RDWR | O_CLOEXEC);
  const Bytes data = pattern(4096, 1);
  ASSERT_EQ(pwrite(file, data.data(), data.size(), 0), std::ssize(data));
  volume_.refuse_a_flush();
  {
    const FileDescriptor later = open_file();
    EXPECT_EQ(error_of(fsync(later.get())), EIO);
    EXPECT_EQ(error_of(fsync(later.get())), 0);
  }
  EXPECT_EQ(error_of(::close(file)), EIO);
  while (export_->in_use()) std::this_thread::yield();
  const FileDescriptor later = open_file();
  EXPECT_EQ(error_of(fsync(later.get())), EIO);
  EXPECT_EQ(error_of(fsync(later.get())), 0);
}

// The kernel sends no FSYNC after such a write, however it was asked for.
TEST_F(FuseExportTest, SynchronousWritesAreFua) {
  start();
  Bytes data = pattern(4096, 1);
  for (const int flag : {O_DSYNC, O_SYNC}) {
    const unsigned before = volume_.fua_writes;
    const FileDescriptor file = open_file(O_RDWR | flag);
    ASSERT_EQ(pwrite(file.get(), data.data(), data.size(), 0), std::ssize(data));
    EXPECT_EQ(volume_.fua_writes, before + 1) << flag;
  }
  const FileDescriptor file = open_file();
  const iovec part{.iov_base = data.data(), .iov_len = data.size()};
  for (const int flag : {RWF_DSYNC, RWF_SYNC}) {
    const unsigned before = volume_.fua_writes;
    ASSERT_EQ(pwritev2(file.get(), &part, 1, 0, flag), std::ssize(data)) << std::strerror(errno);
    EXPECT_EQ(volume_.fua_writes, before + 1) << flag;
  }
  const unsigned before = volume_.fua_writes;
  ASSERT_EQ(pwrite(file.get(), data.data(), data.size(), 0), std::ssize(data));
  EXPECT_EQ(volume_.fua_writes, before);
}

TEST_F(FuseExportTest, HolesAndZeroRangesReadAsZeros) {
  volume_.data = pattern(volume_.data.size(), 3);
  start();
  const FileDescriptor file = open_file();
  EXPECT_EQ(fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192), 0);
  EXPECT_EQ(fallocate(file.get(), FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 1 << 20, 4096), 0);
  EXPECT_EQ(volume_.content(4096, 8192), Bytes(8192));
  EXPECT_EQ(volume_.content(1 << 20, 4096), Bytes(4096));
  EXPECT_NE(volume_.content(12288, 512), Bytes(512));
  EXPECT_EQ(volume_.zeroings, 2U);
  EXPECT_EQ(volume_.discards, 0U);
  EXPECT_EQ(error_of(fallocate(file.get(), 0, 0, 4096)), EOPNOTSUPP);
  EXPECT_EQ(error_of(fallocate(file.get(), FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 100, 512)),
            EINVAL);
}

TEST_F(FuseExportTest, NothingButDataCanBeChanged) {
  start();
  const std::string path = export_->file_path();
  EXPECT_NE(truncate(path.c_str(), 4096), 0);
  EXPECT_EQ(truncate(path.c_str(), static_cast<off_t>(kVolumeBytes)), 0);
  EXPECT_NE(chmod(path.c_str(), 0666), 0);
  EXPECT_NE(unlink(path.c_str()), 0);
  EXPECT_NE(rename(path.c_str(), (mount_ + "/pool").c_str()), 0);
  EXPECT_LT(open((mount_ + "/pool").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600), 0);
  EXPECT_LT(open((mount_ + "/pool").c_str(), O_RDONLY | O_CLOEXEC), 0);
  EXPECT_EQ(errno, ENOENT);
}

TEST_F(FuseExportTest, ReadOnlyVolumeOpensForReadingOnly) {
  volume_.is_read_only = true;
  start();
  EXPECT_LT(open(export_->file_path().c_str(), O_RDWR | O_CLOEXEC), 0);
  EXPECT_EQ(errno, EROFS);
  const FileDescriptor file = open_file(O_RDONLY);
  Bytes data(4096);
  EXPECT_EQ(pread(file.get(), data.data(), data.size(), 0), 4096);
}

TEST_F(FuseExportTest, OpenFileIsInUse) {
  start();
  EXPECT_FALSE(export_->in_use());
  FileDescriptor file = open_file();
  EXPECT_TRUE(export_->in_use());
  file.reset();
  while (export_->in_use()) std::this_thread::yield();  // the kernel tells in its own time
}

TEST_F(FuseExportTest, StopTakesTheMountAway) {
  start();
  export_->stop();
  EXPECT_FALSE(std::filesystem::exists(mount_));
  start();
  EXPECT_TRUE(std::filesystem::exists(export_->file_path()));
}

TEST_F(FuseExportTest, StopDoesNotWaitForOpenFiles) {
  start();
  const FileDescriptor file = open_file();
  auto stopped = std::async(std::launch::async, [this] { export_->stop(); });
  ASSERT_EQ(stopped.wait_for(20s), std::future_status::ready);
  Bytes data(512);
  EXPECT_NE(error_of(pread(file.get(), data.data(), data.size(), 0)), 0);
}

TEST_F(FuseExportTest, StopFinishesWhatIsUnderWay) {
  start();
  const FileDescriptor file = open_file();
  volume_.hold();
  const Bytes data = pattern(4096, 4);
  auto written = std::async(std::launch::async,
                            [&] { return pwrite(file.get(), data.data(), data.size(), 8192); });
  volume_.wait_for_held(1);
  auto stopped = std::async(std::launch::async, [this] { export_->stop(); });
  volume_.release();
  EXPECT_EQ(written.get(), 4096);
  ASSERT_EQ(stopped.wait_for(20s), std::future_status::ready);
  EXPECT_EQ(volume_.content(8192, data.size()), data);
}

TEST_F(FuseExportTest, MountOfADeadServerIsReplaced) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    Export abandoned(volume_, {.folder = mount_});
    const bool started = abandoned.start().has_value();
    struct stat remembered{};  // by the kernel: after the death it still answers with this
    _exit(started && stat(mount_.c_str(), &remembered) == 0 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  struct stat kept{};
  ASSERT_EQ(stat(mount_.c_str(), &kept), 0);
  start();
  EXPECT_EQ(lseek(open_file().get(), 0, SEEK_END), static_cast<off_t>(kVolumeBytes));
}

TEST_F(FuseExportTest, MountOfALivingServerIsRefused) {
  start();
  EXPECT_THAT(refusal(), HasSubstr("mounted there already"));
  EXPECT_TRUE(std::filesystem::exists(export_->file_path()));
}

TEST_F(FuseExportTest, FolderWithFilesIsRefused) {
  std::filesystem::create_directory(mount_);
  std::ofstream(mount_ + "/precious") << "x";
  EXPECT_THAT(refusal(), HasSubstr("not empty"));
  EXPECT_TRUE(std::filesystem::exists(mount_ + "/precious"));
}

TEST_F(FuseExportTest, VolumeWithoutQueueIsNotMounted) {
  volume_.fail_queues = true;
  EXPECT_THAT(refusal(), HasSubstr("no ring"));
  EXPECT_FALSE(std::filesystem::exists(mount_));
}

}  // namespace
}  // namespace dmr::fuse
