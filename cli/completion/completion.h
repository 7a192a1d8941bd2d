// SPDX-License-Identifier: GPL-2.0-or-later
// Shell completion, written from the same declarations that parse the command line.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace dmr::cli {

[[nodiscard]] std::string bash_completion(const CLI::App& root);
[[nodiscard]] std::string zsh_completion(const CLI::App& root);

}  // namespace dmr::cli
