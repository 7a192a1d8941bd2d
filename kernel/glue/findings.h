// SPDX-License-Identifier: GPL-2.0-or-later
// Keeps the finding because of which a volume refuses to open, and puts it into words.
#pragma once

#include "core/log/interface.h"

namespace dmr::kernel {

class KernelFindings final : public FindingSink {
 public:
  void found(const Finding& finding) override;
  // One line for the kernel's log, cut at `bytes`.
  void explain(Status status, char* text, std::size_t bytes) const;

 private:
  Finding fatal_;
  bool have_fatal_ = false;
};

}  // namespace dmr::kernel
