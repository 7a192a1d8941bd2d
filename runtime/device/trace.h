// SPDX-License-Identifier: GPL-2.0-or-later
// The decorator `trace`: appends to a file one line for each I/O, as it completes:
//   <microseconds since the opening> <read|write|flush|discard|write_zeroes>[+fua] <sector>
//   <sectors> <errno> <microseconds it took>
#pragma once

#include <memory>
#include <string>

#include "runtime/device/layer.h"

namespace dmr::runtime {

[[nodiscard]] Expected<std::unique_ptr<Layer>> make_trace_layer(const std::string& file,
                                                                std::unique_ptr<Layer> below);

}  // namespace dmr::runtime
