// Aligned pairs, A in one folder and B in another: files of the same name belong together, whatever their
// extensions. The forms of the folders are those of two_folders_of().
#include <map>

#include "engine/data/folders.h"
#include "engine/data/normal_form.h"

namespace gan {

namespace fs = std::filesystem;

namespace {

bool serves(const DataOptions& options) {
  return options.examples == Examples::pairs && options.make_input == InputKind::none;
}

std::string looks_for() {
  return "folders A and B, trainA and trainB, train/A and train/B, or two as DIR_A,DIR_B, with files of the same "
         "names";
}

bool recognises(const std::string& source) { return !two_folders_of(source).empty(); }

// A picture whose partner should be in `folder`.
void note_missing(ListedExample& alone, const fs::path& folder) {
  alone.missing = (folder / (alone.name + ".*")).string();
  alone.problem =
      fmt::format("{}: no partner {}.* in {}", alone.sources[0].file.string(), alone.name, folder.string());
}

// Pictures without a partner whose names differ from another's in their Unicode form only.
void note_look_alikes(std::map<std::string, ListedExample>& pairs) {
  std::map<std::string, std::vector<ListedExample*>> by_look;
  for (auto& [name, pair] : pairs)
    if (pair.sources.size() == 1) by_look[taken_apart(name)].push_back(&pair);
  for (const auto& [look, alike] : by_look)
    for (size_t i = 0; alike.size() == 2 && i < 2; ++i)
      alike[i]->problem =
          fmt::format("{}: {} looks alike, but its name is in another Unicode form; rename one of them",
                      alike[i]->sources[0].file.string(), alike[1 - i]->sources[0].file.string());
}

// What is in one folder alone, or twice under one name, is listed with its problem.
std::vector<ListedExample> pairs_in(const TwoFolders& folders, PassedOver& passed_over) {
  folders.check_both();
  std::map<std::string, ListedExample> pairs;  // in the order of names
  const auto same_name = [](const fs::path& one, const fs::path& other) {
    return fmt::format("{} and {} have the same name", one.string(), other.string());
  };
  for (auto& found : examples_in(folders.a, "A", passed_over)) {
    auto& pair = pairs[found.name];
    if (pair.sources.empty()) pair = found;
    else pair.problem = same_name(pair.sources[0].file, found.sources[0].file);
  }
  for (auto& found : examples_in(folders.b, "B", passed_over)) {
    auto& pair = pairs[found.name];
    const fs::path& file = found.sources[0].file;
    if (pair.sources.empty()) {
      pair = found;
      note_missing(pair, folders.a);
    } else if (pair.sources.size() == 1 && pair.sources[0].picture == "A") {
      pair.sources.push_back(found.sources[0]);
    } else {
      pair.problem = same_name(pair.sources.back().file, file);
    }
  }
  note_look_alikes(pairs);
  std::vector<ListedExample> examples;
  for (auto& [name, pair] : pairs) {
    if (pair.sources.size() == 1 && pair.problem.empty()) note_missing(pair, folders.b);
    examples.push_back(std::move(pair));
  }
  return examples;
}

Listing list(const DataOptions& options) {
  Listing listing;
  listing.train.push_back({{"A", "B"}, {}});
  const std::vector<TwoFolders> all = two_folders_of(options.source);
  for (const TwoFolders& folders : all) {
    const auto pairs = pairs_in(folders, listing.passed_over);
    auto* into = &listing.train[0].examples;
    if (folders.part != "train") into = folders.part == "val" ? &listing.validation : &listing.test;
    into->insert(into->end(), pairs.begin(), pairs.end());
  }
  listing.has_parts = !listing.validation.empty() || !listing.test.empty();
  note_unused(options.source, all, listing.passed_over);
  return listing;
}

}  // namespace

extern const DataLayout two_folders_layout = {"A and B folders", looks_for, "pairs",       "--pairs", serves,
                                              recognises,        list,      read_two_files};

}  // namespace gan
