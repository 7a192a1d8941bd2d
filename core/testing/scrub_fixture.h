// SPDX-License-Identifier: GPL-2.0-or-later
// A volume with a scrub whose rests are slept through. Not freestanding.
#pragma once

#include <algorithm>
#include <functional>

#include <gtest/gtest.h>

#include "core/testing/volume_fixture.h"

namespace dmr::testing {

inline constexpr u64 kMainSectors = 16384;
inline constexpr u64 kPiece = 128;

struct ScrubFixture : VolumeFixture {
  explicit ScrubFixture(u32 spares = 1, u64 main_sectors = kMainSectors)
      : VolumeFixture(main_sectors, 16384, spares) {}

  [[nodiscard]] ScrubStats scrub() const { return volume->stats().scrub; }
  [[nodiscard]] bool runs() const { return scrub().state == ScrubState::running; }

  void submit(DeviceIo& io) override {
    if (holds_back && holds_back(io)) {
      held_back = &io;
    } else {
      VolumeFixture::submit(io);
    }
  }
  void let_go() {
    ASSERT_NE(held_back, nullptr);
    holds_back = nullptr;
    VolumeFixture::submit(*held_back);
    pump();
  }
  std::function<bool(const DeviceIo&)> holds_back;
  DeviceIo* held_back = nullptr;

  // To the time of the timer that the engine has asked for, if it has.
  void next_timer() {
    ASSERT_FALSE(deadlines.empty());
    now = std::max(now, *std::min_element(deadlines.begin(), deadlines.end()));
    deadlines.clear();
    volume->on_timer();
    pump();
  }
  // Until the pass has ended or is paused; every rest is slept through.
  void run_pass(Sector from = Sector(0)) {
    ASSERT_EQ(volume->scrub(ScrubAction::start, from), Status::ok);
    pump();
    for (u32 i = 0; i < 10'000 && runs(); ++i) next_timer();
    ASSERT_FALSE(runs());
  }
};

}  // namespace dmr::testing
