// The list of drawn sets.
#include "engine/data/drawn_sets.h"

#include <algorithm>

#include "engine/data/abstract.h"
#include "engine/settings/words.h"

namespace gan {

const std::vector<DrawnSet>& drawn_sets() {
  static const std::vector<DrawnSet> sets = {
      {"builtin:comics", "drawn faces", 32, 256, 4096, {}},
      {"builtin:abstract", "abstract paintings", kSmallestAbstract, kLargestAbstract, 2048,
       abstract_schools()},
  };
  return sets;
}

const DrawnSet* find_drawn_set(const std::string& source) {
  for (const DrawnSet& set : drawn_sets())
    if (source == set.source || source.starts_with(std::string(set.source) + ":")) return &set;
  return nullptr;
}

std::string kind_of_drawn_set(const std::string& source) {
  const DrawnSet& set = *find_drawn_set(source);
  if (source == set.source) return "";
  const std::string kind = source.substr(std::string(set.source).size() + 1);
  const auto& kinds = set.kinds;
  if (std::find(kinds.begin(), kinds.end(), kind) != kinds.end()) return kind;
  if (kinds.empty()) fail(Exit::usage, "{}: {} has no kinds to choose from", source, set.source);
  const std::string nearest = nearest_word(kinds, kind, 2);
  fail(Exit::usage, "{}: {}{}: {}", source, nearest.empty() ? "" : fmt::format("did you mean {}? ", nearest),
       "there are", fmt::join(kinds, ", "));
}

std::string names_of_drawn_sets() {
  std::vector<std::string> names;
  for (const DrawnSet& set : drawn_sets()) names.push_back(set.source);
  return fmt::format("{}", fmt::join(names, " or "));
}

void check_drawn_size(const DrawnSet& set, const DataOptions& options) {
  const int side = options.stored_size();
  if (side < set.smallest || side > set.largest)
    fail(Exit::usage, "{} draws pictures of {} to {} pixels, not {}", set.source, set.smallest, set.largest,
         side);
}

int64_t training_count(const DrawnSet& set, const DataOptions& options) {
  if (options.builtin_count > 0) return options.builtin_count;
  const int side = options.stored_size();
  if (side <= 64) return set.count;
  return side <= 128 ? set.count / 2 : set.count / 4;
}

std::vector<ListedExample> drawn_examples(int64_t first, int64_t count,
                                          const std::vector<std::string>& pictures,
                                          const std::function<std::string(int64_t number)>& name) {
  std::vector<ListedExample> examples;
  for (int64_t number = first; int64_t(examples.size()) < count; ++number) {
    ListedExample example;
    example.name = name(number);
    if (example.name.empty()) continue;
    example.drawn = number;
    for (const std::string& picture : pictures) example.sources.push_back({picture, {}});
    examples.push_back(std::move(example));
  }
  return examples;
}

}  // namespace gan
