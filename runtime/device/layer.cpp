// SPDX-License-Identifier: GPL-2.0-or-later
// Reading a device spec and stacking the decorators that it names.
#include "runtime/device/layer.h"

#include <algorithm>

#include "runtime/device/faulty.h"
#include "runtime/device/trace.h"
#include "runtime/device/volatile_cache.h"

namespace dmr::runtime {
namespace {

struct Kind {
  std::string_view name;
  bool has_argument;
};
constexpr Kind kKinds[] = {{"faulty", true}, {"volatile-cache", false}, {"trace", true}};
constexpr std::size_t kMaxLayers = 8;

}  // namespace

Expected<nlohmann::json> Layer::control(const nlohmann::json& request) {
  (void)request;
  return fail("this decorator takes no requests");
}

Expected<ParsedSpec> parse_spec(std::string_view spec) {
  ParsedSpec result;
  const std::string whole(spec);
  while (true) {
    const std::size_t colon = spec.find(':');
    if (colon == std::string_view::npos) break;
    const std::string_view word = spec.substr(0, colon);
    const auto* kind = std::find_if(std::begin(kKinds), std::end(kKinds),
                                    [&](const Kind& k) { return k.name == word; });
    if (kind == std::end(kKinds)) break;
    spec.remove_prefix(colon + 1);
    ParsedSpec::Part part{.kind = std::string(word), .argument = {}};
    if (kind->has_argument) {
      const std::size_t end = spec.find(':');
      if (end == std::string_view::npos || end == 0) {
        return fail(whole + ": `" + part.kind +
                        "` needs a file name and a device after it: " + part.kind + ":FILE:DEVICE",
                    kExitUsage);
      }
      part.argument = std::string(spec.substr(0, end));
      spec.remove_prefix(end + 1);
    }
    if (result.layers.size() == kMaxLayers)
      return fail(whole + ": too many decorators", kExitUsage);
    result.layers.push_back(std::move(part));
  }
  if (spec.empty()) return fail(whole + ": names no device", kExitUsage);
  result.path = std::string(spec);
  return result;
}

Expected<std::unique_ptr<Layer>> stack_layers(const ParsedSpec& spec,
                                              std::unique_ptr<Layer> inner) {
  for (auto part = spec.layers.rbegin(); part != spec.layers.rend(); ++part) {
    if (part->kind == "faulty") {
      auto layer = FaultyLayer::make(part->argument, std::move(inner));
      if (!layer) return std::unexpected(layer.error());
      inner = std::move(*layer);
    } else if (part->kind == "trace") {
      auto layer = make_trace_layer(part->argument, std::move(inner));
      if (!layer) return std::unexpected(layer.error());
      inner = std::move(*layer);
    } else {
      inner = std::make_unique<VolatileCacheLayer>(std::move(inner));
    }
  }
  return inner;
}

}  // namespace dmr::runtime
