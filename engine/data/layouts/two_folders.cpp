// Aligned pairs, A in one folder and B in another: files of the same name belong together, whatever their
// extensions. The forms of the folders are those of two_folders_of().
#include <map>

#include "engine/data/folders.h"

namespace gan {

namespace fs = std::filesystem;

namespace {

bool serves(const DataOptions& options) {
  return options.examples == Examples::pairs && options.make_input == InputKind::none;
}

bool recognises(const std::string& source) { return !two_folders_of(source).empty(); }

// What is in one folder alone, or twice under one name, is listed with its problem.
std::vector<ListedExample> pairs_in(const TwoFolders& folders) {
  folders.check_both();
  std::map<std::string, ListedExample> pairs;  // in the order of names
  const auto same_name = [](const fs::path& one, const fs::path& other) {
    return fmt::format("{} and {} have the same name", one.string(), other.string());
  };
  for (auto& found : examples_in(folders.a, "A")) {
    auto& pair = pairs[found.name];
    if (pair.sources.empty()) pair = found;
    else pair.problem = same_name(pair.sources[0].file, found.sources[0].file);
  }
  for (auto& found : examples_in(folders.b, "B")) {
    auto& pair = pairs[found.name];
    const fs::path& file = found.sources[0].file;
    if (pair.sources.empty()) {
      pair = found;
      pair.problem = fmt::format("{}: no partner {}.* in {}", file.string(), found.name, folders.a.string());
    } else if (pair.sources.size() == 1 && pair.sources[0].picture == "A") {
      pair.sources.push_back(found.sources[0]);
    } else {
      pair.problem = same_name(pair.sources.back().file, file);
    }
  }
  std::vector<ListedExample> examples;
  for (auto& [name, pair] : pairs) {
    if (pair.sources.size() == 1 && pair.problem.empty())
      pair.problem =
          fmt::format("{}: no partner {}.* in {}", pair.sources[0].file.string(), name, folders.b.string());
    examples.push_back(std::move(pair));
  }
  return examples;
}

Listing list(const DataOptions& options) {
  Listing listing;
  listing.train.push_back({{"A", "B"}, {}});
  for (const TwoFolders& folders : two_folders_of(options.source)) {
    auto pairs = pairs_in(folders);
    if (folders.part == "train") listing.train[0].examples = std::move(pairs);
    else if (folders.part == "val") listing.validation = std::move(pairs);
    else listing.test = std::move(pairs);
  }
  return listing;
}

Example read(const ListedExample& example, const DataOptions& options, const Reading& reading) {
  const auto &file_a = example.sources[0].file, &file_b = example.sources[1].file;
  Image a = read_file(file_a, options), b = read_file(file_b, options);
  if (a.height != b.height || a.width != b.width)
    fail(Exit::bad_data, "{} is {} x {} and its partner {} is {} x {}: a pair has one size", file_a.string(),
         a.width, a.height, file_b.string(), b.width, b.height);
  if (options.b_to_a) std::swap(a, b);
  return {{}, {{"A", fitted(a, reading)}, {"B", fitted(b, reading)}}};
}

}  // namespace

extern const DataLayout two_folders_layout = {
    "A and B folders",
    "folders A and B, or trainA and trainB, or two as DIR_A,DIR_B, with files of the same names",
    "pairs",
    "--pairs",
    serves,
    recognises,
    list,
    read};

}  // namespace gan
