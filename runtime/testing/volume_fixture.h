// SPDX-License-Identifier: GPL-2.0-or-later
// Real volumes over files for tests, and a client of one queue.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/device/faulty.h"
#include "runtime/queue/volume_queue.h"
#include "runtime/testing/temp_folder.h"
#include "runtime/volume/user_volume.h"

namespace dmr::runtime::testing {

// Memory for direct I/O.
class Buffer {
 public:
  explicit Buffer(std::size_t bytes, u8 fill = 0);
  [[nodiscard]] std::byte* data() const { return memory_.get(); }
  [[nodiscard]] std::size_t size() const { return bytes_; }
  [[nodiscard]] std::span<std::byte> span() const { return {data(), bytes_}; }
  [[nodiscard]] bool filled_with(u8 value, std::size_t from = 0, std::size_t count = ~0UL) const;

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::size_t bytes_;
  std::unique_ptr<std::byte, Free> memory_;
};

struct Answer {
  int error = 0;
  Sector bad;
};

// One request at a time through a queue of its own.
class Client {
 public:
  explicit Client(UserVolume& volume);
  Answer run(IoOp op, Sector sector, u32 sectors, std::byte* data = nullptr, bool fua = false);
  Answer read(Sector sector, u32 sectors, Buffer& to) {
    return run(IoOp::read, sector, sectors, to.data());
  }
  Answer write(Sector sector, u32 sectors, const Buffer& from, bool fua = false) {
    return run(IoOp::write, sector, sectors, from.data(), fua);
  }
  Answer flush() { return run(IoOp::flush, Sector{}, 0); }
  // Writes these sectors with one value.
  Answer fill(Sector sector, u32 sectors, u8 value, bool fua = false);
  // The value that all these sectors have; -1 when they differ, -2 when the read failed.
  int value_of(Sector sector, u32 sectors);
  [[nodiscard]] Queue& queue() { return *queue_; }

 private:
  std::unique_ptr<Queue> queue_;
};

struct SetPaths {
  std::string main;
  std::vector<std::string> spares;
};

[[nodiscard]] Expected<std::unique_ptr<Device>> open_device(const std::string& spec);
// Writes the metadata of a new set.
void create_set(const SetPaths& paths, u32 block_sectors = 8);
[[nodiscard]] Expected<std::unique_ptr<UserVolume>> open_set(const SetPaths& specs,
                                                             const VolumeOptions& options = {});
[[nodiscard]] FaultyLayer& faulty(UserVolume& volume, Member member);

}  // namespace dmr::runtime::testing
