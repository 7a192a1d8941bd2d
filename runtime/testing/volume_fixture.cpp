// SPDX-License-Identifier: GPL-2.0-or-later
// Creates sets through the metadata store, as `create` does, and opens them.
#include "runtime/testing/volume_fixture.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "core/log/store.h"
#include "runtime/volume/open_set.h"

namespace dmr::runtime::testing {

Buffer::Buffer(std::size_t bytes, u8 fill)
    : bytes_(bytes),
      memory_(static_cast<std::byte*>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096))) {
  std::memset(memory_.get(), fill, bytes);
}

bool Buffer::filled_with(u8 value, std::size_t from, std::size_t count) const {
  const auto part = span().subspan(from, std::min(count, bytes_ - from));
  return std::all_of(part.begin(), part.end(), [&](std::byte b) { return b == std::byte{value}; });
}

Client::Client(UserVolume& volume) {
  auto queue = volume.make_queue();
  if (!queue) throw std::runtime_error(queue.error().message);
  queue_ = std::move(*queue);
}

Answer Client::run(IoOp op, Sector sector, u32 sectors, std::byte* data, bool fua) {
  QueueRequest request;
  bool ended = false;
  request.op = op;
  request.fua = fua;
  request.sector = sector;
  request.sectors = sectors;
  request.data = data;
  request.context = &ended;
  request.done = [](QueueRequest& done) { *static_cast<bool*>(done.context) = true; };
  QueueRequest* batch[] = {&request};
  queue_->submit(batch);
  while (!ended) queue_->process(true);
  return {.error = request.error, .bad = request.bad_sector};
}

Answer Client::fill(Sector sector, u32 sectors, u8 value, bool fua) {
  const Buffer buffer(std::size_t{sectors} * kSectorBytes, value);
  return write(sector, sectors, buffer, fua);
}

int Client::value_of(Sector sector, u32 sectors) {
  Buffer buffer(std::size_t{sectors} * kSectorBytes, 0xEE);
  if (read(sector, sectors, buffer).error != 0) return -2;
  const auto first = static_cast<u8>(*buffer.data());
  return buffer.filled_with(first) ? first : -1;
}

Expected<std::unique_ptr<Device>> open_device(const std::string& spec) {
  return Device::open(spec, DeviceOptions{.allow_buffered = true});
}

namespace {

MemberSlots take_devices(const SetPaths& paths) {
  MemberSlots slots;
  const auto open = [](const std::string& path) {
    auto device = open_device(path);
    if (!device) throw std::runtime_error(device.error().message);
    return std::move(*device);
  };
  slots.device[kMain] = open(paths.main);
  for (std::size_t i = 0; i < paths.spares.size(); ++i) {
    slots.device[i + 1] = open(paths.spares[i]);
  }
  slots.members = static_cast<u32>(paths.spares.size()) + 1;
  return slots;
}

}  // namespace

void create_set(const SetPaths& paths, u32 block_sectors) {
  const MemberSlots slots = take_devices(paths);
  EventLog events("test");
  auto host = UserHost::create(slots.pointers(), events);
  if (!host) throw std::runtime_error(host.error().message);
  Executor executor;
  MetadataStore store(**host, executor);
  if (store.open_memory() != Status::ok) throw std::runtime_error("no memory");
  FormatRequest request;
  request.members = slots.members;
  request.block_sectors = block_sectors;
  request.name = "test";
  for (u32 m = 0; m < slots.members; ++m) request.device[m] = describe(slots.device[m].get());

  alignas(64) static std::byte memory[32768];
  FrameStack frames;
  frames.init(**host, memory, sizeof memory);
  bool finished = false;
  Ready node{.next = nullptr,
             .run = [](Ready& self) { *static_cast<bool*>(self.context) = true; },
             .context = &finished};
  Status status = Status::closed;
  {
    Task<Status> task = store.format(frames, request);
    task.start(executor, node);
    (*host)->drive(executor, finished);
    status = task.result();
  }
  (*host)->unpoison(memory, sizeof memory);
  store.close_memory();
  if (status != Status::ok) throw std::runtime_error("format failed");
}

Expected<std::unique_ptr<UserVolume>> open_set(const SetPaths& specs,
                                               const VolumeOptions& options) {
  const DeviceOptions how{.read_only = options.read_only, .allow_buffered = true};
  auto main = Device::open(specs.main, how);
  if (!main) return std::unexpected(main.error());
  std::vector<std::unique_ptr<Device>> spares;
  for (const std::string& spec : specs.spares) {
    auto spare = Device::open(spec, how);
    if (!spare) return std::unexpected(spare.error());
    spares.push_back(std::move(*spare));
  }
  return UserVolume::open(std::move(*main), std::move(spares), options);
}

FaultyLayer& faulty(UserVolume& volume, Member member) {
  Layer* layer = volume.devices().at(member)->find_layer("faulty");
  if (layer == nullptr) throw std::runtime_error("not decorated");
  return static_cast<FaultyLayer&>(*layer);
}

}  // namespace dmr::runtime::testing
