// SPDX-License-Identifier: GPL-2.0-or-later
// The text of an errno, without the races of strerror().
#include "runtime/device/error.h"

#include <system_error>

namespace dmr::runtime {

std::unexpected<Error> fail_errno(const std::string& what, int error, int exit_code) {
  return fail(what + ": " + std::generic_category().message(error), exit_code);
}

}  // namespace dmr::runtime
