// SPDX-License-Identifier: GPL-2.0-or-later
// A volume may carry swap, or the filesystem that this very program lies on: it must go on when
// memory is short.
#include <sys/mman.h>
#include <sys/prctl.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "runtime/volume/user_volume.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

namespace dmr::runtime {
namespace {

bool write_file(const char* path, const char* text) {
  std::FILE* file = std::fopen(path, "we");
  if (file == nullptr) return false;
  const bool written = std::fputs(text, file) >= 0;
  return (std::fclose(file) == 0) && written;
}

}  // namespace

std::vector<std::string> protect_process() {
  std::vector<std::string> notes;
  const auto note = [&](const char* what) {
    notes.push_back(std::string(what) + ": " + std::strerror(errno));
  };
  if (::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) note("memory is not locked");
  if (::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) != 0) note("not marked as an I/O flusher");
  if (!write_file("/proc/self/oom_score_adj", "-1000")) note("the OOM killer is not kept off");
  return notes;
}

}  // namespace dmr::runtime
