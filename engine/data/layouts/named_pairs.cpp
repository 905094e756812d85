// Aligned pairs in one folder, told apart by the ends of their names: x_A.png and x_B.png, or x-A.png and x-B.png.
#include <algorithm>
#include <map>
#include <utility>

#include "engine/data/folders.h"

namespace gan {

namespace fs = std::filesystem;

namespace {

constexpr size_t kEnd = 2;  // letters of "_A"

bool serves(const DataOptions& options) {
  return options.examples == Examples::pairs && options.make_input == InputKind::none;
}

std::string looks_for() { return "pictures x_A and x_B of the same name but for its end"; }

// 'A' or 'B' as the name's end says; 0: neither.
char half_of(const std::string& name) {
  if (name.size() <= kEnd) return 0;
  const char separator = name[name.size() - kEnd], letter = name.back();
  const bool known = (separator == '_' || separator == '-') && (letter == 'A' || letter == 'B');
  return known ? letter : char{0};
}

std::string other_name(std::string name) {
  name.back() = name.back() == 'A' ? 'B' : 'A';
  return name;
}

// Half of the pictures at least have a partner: a stray picture, or a partner that is missing, changes nothing.
bool recognises(const std::string& source) {
  if (!is_folder(source)) return false;
  PassedOver ignored;
  std::vector<std::string> names;
  for (const fs::path& file : list_if_any(source, ignored))
    names.push_back(fs::path(file).replace_extension().string());
  std::sort(names.begin(), names.end());
  const auto in_pairs = std::count_if(names.begin(), names.end(), [&](const std::string& name) {
    return half_of(name) != 0 && std::binary_search(names.begin(), names.end(), other_name(name));
  });
  return in_pairs > 0 && 2 * size_t(in_pairs) >= names.size();
}

void note_missing(ListedExample& alone, const std::string& name) {
  const fs::path& file = alone.sources[0].file;
  if (half_of(name) == 0) {
    alone.problem = fmt::format("{}: its name ends neither in _A nor in _B, as others here", file.string());
    return;
  }
  const std::string wanted = fs::path(other_name(name)).filename().string() + ".*";
  alone.missing = (file.parent_path() / wanted).string();
  alone.problem = fmt::format("{}: no partner {} beside it", file.string(), wanted);
}

// `pictures`: examples of one picture each. What has no partner, or two, is listed with its problem.
std::vector<ListedExample> paired(const std::vector<ListedExample>& pictures) {
  std::map<std::string, std::vector<ListedExample>> by_name;
  for (const ListedExample& picture : pictures) by_name[picture.name].push_back(picture);
  std::vector<ListedExample> examples;
  for (const auto& [name, files] : by_name) {
    const auto partners = std::as_const(by_name).find(half_of(name) != 0 ? other_name(name) : "");
    const bool has_partner = partners != by_name.end();
    if (half_of(name) == 'B' && has_partner) continue;  // stands with its A
    ListedExample example = files[0];
    example.sources[0].picture = half_of(name) == 'B' ? "B" : "A";
    if (half_of(name) != 0) example.name.resize(name.size() - kEnd);
    if (has_partner) {
      example.sources.push_back({"B", partners->second[0].sources[0].file});
      for (const auto* same : {&files, &partners->second})
        if (same->size() > 1)
          example.problem = fmt::format("{} and {} have the same name", (*same)[0].sources[0].file.string(),
                                        (*same)[1].sources[0].file.string());
    } else {
      note_missing(example, name);
    }
    examples.push_back(std::move(example));
  }
  return examples;
}

Listing list(const DataOptions& options) {
  Listing listing = examples_by_parts(options.source, "A", {"A", "B"});
  for (auto* part : {&listing.train[0].examples, &listing.validation, &listing.test}) *part = paired(*part);
  return listing;
}

}  // namespace

extern const DataLayout named_pairs_layout = {"pairs by name", looks_for,  "pairs", "--pairs",
                                              serves,          recognises, list,    read_two_files};

}  // namespace gan
