// SPDX-License-Identifier: GPL-2.0-or-later
// The named limits of the NBD server. What a client can make the server spend is bounded by these.
#pragma once

#include <chrono>
#include <cstddef>

#include "core/base/types.h"

namespace dmr::nbd {

inline constexpr u32 kMaxPayloadBytes = 32U
                                        << 20;  // what the specification asks every server to take
inline constexpr u32 kMaxNameBytes = 4096;      // the specification's limit of strings
// The largest option that is looked into: a name of full length and every information request.
inline constexpr u32 kMaxOptionBytes = 8192;
inline constexpr u32 kMaxSkippedOptionBytes = 65536;  // larger ones end the connection
inline constexpr u32 kMaxOptions = 64;                // options of one handshake

inline constexpr u32 kMaxConnections = 32;
inline constexpr int kListenBacklog = 32;
inline constexpr std::chrono::milliseconds kHandshakeTimeout{10'000};
// After stop(): how long a client is told ESHUTDOWN before it is dropped.
inline constexpr std::chrono::milliseconds kShutdownLinger{500};
// How long a sender may wait for a slow reader in one go. The queue's thread is needed elsewhere
// (grace periods of the volume), so longer waits go through Queue::process.
inline constexpr int kSendPatienceMs = 2;
// How long a connection with nothing under way waits in the socket itself, deaf to anything else.
inline constexpr int kReceivePatienceMs = 20;

// One connection's memory: address space only, until it is used. A request takes pieces of it.
inline constexpr u32 kSmallPieceBytes = 4096;
inline constexpr u32 kMediumPieceBytes = 32768;
inline constexpr u32 kLargePieceBytes = 262144;
inline constexpr u32 kSmallPieces = 128;
inline constexpr u32 kMediumPieces = 128;
inline constexpr u32 kLargePieces = 238;
inline constexpr std::size_t kPoolBytes = std::size_t{kSmallPieces} * kSmallPieceBytes +
                                          std::size_t{kMediumPieces} * kMediumPieceBytes +
                                          std::size_t{kLargePieces} * kLargePieceBytes;
static_assert(kPoolBytes <= std::size_t{64} << 20);
static_assert(std::size_t{kLargePieces} * kLargePieceBytes >= std::size_t{kMaxPayloadBytes} * 3 / 2,
              "one request of the largest size must always fit, and leave room for others");

inline constexpr u32 kMaxRequests = 128;          // of one connection, under way or unanswered
inline constexpr u32 kReceiveBytes = 128U << 10;  // one read() of the socket
inline constexpr u32 kMaxBatch = 64;              // pieces given to the queue in one call
inline constexpr u32 kMaxSendParts = 128;         // parts of one writev()

}  // namespace dmr::nbd
