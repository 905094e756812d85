// On which GPUs a build's code runs.
#pragma once
#include <cctype>
#include <string>
#include <string_view>

namespace gan::tools {

// `architectures` as CMake has them, with blanks between: "80 90a-real". A number alone is code for that architecture and
// its PTX, which every newer GPU compiles; "-real" is the code alone, which newer ones of the same generation run too, and
// a letter makes it code for this architecture and no other. `capability`: 90 for 9.0.
inline bool runs_on(std::string_view architectures, int capability) {
  while (!architectures.empty()) {
    const size_t blank = architectures.find(' ');
    const std::string_view item = architectures.substr(0, blank);
    architectures = blank == architectures.npos ? std::string_view{} : architectures.substr(blank + 1);
    int number = 0;
    size_t end = 0;
    for (; end < item.size() && std::isdigit(static_cast<unsigned char>(item[end])); ++end)
      number = 10 * number + (item[end] - '0');
    const bool for_it_alone = end < item.size() && std::isalpha(static_cast<unsigned char>(item[end]));
    const bool has_code = !item.ends_with("-virtual"), has_ptx = !item.ends_with("-real");
    if (end == 0) return true;  // "native", "all": whoever built it knows
    if (for_it_alone ? number == capability
                     : (has_code && number <= capability && number / 10 == capability / 10) ||
                           (has_ptx && number <= capability))
      return true;
  }
  return false;
}

}  // namespace gan::tools
