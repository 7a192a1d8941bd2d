// SPDX-License-Identifier: GPL-2.0-or-later
// The signals are blocked, and looked for among those that are pending.
#include "cli/app/interruption.h"

#include <csignal>
#include <cstdio>

namespace dmr::cli {
namespace {

sigset_t wanted() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

}  // namespace

Interruption::Interruption() {
  const sigset_t signals = wanted();
  (void)pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

Interruption::~Interruption() {
  const sigset_t signals = wanted();
  (void)pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

bool Interruption::pending() const {
  sigset_t signals;
  return sigpending(&signals) == 0 &&
         (sigismember(&signals, SIGINT) == 1 || sigismember(&signals, SIGTERM) == 1);
}

void Interruption::obey() {
  if (!pending()) return;
  (void)std::fflush(stdout);
  const sigset_t signals = wanted();
  (void)pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

}  // namespace dmr::cli
