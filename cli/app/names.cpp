// SPDX-License-Identifier: GPL-2.0-or-later
// Rules for names, and the distance between words.
#include "cli/app/names.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace dmr::cli {
namespace {

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_name_character(char c) {
  return is_alphanumeric(c) || c == '.' || c == '_' || c == '-' || c == '+';
}

// Levenshtein's distance; words of the command line are short.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replace, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string name_fault(std::string_view name) {
  if (name.empty()) return "a volume's name cannot be empty";
  if (name.size() > kMaxNameBytes) {
    return fmt::format("a volume's name has at most {} characters, this one has {}", kMaxNameBytes,
                       name.size());
  }
  if (!is_alphanumeric(name.front())) {
    return fmt::format("the name `{}` does not begin with a letter or digit",
                       is_name_character(name.front()) ? name : "...");
  }
  if (!std::all_of(name.begin(), name.end(), is_name_character)) {
    return "a volume's name consists of letters, digits and . _ - + only";
  }
  return "";
}

std::string nearest(std::string_view word, const std::string* begin, const std::string* end) {
  if (word.size() > 2 * kMaxNameBytes) return "";
  std::string best;
  std::size_t best_distance = 3;  // further away it is another word, not a slip
  for (const std::string* at = begin; at != end; ++at) {
    const std::size_t here = distance(word, *at);
    // Half of a short word makes another word: `fish` is not meant to be `bash`.
    if (here < best_distance && 2 * here < at->size()) {
      best = *at;
      best_distance = here;
    }
  }
  return best;
}

}  // namespace dmr::cli
