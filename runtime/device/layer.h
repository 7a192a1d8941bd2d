// SPDX-License-Identifier: GPL-2.0-or-later
// Decorators of a device, for tests and the demo. A device without any does not know that they
// exist; one that has some does its I/O through them, synchronously, on the caller's thread.
//
// Spec, outermost first:  [KIND:[ARGUMENT:]]...PATH
//   faulty:PLAN.json:      bad ranges, slow ranges, a device that goes away (faulty.h)
//   volatile-cache:        writes stay in memory until a flush; the power can be cut
//   trace:FILE:            one line in FILE for each I/O
// A path that begins with such a word is written "./faulty:...".
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/host/host.h"
#include "runtime/device/error.h"

namespace dmr::runtime {

// One I/O, in bytes. A write without data writes zeros.
struct LayerIo {
  IoOp op = IoOp::read;
  bool fua = false;
  u64 offset = 0;
  u64 length = 0;
  std::byte* data = nullptr;  // written to by reads only
};

struct LayerResult {
  int error = 0;       // 0 or a positive errno
  u64 delay_ms = 0;    // complete this much later
  bool again = false;  // nothing is done yet: run it again after the delay
};

class Layer {
 public:
  virtual ~Layer() = default;
  [[nodiscard]] virtual std::string_view kind() const = 0;
  [[nodiscard]] virtual Layer* below() const { return nullptr; }
  // Any thread.
  virtual LayerResult run(const LayerIo& io) = 0;
  // A request from outside ("faults" of the control socket); the answer goes back. Any thread.
  virtual Expected<nlohmann::json> control(const nlohmann::json& request);
};

struct ParsedSpec {
  struct Part {
    std::string kind;
    std::string argument;
  };
  std::vector<Part> layers;  // outermost first
  std::string path;
};
[[nodiscard]] Expected<ParsedSpec> parse_spec(std::string_view spec);

// The file itself, as the innermost layer.
[[nodiscard]] std::unique_ptr<Layer> make_file_layer(int fd);
// Puts the decorators of `spec` around `inner`.
[[nodiscard]] Expected<std::unique_ptr<Layer>> stack_layers(const ParsedSpec& spec,
                                                            std::unique_ptr<Layer> inner);

}  // namespace dmr::runtime
