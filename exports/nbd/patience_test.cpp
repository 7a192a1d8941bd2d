// SPDX-License-Identifier: GPL-2.0-or-later
// Clients of several kinds, played against the pauses that a server makes for them.
#include "exports/nbd/patience.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace dmr::nbd {
namespace {

// Keeps `depth` requests under way; reads a reply and sends the next request in `each_ns`.
struct Client {
  u64 depth;
  u64 each_ns;
  u64 unread = 0;

  // What has come when the server looks after so long.
  u64 work_for(u64 ns) {
    const u64 done = std::min(ns / each_ns, unread);
    unread -= done;
    return done;
  }
};

struct Played {
  u64 rounds = 0;
  u64 requests = 0;
  u64 late = 0;  // pauses after which the client had nothing left to do
  u64 paused = 0;
};

// A server that answers at once: whatever came is unread again.
Played play(Client client, u64 rounds) {
  constexpr u64 kWakeNs = 5'000;
  Patience patience;
  Played played;
  u64 came = client.depth;
  for (u64 round = 0; round < rounds; ++round) {
    client.unread += came;
    const u64 pause = patience.pause_ns(came);
    came = client.work_for(pause);
    if (pause > 0) {
      ++played.paused;
      patience.paused(client.unread > 0);
      if (client.unread == 0) ++played.late;
    }
    if (came == 0) came = std::max<u64>(1, client.work_for(kWakeNs));  // woken by the first one
    ++played.rounds;
    played.requests += came;
  }
  return played;
}

TEST(Patience, ABusyClientIsServedByTheHalfOfItsWindow) {
  const Played played = play({.depth = 32, .each_ns = 4'000}, 4000);
  EXPECT_GE(played.requests, 10 * played.rounds);
  EXPECT_LE(played.requests, 22 * played.rounds);
  EXPECT_LE(played.late * 20, played.rounds) << "the client must not be left without work";
}

TEST(Patience, AClientWithOneRequestUnderWayNeverWaits) {
  Patience patience;
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(patience.pause_ns(1), 0U);
}

TEST(Patience, AClientThatIsFasterThanTheShortestPauseIsLeftInPeace) {
  const Played played = play({.depth = 2, .each_ns = 1'000}, 20'000);
  EXPECT_LE(played.paused * 100, played.rounds);
}

TEST(Patience, ASlowClientIsNeverPausedForLongerThanTheLimit) {
  Patience patience;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_LE(patience.pause_ns(2), Patience::kLongestNs);
    patience.paused(true);
    EXPECT_LE(patience.pause_ns(200), Patience::kLongestNs);
    patience.paused(true);
  }
}

TEST(Patience, AClientThatBecomesBusyAgainIsFoundOut) {
  Patience patience;
  for (int i = 0; i < 5000; ++i) {  // always too late
    if (patience.pause_ns(2) > 0) patience.paused(false);
  }
  u64 rounds = 0;
  while (patience.pause_ns(32) == 0) ASSERT_LE(++rounds, u64{Patience::kMostRounds});
}

}  // namespace
}  // namespace dmr::nbd
