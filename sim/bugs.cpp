// SPDX-License-Identifier: GPL-2.0-or-later
// The switches of the deliberate bugs, in the build that has them.
#include "core/base/bugs.h"

namespace dmr {

#ifdef DMR_DELIBERATE_BUGS
constinit bool deliberate_bugs[kBugs] = {};
#endif

}  // namespace dmr
