// SPDX-License-Identifier: GPL-2.0-or-later
// The log of a server: lines on stderr, where the journal, a file or a terminal takes them. What
// serves a volume writes its lines here and nowhere else, for a log that takes none must neither
// end the server nor hold it up.
#pragma once

#include <string_view>

namespace dmr::runtime {

// Any thread. `line` without its end. A line that stderr cannot take at once is dropped; the next
// one that it takes tells how many were. SIGPIPE has to be ignored.
void log_line(std::string_view line) noexcept;

}  // namespace dmr::runtime
