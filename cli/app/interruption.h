// SPDX-License-Identifier: GPL-2.0-or-later
// Ctrl-C (and SIGTERM) during work that wants to say first what was done so far.
#pragma once

namespace dmr::cli {

class Interruption {
 public:
  Interruption();
  ~Interruption();  // lets the signals through again
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  [[nodiscard]] bool pending() const;
  // Ends the process by the signal that is pending, as if it had never been held back: for a shell
  // that is status 130 after Ctrl-C.
  void obey();
};

}  // namespace dmr::cli
