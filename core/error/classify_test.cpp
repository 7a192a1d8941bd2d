// SPDX-License-Identifier: GPL-2.0-or-later
// Which answer of a device counts as what: only errors of the medium may ever mark a block.
#include "core/error/classify.h"

#include <gtest/gtest.h>

namespace dmr {
namespace {

constexpr u64 kTimeout = 30'000;

ErrorClass fast(IoStatus status) { return classify(status, 1, kTimeout); }

TEST(Classify, AnErrorOfTheMediumIsOneHoweverLongItTook) {
  EXPECT_EQ(fast(IoStatus::medium), ErrorClass::medium);
  EXPECT_EQ(classify(IoStatus::medium, kTimeout, kTimeout), ErrorClass::medium);
}

TEST(Classify, AnUnspecifiedErrorIsTheDevicesOnceItTookOverHalfTheTimeout) {
  EXPECT_EQ(fast(IoStatus::unspecified), ErrorClass::unspecified);
  EXPECT_EQ(classify(IoStatus::unspecified, kTimeout / 2, kTimeout), ErrorClass::unspecified);
  EXPECT_EQ(classify(IoStatus::unspecified, kTimeout / 2 + 1, kTimeout), ErrorClass::device);
}

TEST(Classify, WhatTheWholeDeviceSaysIsTheDevices) {
  for (const IoStatus status : {IoStatus::transport, IoStatus::timeout, IoStatus::offline,
                                IoStatus::no_space, IoStatus::read_only}) {
    EXPECT_EQ(fast(status), ErrorClass::device) << static_cast<int>(status);
  }
}

TEST(Classify, WhatTheHostLacksIsNoErrorOfTheDisk) {
  for (const IoStatus status : {IoStatus::unsupported, IoStatus::again, IoStatus::resource}) {
    EXPECT_EQ(fast(status), ErrorClass::not_disk) << static_cast<int>(status);
  }
  EXPECT_EQ(fast(IoStatus::ok), ErrorClass::none);
}

TEST(Classify, AValueThatIsNotKnownMarksNothing) {
  EXPECT_EQ(fast(static_cast<IoStatus>(200)), ErrorClass::device);
}

}  // namespace
}  // namespace dmr
