// SPDX-License-Identifier: GPL-2.0-or-later
// Looks at the members of a note, without locking anything.
#include "cli/state/known.h"

#include <fmt/format.h>

#include "cli/metadata/survey.h"

namespace dmr::cli {

std::string spare_left_of(const Hint& hint,
                          const std::function<bool(const std::string& spec)>& passed_over) {
  for (const std::string& spec : hint.spares) {
    if (passed_over(spec)) continue;
    const auto device = runtime::Device::open(spec, kLook);
    if (!device) continue;
    const Survey found = survey(**device);
    if (found.newest() != nullptr && name_of(*found.newest()) == hint.name) return spec;
  }
  return "";
}

Expected<void> check_no_member_of(const Hint& hint, const std::string& role,
                                  const runtime::Device& device) {
  for (std::size_t i = 0; i <= hint.spares.size(); ++i) {
    const auto known = runtime::Device::open(i == 0 ? hint.main : hint.spares[i - 1], kLook);
    if (!known || runtime::overlap_of(**known, device).empty()) continue;
    if (spare_left_of(hint, [](const std::string&) { return false; }).empty()) return {};
    return refused(fmt::format(
        "{} {}: is {} of volume `{}`, which is known here; two volumes would write to it, --force "
        "overrides",
        role, device.path(), i == 0 ? "main" : "a spare", hint.name));
  }
  return {};
}

}  // namespace dmr::cli
