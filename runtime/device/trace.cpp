// SPDX-License-Identifier: GPL-2.0-or-later
// Times each I/O of the layer below and writes its line, one thread at a time.
#include "runtime/device/trace.h"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <mutex>

#include <fmt/format.h>

namespace dmr::runtime {
namespace {

using Clock = std::chrono::steady_clock;

const char* name_of_op(IoOp op) {
  switch (op) {
    case IoOp::read:
      return "read";
    case IoOp::write:
      return "write";
    case IoOp::flush:
      return "flush";
    case IoOp::discard:
      return "discard";
    case IoOp::write_zeroes:
      return "write_zeroes";
  }
  return "?";
}

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

class TraceLayer final : public Layer {
 public:
  TraceLayer(std::FILE* file, std::unique_ptr<Layer> below)
      : file_(file), below_(std::move(below)) {}
  [[nodiscard]] std::string_view kind() const override { return "trace"; }
  [[nodiscard]] Layer* below() const override { return below_.get(); }

  LayerResult run(const LayerIo& io) override {
    const Clock::time_point begin = Clock::now();
    const LayerResult result = below_->run(io);
    if (result.again) return result;
    const Clock::time_point end = Clock::now();
    const std::string line =
        fmt::format("{} {}{} {} {} {} {}\n", us(end - opened_), name_of_op(io.op),
                    io.fua ? "+fua" : "", io.offset / kSectorBytes, io.length / kSectorBytes,
                    result.error, us(end - begin) + i64(result.delay_ms) * 1000);
    const std::lock_guard lock(mutex_);
    std::fwrite(line.data(), 1, line.size(), file_.get());
    std::fflush(file_.get());
    return result;
  }

 private:
  static i64 us(Clock::duration time) {
    return std::chrono::duration_cast<std::chrono::microseconds>(time).count();
  }

  const Clock::time_point opened_ = Clock::now();
  std::mutex mutex_;
  std::unique_ptr<std::FILE, CloseFile> file_;
  std::unique_ptr<Layer> below_;
};

}  // namespace

Expected<std::unique_ptr<Layer>> make_trace_layer(const std::string& file,
                                                  std::unique_ptr<Layer> below) {
  std::FILE* out = std::fopen(file.c_str(), "ae");
  if (out == nullptr) return fail_errno(file, errno);
  return std::make_unique<TraceLayer>(out, std::move(below));
}

}  // namespace dmr::runtime
