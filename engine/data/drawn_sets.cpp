// The list of drawn sets.
#include "engine/data/drawn_sets.h"

#include "engine/data/abstract.h"

namespace gan {

const std::vector<DrawnSet>& drawn_sets() {
  static const std::vector<DrawnSet> sets = {
      {"builtin:comics", "drawn faces", 32, 256, 4096},
      {"builtin:abstract", "abstract paintings", kSmallestAbstract, kLargestAbstract, 2048},
  };
  return sets;
}

const DrawnSet* find_drawn_set(const std::string& source) {
  for (const DrawnSet& set : drawn_sets())
    if (source == set.source) return &set;
  return nullptr;
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
  for (int64_t number = first; number < first + count; ++number) {
    ListedExample example;
    example.name = name(number);
    example.drawn = number;
    for (const std::string& picture : pictures) example.sources.push_back({picture, {}});
    examples.push_back(std::move(example));
  }
  return examples;
}

}  // namespace gan
