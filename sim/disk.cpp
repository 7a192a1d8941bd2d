// SPDX-License-Identifier: GPL-2.0-or-later
// The virtual disk: cells, cached writes, faults, and what a power cut leaves.
#include "sim/disk.h"

#include <algorithm>
#include <utility>

#include "core/geometry/geometry.h"

namespace dmr::sim {

IoStatus SimDisk::ails(IoOp op, Sector sector, u32 sectors) {
  const bool forced = fail_next_ != IoStatus::ok;
  if (!forced) {
    if (ailment.flush_only && op != IoOp::flush) return IoStatus::ok;
    if (!world_.random().chance(ailment.chance_of_1000)) return IoStatus::ok;
  }
  const IoStatus status = forced ? fail_next_ : ailment.status;
  fail_next_ = IoStatus::ok;
  ++counters_.device_errors;
  if (op == IoOp::write) ++counters_.failed_writes;
  if (watcher_ == nullptr) return status;
  watcher_->device_error(name_, op, status, sector, sectors);
  if (forced && status != IoStatus::transport && op != IoOp::flush) {
    watcher_->media_error(name_, sector, op, newest(sector));
  }
  return status;
}

IoStatus SimDisk::strike(Sector sector, IoOp op) {
  Cell& cell = cells_[sector.value];
  if (cell.fault == 0) return IoStatus::ok;
  Fault& fault = faults_[cell.fault];
  if (op == IoOp::read ? !fault.on_read : !fault.on_write) {
    if (op == IoOp::write && fault.healed_by_write) heal(sector);
    return IoStatus::ok;
  }
  const Fault struck = fault;
  if (fault.times != kForever && --fault.times == 0) heal(sector);
  ++counters_.media_errors;
  if (watcher_ != nullptr) watcher_->media_error(name_, sector, op, newest(sector));
  if (struck.grows) spread(sector, struck);
  return struck.status;
}

void SimDisk::spread(Sector sector, const Fault& fault) {
  if (!world_.random().chance(200)) return;
  const bool up = world_.random().coin();
  if (up ? sector.value + 1 >= sectors() : sector.value == 0) return;
  const Sector neighbour = up ? sector + 1 : sector - 1;
  if (!has_fault(neighbour)) set_fault(neighbour, fault);
}

IoStatus SimDisk::read(Sector sector, u32 sectors, const ReadData& read_data) {
  ++counters_.reads;
  IoStatus status = ails(IoOp::read, sector, sectors);
  for (u32 i = 0; i < sectors && status == IoStatus::ok; ++i) {
    status = strike(sector + i, IoOp::read);
  }
  if (status == IoStatus::ok && watcher_ != nullptr) watcher_->answered(name_);
  const Data garbage{.token = kGarbage, .bytes = nullptr};
  for (u32 i = 0; i < sectors; ++i) {
    read_data(i, status == IoStatus::ok ? newest(sector + i) : garbage);
  }
  return status;
}

IoStatus SimDisk::write(u64 id, Sector sector, u32 sectors, const WriteData& write_data) {
  ++counters_.writes;
  IoStatus status = ails(IoOp::write, sector, sectors);
  const bool ailing = status != IoStatus::ok;
  std::vector<bool> refused(sectors, false);
  for (u32 i = 0; i < sectors && !ailing; ++i) {
    const IoStatus at = strike(sector + i, IoOp::write);
    refused[i] = at != IoStatus::ok;
    if (refused[i]) status = at;
  }
  for (u32 i = 0; i < sectors; ++i) {
    if (refused[i]) continue;
    if (status != IoStatus::ok && world_.random().coin()) continue;
    cache(sector + i, id, write_data(i));
  }
  return status;
}

IoStatus SimDisk::refuse_write(Sector sector, u32 sectors, IoStatus status) {
  ++counters_.writes;
  fail_next_ = status;
  return ails(IoOp::write, sector, sectors);
}

IoStatus SimDisk::discard(u64 id, Sector sector, u32 sectors) {
  const IoStatus status = ails(IoOp::discard, sector, sectors);
  if (status != IoStatus::ok) return status;
  for (u32 i = 0; i < sectors; ++i) {
    if (world_.random().coin()) cache(sector + i, id, Data{});
  }
  return IoStatus::ok;
}

void SimDisk::cache(Sector sector, u64 id, Data data) {
  Cell& cell = cells_[sector.value];
  cell.cached.push_back(CachedWrite{.id = id, .completed = 0, .lost = false, .data = {}});
  cell.cached.back().data = std::move(data);
  if (!cell.listed) {
    cell.listed = true;
    dirty_.push_back(static_cast<u32>(sector.value));
  }
}

// The cached write at `index` is durable, and what came before it is history.
void SimDisk::settle(Cell& cell, std::size_t index) {
  cell.durable = std::move(cell.cached[index].data);
  cell.cached.erase(cell.cached.begin(), cell.cached.begin() + static_cast<i64>(index) + 1);
}

void SimDisk::write_completed(u64 id, Sector sector, u32 sectors, bool durable) {
  const u64 stamp = world_.stamp();
  for (u32 i = 0; i < sectors; ++i) {
    Cell& cell = cells_[(sector + i).value];
    for (std::size_t k = 0; k < cell.cached.size(); ++k) {
      if (cell.cached[k].id != id) continue;
      cell.cached[k].completed = stamp;
      if (durable) settle(cell, k);
      break;
    }
  }
}

IoStatus SimDisk::flush(u64 sent) {
  ++counters_.flushes;
  const IoStatus status = ails(IoOp::flush, Sector(0), 0);
  const bool failed = status != IoStatus::ok;
  bool metadata = false;
  std::vector<u32> left;
  for (const u32 at : dirty_) {
    Cell& cell = cells_[at];
    for (std::size_t k = cell.cached.size(); k > 0; --k) {
      CachedWrite& write = cell.cached[k - 1];
      if (write.completed == 0 || write.completed > sent || write.lost) continue;
      if (!failed) {
        settle(cell, k - 1);
        break;
      }
      metadata = metadata || !write.data.uniform();
      if (!ailment.cache_kept) write.lost = true;
    }
    cell.listed = !cell.cached.empty();
    if (cell.listed) left.push_back(at);
  }
  dirty_ = std::move(left);
  if (failed && metadata) ++counters_.failed_flushes;
  return status;
}

void SimDisk::write_at_power_cut(u64 id, Sector sector, u32 sectors, const WriteData& write_data) {
  for (u32 i = 0; i < sectors; ++i) {
    const Cell& cell = cells_[(sector + i).value];
    if (cell.fault != 0 && faults_[cell.fault].on_write) continue;
    cache(sector + i, id, write_data(i));
  }
}

void SimDisk::power_cut(const Chooser& choose) {
  std::sort(dirty_.begin(), dirty_.end());
  u64 block = ~u64{0};
  u32 states = 0;  // bit 0: a sector of this block stayed old, bit 1: one became new
  for (const u32 at : dirty_) {
    Cell& cell = cells_[at];
    cell.listed = false;
    if (cell.cached.empty()) continue;
    const auto candidates = static_cast<u32>(cell.cached.size()) + 1;
    const u32 chosen = choose(Sector(at), candidates);
    if (at / kMetaSectors != block) states = 0;
    block = at / kMetaSectors;
    const u32 before = states;
    states |= chosen == 0 ? 1U : 2U;
    if (states == 3 && before != 3) ++counters_.torn_blocks;
    if (chosen != 0) cell.durable = std::move(cell.cached[chosen - 1].data);
    cell.cached.clear();
  }
  dirty_.clear();
  ailment = Ailment{};
}

Chooser SimDisk::random_subset() {
  // Some cuts lose all, some nothing, most something in between.
  const u32 bias = static_cast<u32>(world_.random().below(5)) * 250;
  return [this, bias](Sector, u32 candidates) {
    if (!world_.random().chance(bias)) return u32{0};
    return candidates == 2 || world_.random().coin() ? candidates - 1
                                                     : world_.random().below32(candidates);
  };
}

std::vector<Sector> SimDisk::unflushed() const {
  std::vector<Sector> out;
  for (const u32 at : dirty_) {
    if (!cells_[at].cached.empty()) out.emplace_back(at);
  }
  std::sort(out.begin(), out.end());
  return out;
}

void SimDisk::set_fault(Sector sector, const Fault& fault) {
  Cell& cell = cells_[sector.value];
  if (cell.fault == 0) {
    ++fault_count_;
    if (free_faults_.empty()) {
      cell.fault = static_cast<u32>(faults_.size());
      faults_.emplace_back();
    } else {
      cell.fault = free_faults_.back();
      free_faults_.pop_back();
    }
  }
  faults_[cell.fault] = fault;
  faults_[cell.fault].since_ns = world_.now_ns();
}

void SimDisk::heal(Sector sector) {
  Cell& cell = cells_[sector.value];
  if (cell.fault == 0) return;
  free_faults_.push_back(cell.fault);
  cell.fault = 0;
  --fault_count_;
}

std::vector<Data> SimDisk::candidates(Sector sector) const {
  const Cell& cell = cells_[sector.value];
  std::vector<Data> all = {cell.durable};
  for (const CachedWrite& write : cell.cached) all.push_back(write.data);
  return all;
}

SimDisk::Image SimDisk::save() const {
  Image image;
  image.cells.reserve(cells_.size());
  for (const Cell& cell : cells_) image.cells.push_back(cell.durable);
  for (const Sector sector : unflushed()) {
    image.cached.emplace_back(static_cast<u32>(sector.value), cells_[sector.value].cached);
  }
  return image;
}

void SimDisk::restore(const Image& image) {
  DMR_ASSERT(image.cells.size() == cells_.size());
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    cells_[i].durable = image.cells[i];
    cells_[i].cached.clear();
    cells_[i].listed = false;
  }
  dirty_.clear();
  for (const auto& [at, writes] : image.cached) {
    cells_[at].cached = writes;
    cells_[at].listed = true;
    dirty_.push_back(at);
  }
}

const Data& SimDisk::newest(Sector sector) const {
  const Cell& cell = cells_[sector.value];
  return cell.cached.empty() ? cell.durable : cell.cached.back().data;
}

void SimDisk::overwrite(Sector sector, Data data) {
  Cell& cell = cells_[sector.value];
  cell.cached.clear();
  cell.durable = std::move(data);
}

void SimDisk::flip_bit(Sector sector, u32 bit) {
  Cell& cell = cells_[sector.value];
  cell.durable = with_bit_flipped(cell.durable, bit);
}

}  // namespace dmr::sim
